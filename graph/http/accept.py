"""Which media type to answer in."""

from collections.abc import Sequence
from functools import lru_cache

from graph.http.refused import Refused

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
STREAM = "text/event-stream"

# For a client that takes anything: JSON, which all of them understand.
ANSWERS = (JSON, GRAPHQL)
OFFERED = (*ANSWERS, STREAM)
# Browsers' are shorter.
LONGEST_KNOWN = 200


def chosen(accept: str, offered: tuple[str, ...] = OFFERED) -> str:
    """The offered type that the client prefers: by quality, then by the client's order.

    No header means JSON. A stream must be asked for by name: `*/*` never gives one.
    Raises Refused with 406 if there is no such type.
    """
    return _known(accept, offered) if len(accept) <= LONGEST_KNOWN else _chosen(accept, offered)


def _chosen(accept: str, offered: tuple[str, ...]) -> str:
    if not accept.strip():
        return JSON
    ranges = [_range(part, place) for place, part in enumerate(accept.split(","))]
    ranked = [
        (-quality, place, media) for media in offered for quality, place in [_preference(media, ranges)] if quality > 0
    ]
    if not ranked:
        raise Refused.of(406, "Accept", f"The server answers in {', '.join(offered)}.")
    # min keeps the first of equals, which is the server's order.
    return min(ranked, key=lambda rank: rank[:2])[2]


_known = lru_cache(maxsize=256)(_chosen)


def names(accept: str, media: str) -> bool:
    """Whether the client names this very type, as browsers do with text/html."""
    return any(name == media and quality > 0 for name, quality, _ in (_range(part, 0) for part in accept.split(",")))


def _range(part: str, place: int) -> tuple[str, float, int]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return name, float(quality), place
    except ValueError:
        return name, 0, place


def _preference(media: str, ranges: Sequence[tuple[str, float, int]]) -> tuple[float, int]:
    """Quality and place of the most specific range that matches."""
    wildcards = () if media == STREAM else (media.partition("/")[0] + "/*", "*/*")
    for wanted in (media, *wildcards):
        for name, quality, place in ranges:
            if name == wanted:
                return quality, place
    return 0, 0
