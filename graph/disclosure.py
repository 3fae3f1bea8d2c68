"""How much the API tells of itself, beyond answers: its schema, names that are like a mistaken one, what went wrong."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Introspection(StrEnum):
    """Who may read the whole schema. What one type is (`__type`, `__typename`) is told to all, as clients expect."""

    OPEN = "open"
    SIGNED_IN = "signed-in"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What helps those who write a program, and those who look for a way in.

    `suggestions` are the schema's names that are like a mistaken one; `debug` is the class and the message, never the
    traceback, of an exception that nobody foresaw, and of each operation how and how long it was executed.
    """

    introspection: Introspection = Introspection.SIGNED_IN
    suggestions: bool = False
    debug: bool = False


DISCREET: Final = Disclosure()
# What helps to develop against a server of one's own.
FRANK: Final = Disclosure(Introspection.OPEN, suggestions=True, debug=True)
