"""Answers that are held up at a place of a test's choosing: by the model, or where something is stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec

from domain.assistant.answering import ModelAssistant
from domain.assistant.models import Ask, Call, Formed, Piece, Text
from domain.assistant.models.embedded import EmbeddedModel, following
from domain.assistant.prompting import ContextWindow
from domain.entities import IdMaker
from graph.context import Services
from graph.office import Office
from persistence.conversations.pen import Pen

FIRST: Final = "One moment, please: I am looking that up. "
WINDOW: Final = 32_000


class Gate:
    """Where somebody waits until it is opened."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    async def halt(self) -> None:
        """Wait here."""
        self._reached.set()
        await self._open.wait()

    async def reached(self) -> None:
        """Until somebody waits here; fails the test after some seconds."""
        await asyncio.wait_for(self._reached.wait(), 20)

    def open(self) -> None:
        """Let whoever waits go on."""
        self._open.set()


class HaltingModel:
    """Answers as the embedded model, with some words before its calls, and halts after so many pieces."""

    def __init__(self, after: int | None = None) -> None:
        self.gate = Gate()
        self.given = 0
        self._after = after

    @property
    def name(self) -> str:
        """What it is called."""
        return "halting"

    async def answer(self, ask: Ask) -> AsyncIterator[Piece]:
        """The pieces, as far as it may."""
        for piece in await _pieces(ask):
            if self.given == self._after:
                await self.gate.halt()
            self.given += 1
            yield piece

    async def structured(self, ask: Ask, shape: type[Any]) -> Any:
        """As the embedded model."""
        return await EmbeddedModel().structured(ask, shape)


class Thinking(EmbeddedModel):
    """The embedded model, which takes its time for titles."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    async def structured(self, ask: Ask, shape: type[Any]) -> Formed[Any]:
        """As it, when the gate is open."""
        await self.gate.halt()
        return await super().structured(ask, shape)


async def _pieces(ask: Ask) -> list[Piece]:
    pieces = [piece async for piece in EmbeddedModel().answer(ask)]
    if not any(isinstance(piece, Call) for piece in pieces):
        return pieces
    return [*(Text(f"{word} ") for word in following(FIRST, ask.said).split()), *pieces]


class HaltingOffice(Office):
    """An office that halts before a verb is called, or after it is done, the first time."""

    def __init__(self, services: Services, verb: Callable[..., Any], *, before: bool) -> None:
        super().__init__(services.doors, services.gateways, asyncio.Semaphore(4), 0)
        self.gate = Gate()
        self._verb: Callable[..., Any] | None = verb
        self._before = before

    async def write(self, verb: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Call it, and halt."""
        return await self._halting(verb, lambda: super(HaltingOffice, self).write(verb, *args, **kwargs))

    async def write_as(self, session_id: Any, verb: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Call it, and halt."""
        return await self._halting(verb, lambda: super(HaltingOffice, self).write_as(session_id, verb, *args, **kwargs))

    async def _halting(self, verb: Callable[..., Any], call: Callable[[], Awaitable[Any]]) -> Any:
        halts = verb is self._verb
        self._verb = None if halts else self._verb
        if halts and self._before:
            await self.gate.halt()
        result = await call()
        if halts and not self._before:
            await self.gate.halt()
        return result


def office_of(services: Services) -> Office:
    """An office that halts nowhere."""
    return Office(services.doors, services.gateways, asyncio.Semaphore(4), 0)


def pen_of(services: Services) -> Pen:
    """A pen of one's own, as of another process."""
    return Pen(services.doors.database, services.doors.bell, services.doors.clock)


def assistant_of(services: Services, model: Any = None) -> ModelAssistant:
    """An assistant of one's own, as of another process."""
    return ModelAssistant(model or HaltingModel(), pen_of(services), ContextWindow(WINDOW), IdMaker().make)


def answered_by(services: Services, model: Any) -> Services:
    """The services, with an assistant that asks this model."""
    gateways = msgspec.structs.replace(services.gateways, assistant=assistant_of(services, model))
    return msgspec.structs.replace(services, gateways=gateways)
