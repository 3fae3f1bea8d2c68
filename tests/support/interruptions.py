"""Conversations with real server processes of which one is killed, by clients that cut their sockets again and again.

Whatever happens, each client must hear its answer without a gap and without a repetition, and its end once.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
import msgspec
from websockets.exceptions import ConnectionClosed, WebSocketException

from domain.conversations.runs import carry_out
from domain.jobs import job_name
from graph.app import open_services
from graph.ids import decode
from graph.settings import Environment, Settings
from persistence.database import driver_arguments
from tests.conftest import quick
from tests.factories.firm import Make, SignedIn
from tests.support.language_model import KEY, Imitating, speaking
from tests.support.probing import SECRETS, Target, started
from tests.support.served import Served, Socket, socket_to
from tests.support.talking import ASK, ENDS, FOLLOW, SENT, Heard

QUESTION: Final = "What does Vikram Rao hold, and how much cash is there?"
TOOLS: Final = ("find_client", "holdings", "cash")
EMBEDDED: Final = "embedded"
# What the servers of a test may ask: no network at all, or an endpoint that says the same over the wire.
MODELS: Final = (EMBEDDED, "endpoint")
# Seconds a word, so that an answer takes some seconds.
PACE: Final = 0.05
# In seconds: what is promised of the runs of a server that was killed.
TAKEN_UP_WITHIN: Final = 30
# What a client bears: a time-out here is a failed test.
PATIENCE: Final = 300
SEND: Final = f"""mutation ($input: SendMessageInput!) {{
    sendMessage(input: $input) {{ {SENT} userErrors {{ code }} }}
}}"""
START: Final = "mutation { startConversation(input: {}) { conversation { id eventsCursor } } }"
RUNNING: Final = "select id, attempt from runs where status = 'RUNNING' and started_at is not null"
HELD: Final = "select distinct queue_manager_id from queue.pgqueuer where status = 'picked' and entrypoint = $1"
STILL: Final = "select id, attempt, status in ('QUEUED', 'RUNNING') as open from runs where id = any($1)"
RUNS: Final = """
select r.id, r.message_id, r.status, r.attempt, q.blocks as question, a.blocks as answer,
    array(select t.name from tool_uses t where t.run_id = r.id order by t.round, t.position) as tools,
    (select count(*) from run_steps s where s.message_id = r.message_id) as steps
from runs r join messages q on q.id = r.question_id join messages a on a.id = r.message_id
"""


class Killed(msgspec.Struct, frozen=True):
    """What a kill has left behind: the runs that were under way, how many of them were taken up again, and when.

    `taken` is the seconds until the last of these was taken up, `ended` until all had ended.
    """

    runs: list[UUID]
    again: int
    taken: float
    ended: float


def check_killed(clients: Sequence["Client"], killed: Killed) -> None:
    """Fail unless the runs of a killed server were taken up in time, and some clients heard every word nevertheless."""
    assert killed.again > 0
    assert killed.taken < TAKEN_UP_WITHIN
    assert any(client.has_heard_all and client.cuts for client in clients)


class Servers:
    """Server processes on one database, each of which may be replaced."""

    def __init__(self, stack: AsyncExitStack, directory: Path, make: Make, url: str, settings: dict[str, str]) -> None:
        self._stack = stack
        self._directory = directory
        self._make = make
        self._url = url
        self._settings = {"JOBS": "server", **settings}
        self._count = 0
        self.running: list[Target] = []

    @property
    def some(self) -> Served:
        """Any of them."""
        return Served(random.choice(self.running).url)

    async def start(self) -> None:
        """Start one more."""
        self._count += 1
        directory = self._directory / f"server-{self._count}"
        directory.mkdir()
        server = started(directory, self._make, self._url, **self._settings)
        self.running.append(await self._stack.enter_async_context(server))

    async def held(self) -> int:
        """How many of them are at work on runs; a killed one counts until another takes its runs up."""
        return len(await self._make.connection.fetch(HELD, job_name(carry_out)))

    async def stop(self) -> int:
        """Tell the eldest to end in the middle of runs, as a new version's coming does; gives its exit code."""
        eldest = self.running.pop(0)
        eldest.process.terminate()
        return await asyncio.to_thread(eldest.process.wait, PATIENCE)

    async def kill(self) -> Killed:
        """Kill the eldest in the middle of runs, start another, and see the runs end that were under way."""
        connection = self._make.connection
        os.kill(self.running[0].pid, signal.SIGKILL)
        began = time.monotonic()
        found = {row["id"]: row["attempt"] for row in await connection.fetch(RUNNING)}
        del self.running[0]
        starting = asyncio.create_task(self.start())
        taken: dict[UUID, float] = {}
        open_now = True
        async with asyncio.timeout(PATIENCE):
            while open_now:
                rows = await connection.fetch(STILL, list(found))
                for row in (row for row in rows if row["attempt"] > found[row["id"]]):
                    taken.setdefault(row["id"], time.monotonic() - began)
                open_now = any(row["open"] for row in rows)
                await asyncio.sleep(0.1)
        ended = time.monotonic() - began
        await starting
        return Killed(list(found), len(taken), max(taken.values(), default=0.0), ended)


@asynccontextmanager
async def speaking_to(model: str, pace: float) -> AsyncIterator[dict[str, str]]:
    """The settings of servers that ask one of the models, which answer alike, at so many seconds a word."""
    if model == EMBEDDED:
        yield {"EMBEDDED_PACE": str(pace)}
        return
    async with speaking(Imitating(pace)) as server:
        yield {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY}


@asynccontextmanager
async def serving(
    directory: Path, home: Path, url: str, model: str, *, pace: float = PACE, **settings: str
) -> AsyncIterator[tuple[Servers, Make]]:
    """Two server processes in production that ask one of the models, and factories for their database."""
    secrets = {name.lower(): value for name, value in SECRETS.items()}
    own = Settings.model_validate({"environment": Environment.PRODUCTION, "database_pool": 3, **secrets})
    owner = await asyncpg.connect(**driver_arguments(url), server_settings={"role": "steward_owner"})
    try:
        async with (
            open_services(own, url, home) as opened,
            speaking_to(model, pace) as modelled,
            AsyncExitStack() as stack,
        ):
            make = Make(owner, quick(opened))
            servers = Servers(stack, directory, make, url, modelled | settings)
            await asyncio.gather(servers.start(), servers.start())
            yield servers, make
    finally:
        await owner.close()


async def users_of(make: Make, count: int) -> list[SignedIn]:
    """Advisors whose firms are alike, so that their answers are."""
    made = []
    for _ in range(count):
        advisor = await make.advisor()
        if advisor.book is None:
            raise RuntimeError("an advisor of the factories has a book")
        await make.portfolio(await make.client(advisor.book, name="Vikram Rao"), name="Growth")
        made.append(advisor)
    return made


class Client:
    """One user's conversation, on sockets that it cuts.

    One that begins at a server of its own is patient, and leaves the cutting to that: `closed` are the codes.
    """

    def __init__(
        self, servers: Servers, who: SignedIn, key: str, *, asks: bool, begins_at: Target | None = None
    ) -> None:
        self._servers = servers
        self._who = who
        self._key = key
        self._asks = asks
        self._chance = random.Random(key)
        self._longest = PATIENCE if begins_at else None
        self._next = Served(begins_at.url) if begins_at else None
        self._variables: dict[str, Any] = {}
        self.heard = Heard()
        self.cuts = 0
        self.closed: list[int] = []

    @property
    def answer(self) -> str:
        """The answer's id."""
        (found,) = self.heard.whole
        return found

    @property
    def has_heard_all(self) -> bool:
        """Whether it has heard every word of its answer as a delta, and not the end of it as the message alone."""
        blocks = self.heard.whole[self.answer]["blocks"]
        return self.heard.text_of(self.answer) == "".join(block.get("text", "") for block in blocks)

    @property
    def has_begun(self) -> bool:
        """Whether it has heard of its answer: words, or, where it was away meanwhile, its end."""
        return self._ended or "TextDelta" in self.heard.kinds

    async def go(self) -> None:
        """Ask, and follow the answer to its end, whatever happens."""
        given = {"content": QUESTION, "idempotencyKey": self._key}
        if self._asks:
            self._variables = {"input": given, "after": None}
        else:
            conversation = (await self._until_answered(START))["startConversation"]["conversation"]
            self._variables = {"conversation": conversation["id"], "after": conversation["eventsCursor"]}
            sent = await self._until_answered(SEND, input={**given, "conversationId": conversation["id"]})
            assert sent["sendMessage"]["userErrors"] == [], sent
        async with asyncio.timeout(PATIENCE):
            while not self._ended:
                # The server may have gone, or be about to come.
                with suppress(OSError, WebSocketException, TimeoutError):
                    await self._follow(self._longest or self._chance.uniform(0.05, 2.5))
                await asyncio.sleep(0.05)

    @property
    def _ended(self) -> bool:
        return bool(self.heard.events) and self.heard.events[-1]["__typename"] in ENDS

    async def _follow(self, seconds: float) -> None:
        """Follow for so long, and cut the socket unless the answer has ended."""
        server, self._next = self._next or self._servers.some, None
        async with socket_to(server, self._who.token) as socket:
            self._variables["after"] = self.heard.cursor or self._variables["after"]
            await socket.subscribe(ASK if self._asks else FOLLOW, **self._variables)
            try:
                async with asyncio.timeout(seconds):
                    await self._hear(socket)
            except ConnectionClosed as closed:
                self.closed += [closed.rcvd.code] if closed.rcvd else []
                raise
            finally:
                self.cuts += not self._ended
                socket.connection.transport.abort()

    async def _hear(self, socket: Socket) -> None:
        while not self._ended:
            self.heard.hear((await socket.next(PATIENCE))["ask" if self._asks else "conversationEvents"])

    async def _until_answered(self, document: str, **variables: Any) -> Any:
        body = {"query": document, "variables": variables}
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(httpx.HTTPError):
                    return await self._once(body)
                await asyncio.sleep(0.05)

    async def _once(self, body: dict[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {self._who.token}"}
        async with httpx.AsyncClient(timeout=20, headers=headers) as http:
            answer = (await http.post(f"{self._servers.some.url}/graphql", json=body)).json()
        assert "errors" not in answer, answer
        return answer["data"]


async def growing(clients: Sequence[Client], count: int, seconds: float = PATIENCE) -> None:
    """Until so many of them have heard of their answers; fails the test if they have not by then."""
    async with asyncio.timeout(seconds):
        while sum(client.has_begun for client in clients) < count:  # noqa: ASYNC110 - they set no event
            await asyncio.sleep(0.02)


def check_heard(client: Client) -> None:
    """Fail unless the client has heard all, in order and once.

    Not all as deltas, even without a cut: an answer may have ended before a busy server reads the last of them.
    """
    heard = client.heard
    assert heard.kinds[-1] == "RunCompleted", heard.events[-1]
    assert [kind for kind in heard.kinds if kind in ENDS] == ["RunCompleted"]
    assert heard.kinds[:2] == ["MessagePosted", "RunStarted"]
    assert heard.kinds.count("MessagePosted") == heard.kinds.count("RunStarted") == 1
    cursors = [event["cursor"] for event in heard.events]
    assert len(cursors) == len(set(cursors))
    assert heard.agrees(client.answer)
    assert [each["name"] for each in heard.whole[client.answer]["toolsUsed"]] == list(TOOLS)


async def check_stored(make: Make, clients: Sequence[Client]) -> int:
    """Fail unless each run has ended whole, with every tool used once; gives how many were taken up again."""
    rows = {row["message_id"]: row for row in await make.connection.fetch(RUNS)}
    assert set(rows) == {decode(client.answer, "message", "id") for client in clients}
    assert {row["status"] for row in rows.values()} == {"COMPLETED"}
    assert all(tuple(row["tools"]) == TOOLS for row in rows.values())
    assert all(row["steps"] == 0 for row in rows.values())
    assert {QUESTION in row["question"] for row in rows.values()} == {True}
    # All firms are alike, and the model is as deterministic as a function.
    told = {tuple(block.get("text", "") for block in client.heard.whole[client.answer]["blocks"]) for client in clients}
    assert len(told) == 1
    return sum(row["attempt"] > 1 for row in rows.values())


def summary(clients: Sequence[Client], killed: Killed) -> str:
    """What came of it, in a sentence."""
    whole = sum(client.has_heard_all for client in clients)
    return (
        f"{len(clients)} runs, {sum(client.cuts for client in clients)} sockets cut, one server killed: "
        f"{len(killed.runs)} runs were under way, {killed.again} of them were taken up again, the last after "
        f"{killed.taken:.1f} s, and all had ended after {killed.ended:.1f} s; {whole} clients heard every word as "
        "a delta, the others the end of it as the message"
    )
