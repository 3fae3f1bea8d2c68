"""How a run ends where something goes wrong right before: nothing that was said is lost, and nothing keeps it open."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest

from domain.assistant.answering import survey
from domain.assistant.models import Ask, ModelDown, Piece, Text
from domain.assistant.models.embedded import EmbeddedModel
from domain.assistant.telling import Telling
from graph.context import Services
from graph.ids import decode
from persistence.conversations import pen
from persistence.conversations.pen import Nib, Pen
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.halting import Gate, HaltingModel, HaltingOffice, assistant_of, office_of
from tests.support.talking import message, say, until

SAID: Final = "select count(*) from run_steps where state is null"


class Spoilt(Pen):
    """A pen that cannot write any words: the database takes no NUL."""

    def take(self, nib: Nib, telling: Telling) -> None:
        """Have something written that cannot be."""
        super().take(nib, msgspec.structs.replace(telling, text="\0"))


class Failing(EmbeddedModel):
    """A model that says something, and goes down right behind its last words when a gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    async def answer(self, ask: Ask) -> AsyncIterator[Piece]:  # noqa: ARG002 - whatever is asked
        """Words, and no more."""
        yield Text("First ")
        await self.gate.halt()
        yield Text("and last.")
        raise ModelDown("gone")


async def ended(gql: Gql, who: SignedIn, sent: Any) -> Any:
    """The answer that has ended: why, and what it says."""
    answer = await message(gql, who, sent["answer"]["id"])
    return answer["run"]["error"], [block.get("text") for block in answer["blocks"]]


def run_id(sent: Any) -> Any:
    return decode(sent["run"]["id"], "run", "id")


async def test_what_cannot_be_told_keeps_no_run_from_its_end(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    sent = await say(gql, advisor, "Hello?")
    assistant = assistant_of(services)
    doors = services.doors
    assistant.pen = Spoilt(doors.database, doors.bell, doors.clock)
    await assistant.answer(office_of(services), run_id(sent))
    assert await ended(gql, advisor, sent) == ("INTERNAL", [None])


async def test_the_last_words_before_a_failure_are_told_first(
    make: Make, gql: Gql, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than it takes to end a run.
    monkeypatch.setattr(pen, "PAUSE", 1)
    advisor = await make.advisor()
    sent = await say(gql, advisor, "Hello?")
    model = Failing()
    running = asyncio.create_task(assistant_of(services, model).answer(office_of(services), run_id(sent)))

    async def said() -> bool:
        return bool(await make.connection.fetchval(SAID))

    await until(said)
    model.gate.open()
    await running
    assert await ended(gql, advisor, sent) == ("MODEL_DOWN", ["First and last.", None])


async def test_who_cancels_before_anybody_listens_is_heard(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    sent = await say(gql, advisor, "Hello?")
    # The model never answers: only the bell, or whoever looks by itself, ends its work.
    office, model = HaltingOffice(services, survey, before=False), HaltingModel(0)
    running = asyncio.create_task(assistant_of(services, model).answer(office, run_id(sent)))
    await office.gate.reached()
    payload = await gql.as_(advisor).change("cancelRun", "run { status }", runId=sent["run"]["id"])
    assert payload == {"run": {"status": "CANCELLED"}, "userErrors": []}
    office.gate.open()
    await asyncio.wait_for(running, 10)
    assert await ended(gql, advisor, sent) == ("CANCELLED", ["The answer was cancelled."])


@pytest.mark.parametrize("before", [False, True])
async def test_with_the_session_of_whoever_asked_its_answer_ends(
    make: Make, gql: Gql, services: Services, *, before: bool
) -> None:
    advisor = await make.advisor()
    later = await make.session(advisor.user)
    sent = await say(gql, advisor, "Hello?")
    # In the midst of its last words, or as soon as it was let in: no tool that is called would ask for the session.
    office, model = HaltingOffice(services, survey, before=False), HaltingModel(1)
    if not before:
        office.gate.open()
    running = asyncio.create_task(assistant_of(services, model).answer(office, run_id(sent)))
    await (office.gate if before else model.gate).reached()
    await gql.as_(advisor).run("mutation { signOut(input: {}) { signedOut } }")
    office.gate.open()
    await asyncio.wait_for(running, 10)
    error, texts = await ended(gql, later, sent)
    assert error == "SESSION_ENDED"
    assert texts[-1] is None
