"""Language models behind one Protocol: what is asked of them, and what they answer piece by piece."""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from domain.refs import Ref

T = TypeVar("T")


class Speaker(StrEnum):
    """Whose words a line of a prompt is."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Call(msgspec.Struct, frozen=True):
    """A tool that the model wants called; `arguments` is JSON as the model wrote it, malformed perhaps."""

    id: str
    name: str
    arguments: str


class Line(msgspec.Struct, frozen=True):
    """A line of a prompt; `calls` are the assistant's, `call_id` says which of them a tool's line answers."""

    speaker: Speaker
    text: str
    calls: tuple[Call, ...] = ()
    call_id: str | None = None


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model is told of it; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


class Focus(msgspec.Struct, frozen=True):
    """An object that the user is looking at, or that was just spoken of."""

    ref: Ref
    name: str


class Ask(msgspec.Struct, frozen=True):
    """What is asked of a model.

    `said` is the beginning of the answer that the reader has seen already, where another model, or this one, was cut
    short: what is answered follows it directly. `focus` and `today` are what the lines of the system say too; the
    embedded model reads them here. Without `tools` it answers in words alone. Where it `may_call` none any more, they
    are named all the same, for some endpoints take no lines of tools that they are not told of.
    """

    lines: tuple[Line, ...]
    tools: tuple[ToolSpec, ...] = ()
    said: str = ""
    focus: tuple[Focus, ...] = ()
    today: date | None = None
    locale: str = "en_IN"
    may_call: bool = True


class Text(msgspec.Struct, frozen=True):
    """Some further words of the answer."""

    text: str


class Spent(msgspec.Struct, frozen=True):
    """What an answer has cost: tokens in and out, and the price of both in US dollars, if one is known."""

    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None = None


Piece: TypeAlias = Text | Call | Spent


class Formed(msgspec.Struct, Generic[T], frozen=True):
    """An answer of a shape, and what each request for it has cost, as far as the model told."""

    value: T
    spent: tuple[Spent, ...] = ()


class ModelDown(Exception):  # noqa: N818 - it ends a run, as a fault does
    """No model answers at present; the same may succeed later."""


class ModelRefused(Exception):  # noqa: N818 - as for ModelDown
    """The model does not take what is asked of it: to repeat it changes nothing."""


class ModelUnusable(ModelRefused):
    """The model takes nothing of us until its settings change: a key is wrong, or there is no such model."""


class Model(Protocol):
    """A language model, or several that stand in for each other."""

    @property
    def name(self) -> str:
        """What it is called in traces and usage."""
        ...

    def answer(self, ask: Ask) -> AsyncIterator[Piece]:
        """The answer, as it comes: words, then the calls of tools that it wants before it goes on, then what it cost.

        Raises ModelDown and ModelRefused, after some pieces perhaps.
        """
        ...

    async def structured(self, ask: Ask, shape: type[T]) -> Formed[T]:
        """An answer of the given shape (a msgspec struct). Raises ModelDown and ModelRefused."""
        ...
