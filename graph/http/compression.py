"""Large answers go out compressed to whoever takes that: a tree of thousands of objects shrinks to a tenth."""

import asyncio
import gzip
from functools import lru_cache, partial
from typing import Final

from graph.http.response import Encoded

# A smaller one fits into few packets as it is, and what holds a token is smaller still.
LEAST_BYTES: Final = 16_384
# More than this is compressed aside, for nothing else is answered meanwhile.
ASIDE_BYTES: Final = 262_144
# The fastest; the best takes six times as long for a tenth less.
LEVEL: Final = 1
# Browsers' are shorter.
LONGEST_KNOWN: Final = 200
GZIP: Final = (b"content-encoding", b"gzip")
VARY: Final = (b"vary", b"accept-encoding")

_gzip: Final = partial(gzip.compress, compresslevel=LEVEL, mtime=0)


async def compress(answer: Encoded, accepted: str | None) -> None:
    """Compress an answer of at least `LEAST_BYTES` if the client's `Accept-Encoding` takes gzip."""
    body = bytes(answer.body)
    if not accepted or len(accepted) > LONGEST_KNOWN or not takes_gzip(accepted):
        answer.raw_headers.append(VARY)
    elif len(body) > ASIDE_BYTES:
        answer.reencode(await asyncio.to_thread(_gzip, body), GZIP, VARY)
    else:
        answer.reencode(_gzip(body), GZIP, VARY)


@lru_cache(maxsize=256)
def takes_gzip(accepted: str) -> bool:
    """Whether a client takes gzip, by name or because it takes anything, with a quality above zero."""
    qualities = dict(_quality(part) for part in accepted.lower().split(","))
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _quality(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    text = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return name, float(text)
    except ValueError:
        return name, 0.0
