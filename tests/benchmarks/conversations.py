"""`python -m tests.benchmarks.conversations [STREAMS]`: answers that grow on many sockets at once, on the whole path.

A question is sent, a worker of the server takes its run up, asks a model, writes the words into the log, and every
socket is told. The server is one process on one core; the load, PostgreSQL and the model, where it is a server of its
own, have the others. The models are local: one in the process that says a word at each turn of the loop, so that all
else is ours; the same at the pace of a real one, asked by one user after the other; and one that does not pause either
but speaks OpenAI's protocol, and costs what the SDK costs.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import uvloop

from domain.assistant.answering import ModelAssistant
from domain.assistant.models import Ask, Piece, Spent, Text
from domain.assistant.models.embedded import EmbeddedModel
from domain.assistant.prompting import ContextWindow
from domain.entities import IdMaker
from graph.app import make_answerer, make_app, open_services
from graph.context import Services
from graph.settings import ROOT, Environment, Settings
from persistence.conversations.pen import Pen
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.setup import migrate
from tests.benchmarks import machine
from tests.benchmarks.publishers import serve
from tests.benchmarks.servers import end, free_port, listens
from tests.benchmarks.sockets import Client, Counted, connect
from tests.benchmarks.workloads import answer
from tests.conftest import quick
from tests.factories.firm import Make, SignedIn
from tests.support.interruptions import users_of
from tests.support.language_model import TITLE, LanguageModel
from tests.support.probing import GENEROUS, SECRETS

STREAMS: Final = 100
# As many as a user may have under way.
OF_A_USER: Final = 5
ALONE: Final = 10
IDLE: Final = 500
QUESTION: Final = "Tell me a long story."
ASK: Final = """subscription ($input: SendMessageInput!) { ask(input: $input) {
    __typename ... on ConversationUpdate { cursor } ... on TextDelta { messageId position start text }
    ... on RunCompleted { message { id run { status } } } ... on RunFailed { code }
} }"""
FOLLOW: Final = """subscription ($conversation: ID!) { conversationEvents(conversationId: $conversation) {
    __typename ... on ConversationUpdate { cursor } ... on TextDelta { messageId position start text }
} }"""
START: Final = "mutation { startConversation(input: {}) { conversation { id } } }"
STARTING: Final = "import sys; from tests.benchmarks.conversations import {0}; {0}(*sys.argv[1:])"
HEADING: Final = ("model", "streams", "tokens", "tokens/s", "event p50", "p95 ms", "words p50", "p95 ms", "CPU µs")


class Kind(msgspec.Struct, frozen=True):
    """A model: how many tokens an answer of it has, each a word, and how many it says a second, if it is paced.

    All streams ask within `spread` seconds.
    """

    name: str
    tokens: int
    pace: int = 0
    spread: float = 0.0
    speaks: bool = False


KINDS: Final = (
    Kind("in the process", 2_000),
    Kind("at 50 a second", 300, pace=50, spread=4.0),
    Kind("OpenAI's protocol", 400, speaks=True),
)


class Chatter:
    """A model in the process that says so many words, one at each turn of the loop or at its pace."""

    name = "chatter"

    def __init__(self, tokens: int, pace: int) -> None:
        self._tokens = tokens
        self._pause = 1 / pace if pace else 0

    async def answer(self, ask: Ask) -> AsyncIterator[Piece]:  # noqa: ARG002 - whatever is asked
        """The words."""
        for _ in range(self._tokens):
            await asyncio.sleep(self._pause)
            yield Text("word ")
        yield Spent(self.name, 1, self._tokens, Decimal(0))

    async def structured(self, ask: Ask, shape: type[Any]) -> Any:
        """As the embedded model."""
        return await EmbeddedModel().structured(ask, shape)


def chattering(services: Services, settings: Settings, tokens: int, pace: int) -> Services:
    """The services, with the model in the process."""
    doors = services.doors
    pen = Pen(doors.database, doors.bell, doors.clock)
    assistant = ModelAssistant(Chatter(tokens, pace), pen, ContextWindow(settings.context_tokens), IdMaker().make)
    return msgspec.structs.replace(services, gateways=msgspec.structs.replace(services.gateways, assistant=assistant))


def settings_of(**more: Any) -> Settings:
    """Those of production, with budgets that ask for more than a benchmark needs."""
    given = {name.lower(): value for name, value in (SECRETS | GENEROUS).items()}
    return Settings.model_validate({"environment": Environment.PRODUCTION, **given, **more})


def steward(port: str, database: str, home: str, tokens: str, pace: str, url: str) -> None:
    """Serve, with the worker of runs, until killed; the model is in the process, unless it is at an address."""
    own = {"openai_base_url": url, "openai_model": "words", "assistant_fallback": False}
    settings = settings_of(**(own if url else {}))

    async def run() -> None:
        async with open_services(settings, database, Path(home)) as opened:
            services = opened if url else chattering(opened, settings, int(tokens), int(pace))
            working = asyncio.create_task(make_answerer(settings, services).run())
            await serve(make_app(settings, services), int(port))
            await working

    uvloop.run(run())


def speak(port: str, tokens: str) -> None:
    """Be the model that speaks OpenAI's protocol, until killed."""
    model = LanguageModel()
    model.words = ["word "] * int(tokens)
    model.shapes[TITLE] = {"title": "A long story"}

    async def run() -> None:
        server = await asyncio.start_server(model.connected, "127.0.0.1", int(port))
        await server.serve_forever()

    uvloop.run(run())


class Asker(Client):
    """A socket that asks when it is told to, and notes when its answer began and ended."""

    def __init__(self, host: str, token: str) -> None:
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        super().__init__(Counted(), host, "/graphql", init, {})
        self.asked = self.first = self.words = self.ended = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def ask(self, key: str) -> None:
        """Ask."""
        payload = {"query": ASK, "variables": {"input": {"content": QUESTION, "idempotencyKey": key}}}
        self.asked, self.first, self.words = time.perf_counter(), 0.0, 0.0
        self.done = asyncio.get_running_loop().create_future()
        self._say({"type": "subscribe", "id": key, "payload": payload})

    def _answered(self, message: Any) -> None:
        self.ready.set_result(message)

    def _event(self, data: bytes, start: int, end: int) -> None:
        now = time.perf_counter()
        self.first = self.first or now
        if not self.words and data.find(b'"TextDelta"', start, end) > 0:
            self.words = now
        if data.find(b'"RunCompleted"', start, end) > 0:
            self.ended = now
        elif data.find(b'"complete"', start, end) > 0:
            self.done.set_result(None)
        elif data.find(b'"TextDelta"', start, end) < 0 and data.find(b'"errors"', start, end) > 0:
            self.done.set_exception(RuntimeError(data[start:end].decode()))


def of_all(values: Sequence[float], share: float) -> float:
    """A percentile, in milliseconds."""
    return sorted(values)[int((len(values) - 1) * share)] * 1000


async def askers(port: int, users: Sequence[SignedIn], count: int) -> list[Asker]:
    """Sockets of these users that are ready to ask."""
    loop = asyncio.get_running_loop()
    made: list[Asker] = []
    for number in range(count):
        token = users[number // OF_A_USER].token
        _, asker = await loop.create_connection(lambda: Asker(f"127.0.0.1:{port}", token), "127.0.0.1", port)  # noqa: B023 - called at once
        made.append(asker)
    await asyncio.gather(*(each.ready for each in made))
    return made


async def answered(asking: Sequence[Asker], key: str, spread: float = 0.0) -> None:
    """Have all ask, within so many seconds, and hear their answers to the end."""
    for number, each in enumerate(asking):
        each.ask(f"{key} {number}")
        await asyncio.sleep(spread / len(asking))
    await asyncio.wait_for(asyncio.gather(*(each.done for each in asking)), 300)


async def measure(kind: Kind, server: "Process", users: Sequence[SignedIn], streams: int) -> None:
    """A question alone, one after another; then all together."""
    one = await askers(server.port, users, 1)
    alone: list[tuple[float, float]] = []
    for number in range(ALONE):
        await answered(one, f"{kind.name} alone {number}")
        alone.append((one[0].first - one[0].asked, one[0].words - one[0].asked))
    say_line(kind, 1, 0.0, alone, None)
    asking = await askers(server.port, users, streams)
    before = machine.cpu_seconds(server.pid) or 0.0
    await answered(asking, f"{kind.name} together", kind.spread)
    tokens = streams * kind.tokens
    took = max(each.ended for each in asking) - min(each.asked for each in asking)
    used = ((machine.cpu_seconds(server.pid) or 0.0) - before) * 1e6 / tokens
    together = [(each.first - each.asked, each.words - each.asked) for each in asking]
    say_line(kind, streams, tokens / took, together, used)
    for each in (*one, *asking):
        each.transport.abort()


def say(text: str) -> None:
    """A line of the benchmark's answer."""
    print(text, flush=True)  # noqa: T201 - it is what the benchmark is run for


def say_line(kind: Kind, streams: int, rate: float, began: Sequence[tuple[float, float]], cpu: float | None) -> None:
    """A line of the table."""
    firsts, words = [first for first, _ in began], [word for _, word in began]
    times = " ".join(f"{of_all(values, share):>9.0f}" for values in (firsts, words) for share in (0.5, 0.95))
    told = f"{rate:>9,.0f}" if rate else f"{'-':>9}"
    say(f"{kind.name:<18} {streams:>7} {kind.tokens:>7,} {told} {times} {'-' if cpu is None else f'{cpu:.0f}':>7}")


async def idle(server: "Process", users: Sequence[SignedIn]) -> None:
    """What a subscription takes that waits for a conversation in which nothing happens."""
    counted, opened = Counted(), []
    for user in users:
        asked = []
        for _ in range(IDLE // len(users)):
            made = await answer(server.port, user.token, START)
            conversation = made["startConversation"]["conversation"]["id"]
            asked.append({"query": FOLLOW, "variables": {"conversation": conversation}})
        opened.append((user.token, asked))
    # What the first ones take is kept for all.
    first = await connect(counted, server.port, "/graphql", *opened[0])
    await asyncio.sleep(2)
    held = machine.resident(server.pid) or 0
    clients = [await connect(counted, server.port, "/graphql", *each) for each in opened[1:]]
    await asyncio.sleep(5)
    count = sum(map(len, clients))
    more = (machine.resident(server.pid) or 0) - held
    say(f"\n{count} idle subscriptions, each to a conversation of its own: {more / count:.0f} KiB each")
    for each in (*first, *(client for several in clients for client in several)):
        each.transport.abort()


class Process(msgspec.Struct, frozen=True):
    """A server under load."""

    port: int
    pid: int


@contextmanager
def process(kind: str, *arguments: str, core: set[int] | None) -> Iterator[Process]:
    """A process of this module, by the name of its function, on some cores."""
    port = free_port()
    command = [sys.executable, "-c", STARTING.format(kind), str(port), *arguments]
    with machine.on(core):
        started: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=ROOT, env=os.environ.copy())
    try:
        if not listens(started, port):
            raise RuntimeError(f"{kind} did not start")
        yield Process(port, started.pid)
    finally:
        end(started)


@asynccontextmanager
async def firm(database: EmbeddedServer, count: int) -> AsyncIterator[list[SignedIn]]:
    """So many users on a migrated database."""
    await migrate(database.url())
    owner = await asyncpg.connect(**driver_arguments(database.url()), server_settings={"role": "steward_owner"})
    async with open_services(settings_of(database_pool=3), database.url(), Path(database.home)) as opened:
        yield await users_of(Make(owner, quick(opened)), count)
    await owner.close()


async def run(database: EmbeddedServer, streams: int, own: set[int] | None) -> None:
    """All that is measured."""
    async with firm(database, max(1, -(-streams // OF_A_USER))) as users:
        say("{:<18} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}".format(*HEADING))
        for kind in KINDS:
            with ExitStack() as stack:
                url = ""
                if kind.speaks:
                    speaking = stack.enter_context(process("speak", str(kind.tokens), core=None))
                    url = f"http://127.0.0.1:{speaking.port}/v1"
                given = (database.url(), str(database.home), str(kind.tokens), str(kind.pace), url)
                server = stack.enter_context(process("steward", *given, core=own))
                await measure(kind, server, users, streams)
        with process("steward", database.url(), str(database.home), "1", "0", "", core=own) as server:
            await idle(server, users)


def main(streams: int) -> None:
    """Make users, start the servers, and measure."""
    own, others = machine.cores() or (None, None)
    state = Path(tempfile.mkdtemp(prefix="steward-conversations-"))
    with machine.on(others), EmbeddedServer.start(state) as database:
        try:
            asyncio.run(run(database, streams, own))
        finally:
            database.close(wait=True)
            shutil.rmtree(database.home, ignore_errors=True)
            shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS)
