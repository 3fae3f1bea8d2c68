"""Tools: what a model may look up, as the user who asks, so that it never sees what that user does not."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.assistant.models import Focus
from domain.conversations.blocks import AnyBlock
from domain.work import Work

A = TypeVar("A", bound=msgspec.Struct)


class Found(msgspec.Struct, frozen=True):
    """What a tool has found.

    `facts` go to the model as JSON, `blocks` to the reader as they are; `clients` are those whose data is in either,
    by whom it is decided who may read the message; `focus` are the objects that it is about.
    """

    facts: dict[str, Any]
    blocks: tuple[AnyBlock, ...] = ()
    clients: frozenset[UUID] = frozenset()
    focus: tuple[Focus, ...] = ()


class ToolFailed(Exception):  # noqa: N818 - it is told to the model, which may try otherwise
    """The arguments cannot be read, or nothing fits them; the message says what to do about it.

    `clients` are those whom the message names: as for what was found, it is decided by them who may read what follows.
    """

    def __init__(self, message: str, clients: frozenset[UUID] = frozenset()) -> None:
        super().__init__(message)
        self.message = message
        self.clients = clients


class Tool(msgspec.Struct, Generic[A], frozen=True):
    """A tool: its name and description for models, the shape of its arguments, and what it does.

    `line` says to people, in their words, what is being looked up. `call` raises ToolFailed.
    """

    name: str
    description: str
    arguments: type[A]
    line: Callable[[A], str]
    call: Callable[[Work, Viewer, A], Awaitable[Found]]
