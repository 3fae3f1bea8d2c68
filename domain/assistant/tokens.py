"""How many tokens a text has: counted where the data for it lies on disk, otherwise a bound that is never too low."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

Count = Callable[[str], int]

ENCODING: Final = "o200k_base"
# As tiktoken knows it: the file in its cache is called by the digest of where it comes from.
SOURCE: Final = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
DIGEST: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"


def bound(text: str) -> int:
    """At most so many tokens, whatever the model: each of them stands for a byte of UTF-8 at least."""
    return len(text.encode("utf-8", "surrogatepass"))


@cache
def counter() -> Count:
    """What counts tokens here, found out once: tiktoken if its data is at hand, else the bound.

    Other models than OpenAI's split words otherwise, but seldom into many more.
    """
    # Anything but that very file tiktoken would throw away, and fetch anew.
    if not _at_hand(_cached()):
        return bound
    import tiktoken  # noqa: PLC0415 - of no use without its data

    encoding = tiktoken.get_encoding(ENCODING)
    return lambda text: len(encoding.encode_ordinary(text))


def _cached() -> Path:
    """Where tiktoken looks for the data."""
    stated = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    home = Path(stated) if stated is not None else Path(tempfile.gettempdir()) / "data-gym-cache"
    return home / hashlib.sha1(SOURCE.encode(), usedforsecurity=False).hexdigest()


def _at_hand(path: Path) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == DIGEST
    except OSError:
        return False
