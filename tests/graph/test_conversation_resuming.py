"""Runs that are taken up again: whatever becomes of a worker, and wherever, the next one goes on behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from domain.assistant.telling import Telling
from domain.assistant.tool_use import use_tool
from domain.conversations import runs
from domain.conversations.entities import Run
from domain.conversations.runs import MOST_ATTEMPTS, RunLost
from domain.errors import Invalid
from domain.office import RUNS
from graph.context import Services
from graph.ids import decode
from persistence.bell import EVERYBODY
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.halting import (
    FIRST,
    HaltingModel,
    HaltingOffice,
    answered_by,
    assistant_of,
    office_of,
    pen_of,
)
from tests.support.served import Served, Socket, socket_to
from tests.support.talking import FOLLOW, SENT, Heard, message, until_end
from tests.support.worker import drained, worker_of, working

QUESTION: Final = "What does Vikram Rao hold?"
TOOLS: Final = ["find_client", "holdings"]
START: Final = "conversation { id eventsCursor }"
EVENTS: Final = "select count(*), max(seq) from events where stream = $1"
USES: Final = "select round, position, name, arguments from tool_uses where run_id = $1 order by round, position"
CANCEL: Final = """mutation ($run: ID!) {
    cancelRun(input: {runId: $run}) { run { status } userErrors { code } }
}"""
RETRY: Final = f"mutation ($run: ID!) {{ retryRun(input: {{runId: $run}}) {{ {SENT} userErrors {{ code }} }} }}"
OPEN: Final = "select count(*) from runs where status in ('QUEUED', 'RUNNING')"


class Asked(msgspec.Struct, frozen=True):
    """A question whose run waits for a worker, and whoever follows it."""

    who: SignedIn
    socket: Socket
    conversation: str
    answer: str
    run: str

    @property
    def run_id(self) -> UUID:
        """The run's."""
        return decode(self.run, "run", "id")

    @property
    def stream(self) -> str:
        """The conversation's."""
        return f"conversation:{decode(self.conversation, 'conversation', 'id')}"


Ask = Callable[..., Any]


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    made = await make.advisor()
    assert made.book
    client = await make.client(made.book, name="Vikram Rao")
    await make.portfolio(client)
    return made


@pytest.fixture
def ask(gql: Gql, live: Served, advisor: SignedIn) -> Ask:
    """Asks in a conversation of its own, on a socket that follows it; once whatever a test does goes wrong, it ends."""

    @asynccontextmanager
    async def asking(question: str = QUESTION) -> AsyncIterator[Asked]:
        started = (await gql.as_(advisor).change("startConversation", START))["conversation"]
        async with socket_to(live, advisor.token) as socket:
            await socket.subscribe(FOLLOW, conversation=started["id"], after=started["eventsCursor"])
            given = {"content": question, "idempotencyKey": started["id"], "conversationId": started["id"]}
            sent = await gql.as_(advisor).change("sendMessage", SENT, **given)
            yield Asked(advisor, socket, started["id"], sent["answer"]["id"], sent["run"]["id"])

    return asking


async def whole(gql: Gql, make: Make, asked: Asked) -> tuple[Any, Heard]:
    """The answer as it is stored, and as it was heard; fails the test unless they agree, and nothing was done twice."""
    heard = await until_end(asked.socket)
    stored = await message(gql, asked.who, asked.answer)
    assert heard.whole == {asked.answer: stored}
    assert heard.agrees(asked.answer)
    assert heard.kinds.count("RunStarted") == 1
    uses = [tuple(row) for row in await make.connection.fetch(USES, asked.run_id)]
    assert [use[2] for use in uses] == [each["name"] for each in stored["toolsUsed"]] == TOOLS
    assert len(uses) == len(set(uses))
    return stored, heard


async def said_undisturbed(gql: Gql, make: Make, services: Services, ask: Ask) -> tuple[Any, int]:
    """The blocks of the answer that nobody disturbs, and how many pieces it comes in."""
    stored, pieces = await undisturbed(gql, make, services, ask)
    return stored["blocks"], pieces


async def undisturbed(gql: Gql, make: Make, services: Services, ask: Ask) -> tuple[Any, int]:
    """The answer that nobody disturbs, and how many pieces it comes in."""
    model = HaltingModel()
    async with ask() as asked:
        await assistant_of(services, model).answer(office_of(services), asked.run_id)
        stored, heard = await whole(gql, make, asked)
    told = [block["text"] for block in stored["blocks"] if block["__typename"] == "TextBlock"]
    assert "".join(told) == heard.text_of(asked.answer)
    assert told[0].startswith(FIRST)
    return stored, model.given


async def logged(make: Make, asked: Asked) -> tuple[int, ...]:
    return tuple(await make.connection.fetchrow(EVENTS, asked.stream) or ())


@pytest.mark.parametrize("ends", ["cancelled", "left"])
async def test_wherever_a_worker_stops_the_next_goes_on_behind_it(
    gql: Gql, make: Make, services: Services, ask: Ask, ends: str
) -> None:
    blocks, pieces = await said_undisturbed(gql, make, services, ask)
    assert pieces > 15
    for after in range(pieces):
        async with ask() as asked:
            model = HaltingModel(after)
            first = asyncio.create_task(assistant_of(services, model).answer(office_of(services), asked.run_id))
            await model.gate.reached()
            if ends == "cancelled":
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
            await assistant_of(services).answer(office_of(services), asked.run_id)
            stored, _ = await whole(gql, make, asked)
            assert stored["blocks"] == blocks, after
            before = await logged(make, asked)
            model.gate.open()
            await asyncio.gather(first, return_exceptions=True)
            assert await logged(make, asked) == before
            assert await message(gql, asked.who, asked.answer) == stored


@pytest.mark.parametrize(
    ("verb", "place"),
    [
        (runs.take, "after"),
        (use_tool, "before"),
        (use_tool, "after"),
        (runs.conclude, "before"),
        (runs.conclude, "after"),
    ],
)
async def test_whatever_was_stored_last_nothing_is_done_twice(
    gql: Gql, make: Make, services: Services, ask: Ask, verb: Callable[..., Any], place: str
) -> None:
    once, _ = await undisturbed(gql, make, services, ask)
    async with ask() as asked:
        office = HaltingOffice(services, verb, before=place == "before")
        first = asyncio.create_task(assistant_of(services).answer(office, asked.run_id))
        await office.gate.reached()
        await assistant_of(services).answer(office_of(services), asked.run_id)
        stored, _ = await whole(gql, make, asked)
        assert stored["blocks"] == once["blocks"]
        # What it was asked in each round is counted once, whoever asked.
        assert stored["usage"]["inputTokens"] == once["usage"]["inputTokens"]
        told = await logged(make, asked)
        # Whoever had it before finds that it is no longer his, and says nothing of it.
        office.gate.open()
        await first
        assert await logged(make, asked) == told
        assert await message(gql, asked.who, asked.answer) == stored


async def test_a_worker_that_has_lost_its_run_lets_go_of_it_in_the_middle(
    gql: Gql, make: Make, services: Services, ask: Ask
) -> None:
    blocks, pieces = await said_undisturbed(gql, make, services, ask)
    async with ask() as asked:
        lost, kept = HaltingModel(pieces - 6), HaltingModel(3)
        first = asyncio.create_task(assistant_of(services, lost).answer(office_of(services), asked.run_id))
        await lost.gate.reached()
        second = asyncio.create_task(assistant_of(services, kept).answer(office_of(services), asked.run_id))
        await kept.gate.reached()
        lost.gate.open()
        await first
        assert not second.done()
        kept.gate.open()
        await second
        stored, _ = await whole(gql, make, asked)
        assert stored["blocks"] == blocks


async def taken(services: Services, asked: Asked) -> Run:
    found = await office_of(services).write(runs.take, asked.run_id)
    assert found
    return found


async def test_nothing_of_an_older_attempt_comes_into_the_log(make: Make, services: Services, ask: Ask) -> None:
    async with ask() as asked:
        pen = pen_of(services)
        older = pen.of(await taken(services, asked))
        older.write(Telling(0, "Before. "))
        await older.written()
        newer = pen.of(await taken(services, asked))
        told = await logged(make, asked)
        # In one batch with what the newer attempt says.
        older.write(Telling(0, "After. ", 8))
        newer.write(Telling(0, "Instead. ", 8))
        with pytest.raises(RunLost):
            await older.written()
        await newer.written()
        assert await logged(make, asked) == (told[0] + 1, told[1] + 1)
        assert await make.connection.fetchval("select string_agg(text, '' order by seq) from run_steps") == (
            "Before. Instead. "
        )
        with pytest.raises(RunLost):
            older.write(Telling(0, "Again. ", 8))


async def test_a_run_whose_workers_end_again_and_again_fails_and_may_be_tried_again(
    gql: Gql, make: Make, services: Services, ask: Ask
) -> None:
    async with ask() as asked:
        for _ in range(MOST_ATTEMPTS):
            await taken(services, asked)
        await assistant_of(services).answer(office_of(services), asked.run_id)
        heard = await until_end(asked.socket)
        assert heard.kinds[-1] == "RunFailed"
        assert (heard.events[-1]["code"], heard.events[-1]["retryable"]) == ("INTERRUPTED", True)
        again = (await gql.as_(asked.who).run(RETRY, run=asked.run))["retryRun"]
        assert again["userErrors"] == []
        await drained(answered_by(services, HaltingModel()), RUNS)
        second = await message(gql, asked.who, again["answer"]["id"])
        assert second["run"]["status"] == "COMPLETED"
        assert [each["name"] for each in second["toolsUsed"]] == TOOLS
    assert await make.connection.fetchval(OPEN) == 0


async def test_a_run_goes_on_when_all_bells_ring(gql: Gql, make: Make, services: Services, ask: Ask) -> None:
    async with ask() as asked:
        model = HaltingModel(8)
        running = asyncio.create_task(assistant_of(services, model).answer(office_of(services), asked.run_id))
        await model.gate.reached()
        services.doors.bell.ring([EVERYBODY])
        # Longer than it takes to look whether the run is still there.
        await office_of(services).write(runs.check, await _stored(make, asked))
        await asyncio.sleep(0.2)
        assert not running.done()
        model.gate.open()
        await running
        await whole(gql, make, asked)


async def _stored(make: Make, asked: Asked) -> Run:
    row = await make.connection.fetchrow("select * from runs where id = $1", asked.run_id)
    return msgspec.convert(dict(row or {}), Run)


async def test_a_cancelled_run_is_let_go_of_at_once(gql: Gql, services: Services, ask: Ask) -> None:
    async with ask() as asked:
        model = HaltingModel(8)
        running = asyncio.create_task(assistant_of(services, model).answer(office_of(services), asked.run_id))
        await model.gate.reached()
        cancelled = await gql.as_(asked.who).run(CANCEL, run=asked.run)
        assert cancelled == {"cancelRun": {"run": {"status": "CANCELLED"}, "userErrors": []}}
        # Though the model has not gone on.
        await asyncio.wait_for(running, 10)
        heard = await until_end(asked.socket)
        assert heard.events[-1]["code"] == "CANCELLED"
        assert heard.agrees(asked.answer)


async def test_what_cannot_be_stored_of_one_run_holds_up_no_other(make: Make, services: Services, ask: Ask) -> None:
    async with ask() as bad, ask() as good:
        pen = pen_of(services)
        spoilt, sound = pen.of(await taken(services, bad)), pen.of(await taken(services, good))
        spoilt.write(Telling(0, "no\0thing"))
        sound.write(Telling(0, "all"))
        await sound.written()
        with pytest.raises(Invalid):
            await spoilt.written()
        assert [row[0] for row in await make.connection.fetch("select text from run_steps")] == ["all"]


async def test_an_answer_may_hold_what_cannot_be_stored(
    gql: Gql, make: Make, services: Services, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.halting.FIRST", "One\0 half: \ud83d and 😀 whole. ")
    async with ask() as asked:
        await assistant_of(services).answer(office_of(services), asked.run_id)
        stored, heard = await whole(gql, make, asked)
    assert stored["blocks"][0]["text"].startswith("One\ufffd half: \ufffd and 😀 whole. ")
    assert heard.text_of(asked.answer).startswith("One\ufffd half: \ufffd and 😀 whole. ")


async def test_a_conversation_that_is_deleted_holds_up_no_other(
    gql: Gql, make: Make, services: Services, ask: Ask
) -> None:
    async with ask() as going, ask() as staying:
        pen = pen_of(services)
        gone, stays = pen.of(await taken(services, going)), pen.of(await taken(services, staying))
        deleting = asyncio.create_task(
            gql.as_(going.who).change("deleteConversation", "deletedId", conversationId=going.conversation)
        )
        text = ""
        while not deleting.done():
            gone_too = Telling(0, "gone ")
            stays.write(Telling(0, "stays ", len(text)))
            text += "stays "
            try:
                gone.write(gone_too)
                await gone.written()
            except RunLost:
                pass
            await stays.written()
        assert (await deleting)["userErrors"] == []
        assert await make.connection.fetchval("select string_agg(text, '' order by seq) from run_steps") == text


async def test_a_worker_that_ends_hands_its_runs_on(gql: Gql, make: Make, services: Services, ask: Ask) -> None:
    blocks, _ = await said_undisturbed(gql, make, services, ask)
    async with ask() as asked:
        model = HaltingModel(12)
        worker = worker_of(answered_by(services, model), RUNS)
        working_ = asyncio.create_task(worker.run())
        await model.gate.reached()
        worker.stop()
        await asyncio.wait_for(working_, 20)
        assert await make.connection.fetchval("select status::text from queue.pgqueuer") == "queued"
        async with working(answered_by(services, HaltingModel()), RUNS):
            stored, _ = await whole(gql, make, asked)
        assert stored["blocks"] == blocks
    assert await make.connection.fetchval("select attempt from runs where id = $1", asked.run_id) == 2


async def test_a_run_whose_job_is_gone_is_carried_on(gql: Gql, make: Make, services: Services, ask: Ask) -> None:
    office = office_of(services)
    async with ask() as lost, ask() as cared_for:
        await make.connection.execute("update runs set created_at = created_at - interval '2 minutes'")
        await make.connection.execute("delete from queue.pgqueuer where payload = $1", str(lost.run_id).encode())
        for _ in range(2):
            await office.write(runs.have_cared_for)
        payloads = [bytes(row[0]).decode() for row in await make.connection.fetch("select payload from queue.pgqueuer")]
        assert sorted(payloads) == sorted([str(lost.run_id), str(cared_for.run_id)])
        await drained(answered_by(services, HaltingModel()), RUNS)
        for asked in (lost, cared_for):
            await whole(gql, make, asked)


async def test_seats_that_nobody_fills_are_filled(gql: Gql, make: Make, services: Services, advisor: SignedIn) -> None:
    answering = answered_by(services, HaltingModel())
    for number in range(runs.MOST_RUNNING + 1):
        await gql.as_(advisor).change("sendMessage", SENT, content="Hello", idempotencyKey=str(number))
    assert await make.connection.fetchval("select count(*) from runs where status = 'QUEUED'") == 1
    await drained(answering, [runs.carry_out])
    await make.connection.execute("delete from queue.pgqueuer")
    await make.connection.execute("update runs set created_at = created_at - interval '2 minutes'")
    assert await make.connection.fetchval(OPEN) == 1
    await runs.revive(office_of(services))
    await drained(answering, RUNS)
    assert await make.connection.fetchval(OPEN) == 0
