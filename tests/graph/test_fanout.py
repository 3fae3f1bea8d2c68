"""Subscribers who ask alike and see alike share one reading and one rendering; nobody hears what is not for it."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest
from graphql import GraphQLError

from domain.access import SYSTEM, Role
from domain.orders import Order, OrderStatus
from domain.orders.execution import stream_of
from graph.app import make_app
from graph.context import Services
from graph.execution import Rendering
from graph.fanout import Answer
from graph.follow import StreamCursor
from graph.http.schema import Schema
from graph.ids import id_of
from graph.schema import make_schema
from graph.settings import Settings
from persistence.work import Work
from tests.factories.firm import Make, SignedIn
from tests.factories.trading import Desk, desk, order
from tests.support.budgets import Budgets
from tests.support.gql import Gql
from tests.support.served import Served, Socket, served, socket_to
from tests.support.statements import Statements

WATCH: Final = """subscription ($portfolio: ID!, $after: String, $with: Boolean = true) {
    orderEvents(portfolioId: $portfolio, after: $after) { cursor version order @include(if: $with) { id status } }
}"""
ALIASED: Final = """subscription ($portfolio: ID!, $after: String) {
    changed: orderEvents(portfolioId: $portfolio, after: $after) { at: cursor version order { id status } }
}"""
PERSONAL: Final = """subscription ($portfolio: ID!) {
    orderEvents(portfolioId: $portfolio) { cursor version order { id viewerCanApprove } }
}"""

# In statements: who looks, and what there is.
LOOK: Final = 2


class Floor(msgspec.Struct):
    """A desk with an order of which events can be made up, and sockets to whoever watches it."""

    desk: Desk
    order: Order
    make: Make
    services: Services
    live: Served

    @property
    def portfolio(self) -> str:
        return id_of(self.desk.portfolio)

    async def happen(self, versions: Sequence[int]) -> None:
        """An event for each of these versions, all in one transaction."""
        await self.services.doors.write(SYSTEM, "test", told, self.order, versions)

    async def colleague(self, role: Role = Role.ADVISOR, **given: Any) -> SignedIn:
        """Another member of the book."""
        return await self.make.user(role, self.desk.team, self.desk.book, **given)

    async def joined(self, members: int) -> None:
        """Wait until so many have joined groups."""
        async with asyncio.timeout(10):
            while self.members != members:  # noqa: ASYNC110 - groups set no event
                await asyncio.sleep(0.01)
        # By then the group has read that there is nothing new.
        await asyncio.sleep(0.1)

    @property
    def members(self) -> int:
        return sum(len(group.members) for group in self.services.fanout.groups.values())

    @property
    def groups(self) -> int:
        return len(self.services.fanout.groups)

    @asynccontextmanager
    async def watching(
        self, *watchers: SignedIn, document: str = WATCH, id: str = "1", **variables: Any
    ) -> AsyncIterator[list[Socket]]:
        """A socket for each, subscribed and in a group."""
        async with AsyncExitStack() as stack:
            before = self.members
            sockets = [await stack.enter_async_context(socket_to(self.live, each.token)) for each in watchers]
            for socket in sockets:
                await socket.subscribe(document, id, portfolio=self.portfolio, **variables)
            await self.joined(before + len(watchers))
            yield sockets


async def told(work: Work, of: Order, versions: Sequence[int]) -> None:
    """Append events of an order."""
    for version in versions:
        work.append(stream_of(of.portfolio_id), OrderStatus.SUBMITTED.value, of.id, version)


@pytest.fixture
async def floor(make: Make, gql: Gql, live: Served, services: Services) -> Floor:
    trading = await desk(make, gql, cash="0")
    made = await order(make, trading.portfolio, trading.share, trading.advisor.user)
    return Floor(trading, made, make, services, live)


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each rendering was of."""
    seen: list[int] = []
    original = Rendering.all

    async def counted(self: Rendering, sources: Sequence[Any], context: Any) -> Any:
        seen.append(len(sources))
        return await original(self, sources, context)

    monkeypatch.setattr(Rendering, "all", counted)
    return seen


async def heard(socket: Socket) -> Any:
    """The version of the next event."""
    return (await socket.next())["orderEvents"]["version"]


async def quiet(socket: Socket) -> bool:
    """Whether nothing has come: what is asked now is the first thing that is answered."""
    await asyncio.sleep(0.3)
    await socket.send(type="ping")
    return bool((await socket.receive())["type"] == "pong")


async def test_many_cost_no_more_than_one(floor: Floor, statements: Statements, renderings: list[int]) -> None:
    counts = []
    for watchers in (1, 6):
        renderings.clear()
        async with floor.watching(*[floor.desk.advisor] * watchers) as sockets:
            with statements.counted() as seen:
                await floor.happen([1, 2, 3])
                for socket in sockets:
                    assert [await heard(socket) for _ in range(3)] == [1, 2, 3]
                await asyncio.sleep(0.2)
            counts.append(len(seen))
        assert renderings == [3]
    # A look more, where somebody was rung once more: five others would have cost five times that.
    assert abs(counts[0] - counts[1]) <= LOOK


async def test_each_is_told_under_its_own_name_and_the_same(floor: Floor) -> None:
    async with (
        floor.watching(floor.desk.advisor, id="one") as (first,),
        floor.watching(floor.desk.advisor, id='tw"o') as (second,),
    ):
        await floor.happen([7])
        messages = [await first.receive(), await second.receive()]
    assert [message.pop("id") for message in messages] == ["one", 'tw"o']
    for message in messages:
        message["payload"].pop("extensions")
    assert messages[0] == messages[1]
    shown = messages[0]["payload"]["data"]["orderEvents"]
    assert (shown["version"], shown["order"]) == (7, {"id": id_of(floor.order), "status": "SUBMITTED"})


async def test_who_shares(floor: Floor) -> None:
    advisor, colleague = floor.desk.advisor, await floor.colleague()
    tab = await floor.make.session(advisor.user, floor.desk.book)
    async with floor.watching(advisor, tab, colleague):
        assert floor.groups == 1
    assert floor.groups == 0
    async with floor.watching(advisor, advisor, tab, colleague, document=PERSONAL):
        # What may depend on who asks is shared within one session alone.
        assert floor.groups == 3


@pytest.mark.parametrize(
    ("document", "variables"), [(ALIASED, {}), (PERSONAL, {}), (WATCH + " ", {}), (WATCH, {"with": False})]
)
async def test_who_asks_otherwise_does_not_share(floor: Floor, document: str, variables: dict[str, Any]) -> None:
    async with (
        floor.watching(floor.desk.advisor) as (first,),
        floor.watching(floor.desk.advisor, document=document, **variables) as (second,),
    ):
        assert floor.groups == 2
        await floor.happen([1])
        assert list((await first.next())["orderEvents"]) == ["cursor", "version", "order"]
        ((name, shown),) = (await second.next()).items()
    assert name == ("changed" if document == ALIASED else "orderEvents")
    assert ("order" in shown) is (variables.get("with") is not False)


@pytest.mark.parametrize(
    "given",
    [{"locale": "de_CH"}, {"time_zone": "Asia/Dubai"}, {"role": Role.ANALYST}, {"role": Role.SUPERVISOR}, {"more": 1}],
)
async def test_who_sees_otherwise_does_not_share(floor: Floor, given: dict[str, Any]) -> None:
    more = given.pop("more", 0)
    other = await floor.colleague(**given)
    if more:
        await floor.make.membership(await floor.make.book(floor.desk.team), other.user)
    async with floor.watching(floor.desk.advisor) as (first,), floor.watching(other) as (second,):
        assert floor.groups == 2
        await floor.happen([1])
        assert [await heard(first), await heard(second)] == [1, 1]


async def test_whoever_comes_and_goes_at_random_misses_nothing_and_hears_nothing_twice(floor: Floor) -> None:
    chance, last, cursors = random.Random(5), 120, [""]

    async def happen() -> None:
        version = 1
        while version <= last:
            size = min(chance.choice([1, 1, 2, 7]), last + 1 - version)
            await floor.happen(range(version, version + size))
            version += size
            await asyncio.sleep(chance.choice([0, 0.001, 0.02]))

    async def follow() -> list[int]:
        seen: list[int] = []
        cursor = StreamCursor(stream_of(floor.desk.portfolio.id), 0).encode()
        while last not in seen:
            await asyncio.sleep(chance.uniform(0, 0.2))
            async with socket_to(floor.live, floor.desk.advisor.token) as socket:
                await socket.subscribe(WATCH, portfolio=floor.portfolio, after=cursor)
                for _ in range(chance.randint(1, 40)):
                    event = (await socket.next())["orderEvents"]
                    cursor = event["cursor"]
                    seen.append(event["version"])
                    if event["version"] == last:
                        break
        return seen

    # A place to begin at: before the first event there is no stream.
    await floor.happen([0])
    assert cursors
    happening = asyncio.create_task(happen())
    seen = await asyncio.gather(*(follow() for _ in range(12)))
    await happening
    assert all(each == list(range(last + 1)) for each in seen)


async def test_a_session_that_has_ended_hears_nothing_more_and_others_do(floor: Floor) -> None:
    leader = await floor.make.session(floor.desk.advisor.user, floor.desk.book)
    follower = await floor.make.session(floor.desk.advisor.user, floor.desk.book)
    async with floor.watching(leader, floor.desk.advisor, follower) as (first, stays, last):
        # Without a ring, so that nobody but the reading itself sees it.
        ended = [leader.session.id, follower.session.id]
        await floor.make.connection.execute("update sessions set revoked_at = now() where id = any($1)", ended)
        await floor.happen([1])
        assert await heard(stays) == 1
        for gone in (first, last):
            message = await gone.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "UNAUTHENTICATED")
            assert message["payload"][0]["extensions"]["reason"] == "REVOKED"
        await floor.happen([2])
        assert await heard(stays) == 2


async def test_what_was_rendered_as_one_who_has_gone_meanwhile_is_rendered_anew(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchers = [await floor.make.session(floor.desk.advisor.user, floor.desk.book) for _ in range(2)]
    original, readers = Rendering.all, list[UUID]()

    async def lost(self: Rendering, sources: Sequence[Any], context: Any) -> Any:
        readers.append((await context.viewer()).session_id)
        if len(readers) > 1:
            return await original(self, sources, context)
        await floor.make.connection.execute("update sessions set revoked_at = now() where id = $1", readers[0])
        return [Answer(b"null", [GraphQLError("The session has ended.")], 1) for _ in sources]

    monkeypatch.setattr(Rendering, "all", lost)
    async with floor.watching(*watchers) as sockets:
        await floor.happen([1])
        told = [await socket.receive() for socket in sockets]
    # Whoever came first is the reader.
    by_session = dict(zip([each.session.id for each in watchers], told, strict=True))
    assert set(readers) == set(by_session)
    assert by_session[readers[0]]["type"] == "error"
    assert by_session[readers[1]]["payload"]["data"]["orderEvents"]["version"] == 1


@pytest.mark.parametrize("leaves", [0, 1])
async def test_whose_rights_are_taken_hears_nothing_more_and_others_do(floor: Floor, leaves: int) -> None:
    watchers = [floor.desk.advisor, await floor.colleague()]
    async with floor.watching(*watchers) as sockets:
        assert floor.groups == 1
        await floor.happen([1])
        assert [await heard(socket) for socket in sockets] == [1, 1]
        gone = watchers[leaves].user.id
        await floor.make.connection.execute("update memberships set ends_on = '2020-01-01' where user_id = $1", gone)
        await floor.happen([2])
        assert await heard(sockets[1 - leaves]) == 2
        assert await quiet(sockets[leaves])
        # Given back, they show what has happened meanwhile, once.
        await floor.make.connection.execute("update memberships set ends_on = null where user_id = $1", gone)
        await floor.happen([3])
        assert await heard(sockets[1 - leaves]) == 3
        assert [await heard(sockets[leaves]) for _ in range(2)] == [2, 3]


async def test_whose_role_changes_goes_on_by_itself(floor: Floor) -> None:
    colleague = await floor.colleague()
    async with floor.watching(floor.desk.advisor, colleague) as (first, second):
        await floor.make.connection.execute("update users set role = 'ANALYST' where id = $1", colleague.user.id)
        await floor.happen([1])
        assert [await heard(first), await heard(second)] == [1, 1]
        await floor.joined(2)
        assert floor.groups == 2
        await floor.happen([2])
        assert [await heard(first), await heard(second)] == [2, 2]


async def test_whoever_is_disabled_hears_nothing_more(floor: Floor) -> None:
    colleague = await floor.colleague()
    async with floor.watching(colleague, floor.desk.advisor) as (gone, stays):
        await floor.make.connection.execute("update users set status = 'DISABLED' where id = $1", colleague.user.id)
        await floor.happen([1])
        assert await heard(stays) == 1
        assert (await gone.receive())["type"] == "error"


async def test_the_group_goes_on_without_whoever_was_first_and_ends_with_the_last(floor: Floor) -> None:
    async with floor.watching(floor.desk.advisor) as (first,):
        async with floor.watching(floor.desk.advisor, floor.desk.advisor) as (second, third):
            await first.connection.close()
            await floor.joined(2)
            await floor.happen([1])
            assert [await heard(second), await heard(third)] == [1, 1]
            await second.send(type="complete", id="1")
            await floor.joined(1)
            await floor.happen([2])
            assert await heard(third) == 2
            assert await quiet(second)
        await floor.joined(0)
    assert floor.groups == 0


async def test_a_stream_of_server_sent_events_shares_with_sockets(floor: Floor, renderings: list[int]) -> None:
    headers = {"authorization": f"Bearer {floor.desk.advisor.token}", "accept": "text/event-stream"}
    body = {"query": WATCH, "variables": {"portfolio": floor.portfolio}}
    async with (
        floor.watching(floor.desk.advisor) as (socket,),
        httpx.AsyncClient(base_url=floor.live.url, timeout=10) as client,
        client.stream("POST", "/graphql", json=body, headers=headers) as response,
    ):
        await floor.joined(2)
        assert floor.groups == 1
        await floor.happen([1, 2])
        lines = response.aiter_lines()
        data = [msgspec.json.decode(line[6:]) async for line in _some(lines, 2)]
        messages = [await socket.receive() for _ in range(2)]
    assert [each["data"] for each in data] == [each["payload"]["data"] for each in messages]
    assert [each["extensions"]["cost"]["actual"] for each in data] == [2, 2]
    assert renderings == [2]


async def _some(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for line in lines:
        if line.startswith("data: "):
            yield line
            count -= 1
        if not count:
            return


async def test_each_is_charged_by_itself_and_the_one_with_nothing_left_ends_alone(
    floor: Floor, settings: Settings, schema: Schema
) -> None:
    budgets = Budgets(settings, floor.services, schema, cost=9)
    colleague = await floor.colleague()
    async with served(budgets.app) as address:
        floor.live = address
        async with floor.watching(floor.desk.advisor) as (first,), floor.watching(colleague) as (second,):
            await floor.happen([1])
            costs = [(await each.receive())["payload"]["extensions"]["cost"] for each in (first, second)]
            assert [(each["requested"], each["actual"], each["remaining"]) for each in costs] == [(2, 2, 6)] * 2
            assert all(each["resetAt"].endswith("Z") for each in costs)
            async with floor.watching(colleague) as (third,):
                # The colleague pays for two tabs.
                await floor.happen([2, 3])
                mine = [(await first.receive())["payload"]["extensions"]["cost"]["remaining"] for _ in range(2)]
                assert mine == [4, 2]
                told = [await each.receive() for each in (second, second, third)]
                theirs = [each["payload"]["extensions"]["cost"]["remaining"] for each in told[:2]]
                assert theirs == [3, 1]
                assert told[2]["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_a_reader_that_sleeps_delays_nobody_and_misses_nothing(floor: Floor) -> None:
    wide = " ".join(f"{'x' * 150}{at}: cursor" for at in range(48))
    document = f"subscription ($portfolio: ID!) {{ orderEvents(portfolioId: $portfolio) {{ version {wide} }} }}"
    batches = 30
    async with (
        floor.watching(floor.desk.advisor, document=document) as (slow,),
        floor.watching(floor.desk.advisor, document=document) as (quick,),
    ):
        slow.connection.transport.pause_reading()
        for at in range(batches):
            await floor.happen(range(at * 40, at * 40 + 40))
            for expected in range(at * 40, at * 40 + 40):
                assert await heard(quick) == expected
        # It has fallen out, and nothing more is kept for it.
        assert floor.members == 1
        slow.connection.transport.resume_reading()
        assert [await heard(slow) for _ in range(batches * 40)] == list(range(batches * 40))
        await floor.joined(2)
        await floor.happen([9_999])
        assert [await heard(quick), await heard(slow)] == [9_999, 9_999]


async def test_what_goes_wrong_in_an_event_is_told_each_with_its_own_request_id(floor: Floor) -> None:
    await floor.make.connection.execute("update orders set currency = 'NIL'")
    fails = "order { limitPrice { currency } }"
    document = f"subscription ($portfolio: ID!) {{ orderEvents(portfolioId: $portfolio) {{ version {fails} }} }}"
    async with floor.watching(floor.desk.advisor, floor.desk.advisor, document=document) as sockets:
        assert floor.groups == 1
        await floor.happen([1, 2])
        messages = [[(await socket.receive())["payload"] for _ in range(2)] for socket in sockets]
    for first, second in messages:
        assert [each["data"]["orderEvents"] for each in (first, second)] == [
            {"version": version, "order": {"limitPrice": None}} for version in (1, 2)
        ]
        assert list(first) == ["errors", "data", "extensions"]
        assert first["errors"][0]["path"] == ["orderEvents", "order", "limitPrice"]
        assert first["errors"][0]["extensions"]["code"] == "INTERNAL"
        assert "NIL" not in first["errors"][0]["message"]
        assert first["extensions"]["cost"]["actual"] == first["extensions"]["cost"]["requested"]
    ids = [first["errors"][0]["extensions"]["requestId"] for first, _ in messages]
    assert ids[0] != ids[1]


async def test_what_the_log_delivers_is_counted_once_for_each(floor: Floor) -> None:
    events = floor.services.observer.metrics.events.labels("orderEvents")
    before = events._value.get()  # noqa: SLF001 - the client library has no other way
    async with floor.watching(floor.desk.advisor, floor.desk.advisor, await floor.colleague()) as sockets:
        await floor.happen([1, 2])
        for socket in sockets:
            assert [await heard(socket) for _ in range(2)] == [1, 2]
    assert events._value.get() - before == 6  # noqa: SLF001 - as above


async def test_no_viewer_is_told_of_sessions_that_do_not_stand(floor: Floor) -> None:
    sessions = [floor.desk.advisor.session.id, floor.desk.supervisor.session.id, UUID(int=1)]
    found = await floor.services.doors.viewers(sessions, floor.services.doors.clock())
    assert set(found) == set(sessions[:2])
    for session, viewer in found.items():
        assert viewer == await floor.services.doors.viewer(session, floor.services.doors.clock())


async def test_what_is_not_planned_is_followed_by_each_alone(floor: Floor, settings: Settings) -> None:
    app = make_app(settings, floor.services, schema=make_schema(planned=False))
    async with served(app) as address, socket_to(address, floor.desk.advisor.token) as socket:
        await socket.subscribe(WATCH, portfolio=floor.portfolio)
        await asyncio.sleep(0.5)
        await floor.happen([1, 2])
        first = (await socket.next())["orderEvents"]
        assert (first["version"], await heard(socket)) == (1, 2)
        assert floor.groups == 0
        await socket.subscribe(WATCH, "again", portfolio=floor.portfolio, after=first["cursor"])
        assert await heard(socket) == 2
