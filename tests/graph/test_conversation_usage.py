"""What answers have cost: nothing of it is lost, whoever ends a run, and however often it is taken up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from domain.assistant.models.endpoints import Prices
from domain.conversations.runs import MOST_ATTEMPTS
from domain.office import RUNS
from graph.context import Services
from graph.ids import decode
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.halting import office_of
from tests.support.language_model import LanguageModel, Reply, Want, breaks_off, fails, halting, says, wants, words
from tests.support.served import Served, socket_to
from tests.support.talking import ASK, answered_by, message, say, until, until_end
from tests.support.worker import drained, working

# A first round of 11 tokens in and 7 out, for two tools at once.
FIRST: Final = wants(Want("find_client", {"text": "Meera"}, "a"), Want("cash", {"of": "Meera"}, "b"))
LAST: Final = says("Well.", used=(100, 20))
PRICES: Final = Prices(Decimal("2.5"), Decimal(10))
ATTEMPTS: Final = "select attempt, input_tokens from model_calls order by attempt, ended_at, id"


class Under(msgspec.Struct, frozen=True):
    """An answer whose second round has begun and does not end: who is at work on it, and what was sent."""

    services: Services
    sent: Any
    worker: "asyncio.Task[None]"

    @property
    def run(self) -> str:
        """The run's id."""
        return str(self.sent["run"]["id"])

    async def kill(self) -> None:
        """End the worker, which has no time to note anything."""
        self.worker.cancel()
        await asyncio.gather(self.worker, return_exceptions=True)


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    made = await make.advisor()
    assert made.book
    await make.client(made.book, name="Meera Krishnamurthy")
    return made


@asynccontextmanager
async def second_round(gql: Gql, who: SignedIn, services: Services, *later: Reply) -> AsyncIterator[Under]:
    """An answer in its second round; `later` is what the model says after that."""
    server = LanguageModel(FIRST, halting(asyncio.Event(), ["Let ", "me "]), *later)

    async def asked_twice() -> bool:
        return len(server.asked) == 2

    async with answered_by(services, server, prices=PRICES) as answering:
        sent = await say(gql, who, "How is she?")
        run_id = decode(sent["run"]["id"], "run", "id")
        worker = asyncio.create_task(answering.gateways.assistant.answer(office_of(answering), run_id))
        under = Under(answering, sent, worker)
        try:
            await until(asked_twice)
            yield under
        finally:
            await under.kill()


async def usage(gql: Gql, who: SignedIn, sent: Any) -> Any:
    """What an answer has cost, as it is read afterwards: tokens in and out, the models, the price."""
    return stated((await message(gql, who, sent["answer"]["id"]))["usage"])


def stated(found: Any) -> Any:
    return found and (found["inputTokens"], found["outputTokens"], found["models"], Decimal(found["cost"]))


def spent(input_tokens: int, output_tokens: int) -> Any:
    """As `usage` gives it."""
    return input_tokens, output_tokens, ["tests"], PRICES.cost(input_tokens, output_tokens)


async def test_what_a_killed_worker_has_spent_is_counted(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    async with second_round(gql, advisor, services, LAST) as under:
        await under.kill()
        await drained(under.services, RUNS)
    assert await usage(gql, advisor, under.sent) == spent(111, 27)
    assert [tuple(row) for row in await make.connection.fetch(ATTEMPTS)] == [(1, 11), (2, 100)]


async def cancelled(_: Make, gql: Gql, who: SignedIn, under: Under) -> None:
    """End it by the hand of its user."""
    payload = await gql.as_(who).change("cancelRun", "run { status }", runId=under.run)
    assert payload == {"run": {"status": "CANCELLED"}, "userErrors": []}


async def interrupted(make: Make, _: Gql, __: SignedIn, under: Under) -> None:
    """Have its workers end again and again."""
    await under.kill()
    await make.connection.execute("update runs set attempt = $1", MOST_ATTEMPTS)
    await drained(under.services, RUNS)


async def unseen(make: Make, _: Gql, who: SignedIn, under: Under) -> None:
    """Have the client out of its asker's sight for as long as the run goes on."""
    await under.kill()
    assert who.book
    for book in (await make.book(), who.book):
        await make.connection.execute("update clients set book_id = $1", book.id)
        await drained(under.services, RUNS)


Ends = Callable[[Make, Gql, SignedIn, Under], Awaitable[None]]


@pytest.mark.parametrize(
    ("end", "error"), [(cancelled, "CANCELLED"), (interrupted, "INTERRUPTED"), (unseen, "OUT_OF_SIGHT")]
)
async def test_whoever_ends_a_run_what_it_has_cost_is_told(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, end: Ends, error: str
) -> None:
    async with second_round(gql, advisor, services) as under:
        await end(make, gql, advisor, under)
        if not under.worker.cancelled():
            await under.worker
    answer = await message(gql, advisor, under.sent["answer"]["id"])
    assert answer["run"]["error"] == error
    # What the round that was cut off has cost, nobody knows.
    assert stated(answer["usage"]) == spent(11, 7)


async def test_a_failure_and_whoever_tries_again_have_each_their_own(
    gql: Gql, live: Served, services: Services, advisor: SignedIn
) -> None:
    server = LanguageModel(FIRST, breaks_off(*words("She ")), *[fails(401)] * 2, LAST)
    given = {"content": "How is she?", "idempotencyKey": "once"}
    async with (
        answered_by(services, server, prices=PRICES) as answering,
        socket_to(live, advisor.token) as socket,
    ):
        async with working(answering, RUNS):
            await socket.subscribe(ASK, input=given)
            heard = await until_end(socket, "ask")
        (failed,) = heard.whole.values()
        server.script.clear()
        server.script.append(LAST)
        again = await gql.as_(advisor).change("retryRun", "answer { id }", runId=failed["run"]["id"])
        await drained(answering, RUNS)
    assert (heard.events[-1]["__typename"], heard.events[-1]["code"]) == ("RunFailed", "MODEL_DOWN")
    assert stated(failed["usage"]) == await usage(gql, advisor, {"answer": failed}) == spent(11, 7)
    assert await usage(gql, advisor, again) == spent(100, 20)


async def test_an_answer_that_no_model_was_asked_for_has_no_usage(gql: Gql, advisor: SignedIn) -> None:
    sent = await say(gql, advisor, "Hello?")
    await gql.as_(advisor).change("cancelRun", "run { id }", runId=sent["run"]["id"])
    assert await usage(gql, advisor, sent) is None
