"""Who is erased while conversations go on: what tells of it ends before all eyes, and nothing stores its name anew."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from asyncpg import SerializationError
from sqlalchemy import func, select

from domain.access import Role
from domain.assistant import answering, tool_use
from domain.assistant.telling import Telling
from domain.clients import Client, ClientStatus
from domain.conversations import titles, verbs
from domain.conversations.runs import RunLost
from domain.office import RUNS
from domain.work import Work
from graph.context import Services
from graph.ids import decode, id_of
from persistence import privacy
from tests.factories.firm import Make, SignedIn
from tests.graph.test_conversation_looks import nib_of
from tests.support.gql import Gql
from tests.support.halting import Gate, HaltingModel, Thinking, assistant_of, office_of
from tests.support.language_model import LanguageModel, halting
from tests.support.served import Served, socket_to
from tests.support.talking import (
    ASK,
    FOLLOW,
    Heard,
    answered_by,
    by,
    cursor_of,
    message,
    run_of,
    say,
    share,
    talk,
    until,
    until_end,
)
from tests.support.worker import drained, working

ERASE: Final = "mutation ($input: EraseClientInput!) { eraseClient(input: $input) { client { id } } }"
NAME: Final = "Quixandra Vexmoor"
# In the test's own database: others run beside it.
WAITING: Final = """
select exists (
    select from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()
)
"""
NAMING: Final = f"select count(*) from model_calls where prompt like '%{NAME}%'"  # noqa: S608 - a name of our own
TELLING: Final = tuple(
    f"select count(*) from {table} where {column}::text like '%{NAME}%'"  # noqa: S608 - as above
    for table, column in (
        ("model_calls", "prompt"),
        ("messages", "blocks"),
        ("tool_uses", "facts"),
        ("run_steps", "text"),
    )
)
CALLS: Final = "select purpose, input_tokens, prompt is null from model_calls order by purpose"
ENDED: Final = "select actor_id, after ->> 'error' from audit_events where object_type = 'Run' and before is not null"
# Nobody has told its sessions to end.
DISABLE: Final = "update users set status = 'DISABLED' where id = $1"
NOTE: Final = f"""
insert into model_calls (
    id, run_id, message_id, attempt, purpose, model, input_tokens, output_tokens, prompt, ended_at
) select $1, id, message_id, 1, 'TITLE', 'tests', 1, 1, '{NAME}', now() from runs where id = $2
"""  # noqa: S608 - a name of our own


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor()


@pytest.fixture
async def person(make: Make, advisor: SignedIn) -> Client:
    assert advisor.book
    return await make.client(advisor.book, name=NAME, status=ClientStatus.ARCHIVED)


@pytest.fixture
async def admin(make: Make) -> SignedIn:
    return await make.user(Role.ADMIN)


async def erase_client(gql: Gql, admin: SignedIn, client: Client) -> None:
    """Erase a client."""
    given = {"clientId": id_of(client), "version": 1, "reason": "Its time is over by law."}
    assert (await gql.as_(admin).change("eraseClient", "client { id }", **given))["userErrors"] == []


async def erase_user(gql: Gql, admin: SignedIn, user: SignedIn) -> None:
    """Erase a user that is disabled."""
    given = {"userId": user.id, "version": 1, "reason": "Its time is over by law."}
    assert (await gql.as_(admin).change("eraseUser", "user { id }", **given))["userErrors"] == []


def of(client: Client) -> dict[str, Any]:
    """The context of a question about a client."""
    return {"context": {"nodeIds": [id_of(client)]}}


def key_of(sent: Any) -> UUID:
    """The run of what was sent."""
    return decode(sent["run"]["id"], "run", "id")


async def nothing_waits(make: Make) -> bool:
    """Whether all jobs are done."""
    return not await make.connection.fetchval("select count(*) from queue.pgqueuer")


async def waits(make: Make) -> bool:
    """Whether anybody waits for a lock."""
    return bool(await make.connection.fetchval(WAITING))


def halting_at(monkeypatch: pytest.MonkeyPatch, module: Any, reading: str) -> Gate:
    """Where whoever has read by a function of a module halts from now on."""
    gate, read = Gate(), getattr(module, reading)

    async def halted(*known: Any) -> Any:
        found = await read(*known)
        await gate.halt()
        return found

    monkeypatch.setattr(module, reading, halted)
    return gate


async def waits_or_is_done(make: Make, task: "asyncio.Task[Any]") -> None:
    """Until a task waits for a lock, or has not had to."""

    async def either() -> bool:
        return task.done() or await waits(make)

    await until(either)


async def erased_beside(make: Make, gate: Gate, other: "asyncio.Task[Any]", erasing: Coroutine[Any, Any, None]) -> None:
    """Erase while somebody else halts at a gate, which opens once the erasure waits, or is done."""
    task = asyncio.create_task(erasing)
    await waits_or_is_done(make, task)
    gate.open()
    await asyncio.gather(other, task)


async def meanwhile(make: Make, statement: str, *given: Any, doing: Coroutine[Any, Any, Any]) -> Any:
    """What comes of something beside which a transaction with this statement is committed, once it waits for that."""
    async with make.connection.transaction():
        await make.connection.execute(statement, *given)
        task = asyncio.create_task(doing)
        await waits_or_is_done(make, task)
    return await task


async def test_a_title_that_is_thought_of_meanwhile_stores_no_name(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    model = Thinking()
    async with working(by(services, model), RUNS):
        sent = await say(gql, advisor, "How much cash?", **of(person))
        await model.gate.reached()
        await erase_client(gql, admin, person)
        model.gate.open()
        await until(lambda: nothing_waits(make))
    assert await make.connection.fetchval(NAMING) == 0
    assert (await message(gql, advisor, sent["answer"]["id"]))["blocks"] == []
    # What it has cost is known still.
    rows = [tuple(row) for row in await make.connection.fetch(CALLS)]
    assert [(purpose, blank) for purpose, _, blank in rows] == [("ANSWER", True), ("ANSWER", True), ("TITLE", True)]


async def test_no_title_that_is_thought_of_for_an_erased_user_is_kept_with_its_lines(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    model = Thinking()
    async with working(by(services, model), RUNS):
        await say(gql, advisor, "How much cash?", **of(person))
        await model.gate.reached()
        await make.connection.execute(DISABLE, advisor.user.id)
        await erase_user(gql, admin, advisor)
        model.gate.open()
        await until(lambda: nothing_waits(make))
    assert await make.connection.fetchval(NAMING) == 0
    assert [row[0] for row in await make.connection.fetch(CALLS)] == ["ANSWER", "ANSWER", "TITLE"]


async def test_what_is_being_noted_of_a_client_is_waited_for(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    sent = await say(gql, advisor, "How much cash?", **of(person))
    await drained(services, RUNS)
    await meanwhile(make, NOTE, uuid4(), key_of(sent), doing=erase_client(gql, admin, person))
    assert await make.connection.fetchval(NAMING) == 0


async def test_what_is_being_noted_for_a_user_is_waited_for(
    make: Make, gql: Gql, advisor: SignedIn, admin: SignedIn
) -> None:
    sent = await say(gql, advisor, "Hello?")
    await make.connection.execute(DISABLE, advisor.user.id)
    await meanwhile(make, NOTE, uuid4(), key_of(sent), doing=erase_user(gql, admin, advisor))
    assert await make.connection.fetchval(NAMING) == 0


async def test_a_title_of_what_is_being_deleted_is_not_thought_of(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    sent = await say(gql, advisor, "Hello?")
    await drained(services, RUNS)
    exchange = office_of(services).write(titles.exchange_of, key_of(sent))
    assert await meanwhile(make, "delete from conversations", doing=exchange) is None


async def test_a_conversation_is_locked_before_its_runs(make: Make, gql: Gql, person: Client, admin: SignedIn) -> None:
    client = await make.user(Role.CLIENT, client_id=person.id)
    sent = await say(gql, client, "What do I hold?")
    lock = "select from conversations where id = $1 for update"
    async with make.connection.transaction():
        await make.connection.execute(lock, decode(sent["conversation"]["id"], "conversation", "id"))
        erasing = asyncio.create_task(erase_client(gql, admin, person))
        await until(lambda: waits(make))
        # As whoever deletes the conversation takes it next.
        await make.connection.execute("select from runs for update nowait")
    await erasing
    assert await make.connection.fetchval("select count(*) from runs") == 0


async def test_all_who_follow_are_told_that_an_answer_about_it_has_ended(
    make: Make, gql: Gql, live: Served, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    heard = Heard()
    async with socket_to(live, advisor.token) as socket:
        given = {"content": "How much cash?", "idempotencyKey": "once", **of(person)}
        await socket.subscribe(ASK, input=given)
        heard.hear((await socket.next(20))["ask"])
        run = await make.connection.fetchval("select id from runs")
        nib = await nib_of(services, f"run_{run.hex}")
        nib.write(Telling(0, f"{NAME} has ", 0))
        await nib.written()
        heard.hear((await socket.next(20))["ask"])
        await erase_client(gql, admin, person)
        await until_end(socket, "ask", heard)
        nib.write(Telling(0, "more", 12))
        with pytest.raises(RunLost):
            await nib.written()
    end = heard.events[-1]
    assert (end["__typename"], end["code"], end["message"]["blocks"]) == ("RunFailed", "CANCELLED", [])
    # With the place of what its text was told from, which is forgotten.
    assert end["since"]
    assert await make.connection.fetchval("select count(*) from run_steps") == 0
    assert [tuple(row) for row in await make.connection.fetch(ENDED)] == [(admin.user.id, "CANCELLED")]


@pytest.mark.parametrize(
    ("module", "reading", "asked"),
    [(tool_use, "look_up", f"What does {NAME} hold?"), (answering, "still_there", "Thank you.")],
)
async def test_who_is_erased_while_an_answer_reads_of_it_is_told_of_by_none(
    make: Make,
    gql: Gql,
    services: Services,
    advisor: SignedIn,
    person: Client,
    admin: SignedIn,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    reading: str,
    asked: str,
) -> None:
    # What was said before, a model is shown once more.
    conversation = (await say(gql, advisor, "How much cash?", **of(person)))["conversation"]["id"]
    await drained(services, RUNS)
    gate = halting_at(monkeypatch, module, reading)
    sent = await say(gql, advisor, asked, conversationId=conversation)
    running = asyncio.create_task(assistant_of(services).answer(office_of(services), key_of(sent)))
    await gate.reached()
    await erased_beside(make, gate, running, erase_client(gql, admin, person))
    assert [await make.connection.fetchval(each) for each in TELLING] == [0, 0, 0, 0]


async def test_a_question_about_who_is_erased_meanwhile_is_blanked(
    make: Make, gql: Gql, advisor: SignedIn, person: Client, admin: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = halting_at(monkeypatch, verbs, "looked_at")
    asking = asyncio.create_task(say(gql, advisor, f"What does {NAME} hold?", **of(person)))
    await gate.reached()
    await erased_beside(make, gate, asking, erase_client(gql, admin, person))
    assert [await make.connection.fetchval(each) for each in TELLING] == [0, 0, 0, 0]


async def test_nobody_waits_long_behind_an_erasure_that_waits(
    make: Make, gql: Gql, person: Client, admin: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "BRIEFLY", select(func.set_config("lock_timeout", "50ms", True)))  # noqa: FBT003 - PostgreSQL's function
    given = {"clientId": id_of(person), "version": 1, "reason": "Its time is over by law."}
    async with make.connection.transaction():
        await make.connection.execute("select pg_advisory_xact_lock_shared($1)", privacy.ERASURES_LOCK)
        assert (await gql.as_(admin).ask(ERASE, input=given)).codes == ["UNAVAILABLE"]
    await erase_client(gql, admin, person)


async def test_nothing_is_blanked_of_which_a_run_goes_on(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    await erase_client(gql, admin, person)
    await say(gql, advisor, "How much cash?", **of(person))
    async with services.doors.database.lend(await make.viewer(admin)) as lent:
        with pytest.raises(SerializationError):
            await lent.connection.execute("select blank_messages($1, '')", person.id)


async def test_whoever_acts_as_the_firm_does_so_within_alone(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, admin: SignedIn
) -> None:
    run_id, viewer = key_of(await say(gql, advisor, "Hello?")), await make.viewer(admin)

    async def looks(work: Work, *, fails: bool) -> list[bool]:
        async with work.as_firm():
            seen = [await work.runs.known(run_id) is not None]
            if fails:
                raise RunLost
        return [*seen, await work.runs.known(run_id) is not None]

    assert await services.doors.write(viewer, "test", looks, fails=False) == [True, False]
    with pytest.raises(RunLost):
        await services.doors.write(viewer, "test", looks, fails=True)
    async with services.doors.database.lend(viewer) as lent:
        assert await lent.connection.fetchval("select count(*) from runs") == 0


async def test_whoever_writes_of_it_lets_go_of_the_model(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    server = LanguageModel(halting(asyncio.Event(), ["So "], "much."))
    async with answered_by(services, server) as answering, working(answering, RUNS):
        await say(gql, advisor, "How much cash?", **of(person))

        async def told() -> bool:
            return bool(await make.connection.fetchval("select count(*) from run_steps where text = 'So '"))

        await until(told)
        await erase_client(gql, admin, person)
        await server.idle()


async def test_who_waits_behind_answers_about_it_goes_on(
    gql: Gql, services: Services, advisor: SignedIn, person: Client, admin: SignedIn
) -> None:
    for number in range(5):
        await say(gql, advisor, f"How much cash {number}?", **of(person))
    waiting = await say(gql, advisor, "Hello?")
    assert waiting["run"]["status"] == "QUEUED"
    await erase_client(gql, admin, person)
    await drained(services, RUNS)
    assert (await run_of(gql, advisor, waiting["run"]["id"]))["status"] == "COMPLETED"


async def test_an_erased_user_is_not_named_by_the_answer_that_it_waited_for(
    make: Make, gql: Gql, live: Served, services: Services, advisor: SignedIn, admin: SignedIn
) -> None:
    asker = await make.user(Role.ADVISOR, name=NAME)
    conversation = await talk(gql, advisor, mode="GROUP")
    await share(gql, advisor, conversation, asker)
    cursor = await cursor_of(gql, advisor, conversation)
    model = HaltingModel(3)
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        sent = await say(gql, asker, "Hello?", conversationId=conversation)
        running = asyncio.create_task(assistant_of(services, model).answer(office_of(services), key_of(sent)))
        await model.gate.reached()
        await make.connection.execute(DISABLE, asker.user.id)
        await erase_user(gql, admin, asker)
        model.gate.open()
        await running
        heard = await until_end(socket)
    end = heard.events[-1]
    assert (end["__typename"], end["code"]) == ("RunFailed", "SESSION_ENDED")
    # What it has said so far is the firm's.
    assert [block["__typename"] for block in end["message"]["blocks"]] == ["TextBlock", "ErrorBlock"]
    assert await make.connection.fetchval(NAMING) == 0
    assert (admin.user.id, "SESSION_ENDED") in {tuple(row) for row in await make.connection.fetch(ENDED)}
