"""Settings that hold several things, with commas between them."""

from typing import Any


def parts_of(value: Any) -> Any:
    """The parts of a text, without blanks around them, as a tuple; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    return tuple(filter(None, (part.strip() for part in value.split(","))))
