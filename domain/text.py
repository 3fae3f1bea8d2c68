"""Names and words as the database sorts and searches them, and texts as rules accept them."""

import re
import unicodedata
from typing import Final

from domain.errors import Refusal, RefusalCode

LONGEST_NAME: Final = 200
LONGEST_NOTE: Final = 10_000
SHORTEST_REASON: Final = 10
LONGEST_REASON: Final = 1_000
# PostgreSQL stores neither a NUL nor half of a surrogate pair.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_WORD: Final = re.compile(r"[^\W_]+")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


def fold(text: str) -> str:
    """Case and accents taken away: the database has no ICU collation, so lists sort by this."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark)).strip()


def words(*texts: str | None) -> frozenset[str]:
    """The folded words of some texts, for search by the beginnings of words."""
    return frozenset(word for text in texts if text for word in _WORD.findall(fold(text)))


def storable(text: str) -> str:
    """A text that others have written, with U+FFFD for each character that cannot be stored."""
    return _UNSTORABLE.sub("\ufffd", text)


def invalid(field: str, message: str) -> Refusal:
    """The refusal of one input field's value."""
    return Refusal(RefusalCode.INVALID_VALUE, message, ("input", *field.split(".")))


def named(text: str, field: str) -> str:
    """A name without outer blanks; refuses an empty or overlong one."""
    name = " ".join(text.split())
    if not name:
        raise invalid(field, "A name is needed.")
    if len(name) > LONGEST_NAME:
        raise invalid(field, f"A name has at most {LONGEST_NAME} characters.")
    return name


def noted(text: str | None, field: str) -> str:
    """A free text; refuses an overlong one."""
    note = (text or "").strip()
    if len(note) > LONGEST_NOTE:
        raise invalid(field, f"A text has at most {LONGEST_NOTE} characters.")
    return note


def reasoned(text: str) -> str:
    """A reason that the audit trail keeps, without outer blanks. Refuses: INVALID_VALUE."""
    reason = " ".join(text.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise invalid("reason", f"A reason has {SHORTEST_REASON} to {LONGEST_REASON} characters.")
    return reason


def email(text: str | None, field: str) -> str | None:
    """An e-mail address in lower case, or none; refuses what cannot be one."""
    if text is None or not text.strip():
        return None
    address = text.strip().lower()
    if len(address) > 254 or not _EMAIL.fullmatch(address):  # noqa: PLR2004 - RFC 5321's limit of a path
        raise invalid(field, "This is not an e-mail address.")
    return address
