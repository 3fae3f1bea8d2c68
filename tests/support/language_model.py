"""A language model on a real socket, which speaks OpenAI's protocol; a script says what it answers, and how it fails.

Without a script it goes by rules: it calls a tool for a word in the question, and says what the tool has found.
"""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, Final

import msgspec

from domain.assistant.models import Ask, Call, Line, Speaker, Spent, Text, ToolSpec
from domain.assistant.models.embedded import EmbeddedModel
from domain.assistant.models.endpoints import Endpoint
from domain.assistant.prompts import prompt

KEY: Final = "sk-the-key-of-the-tests"
PATH: Final = "/v1/chat/completions"
TITLE: Final = "ConversationTitle"
REASONS: Final = {200: "OK", 307: "Temporary Redirect", 429: "Too Many Requests"}


class End(StrEnum):
    """How an answer ends."""

    DONE = "done"  # as the protocol has it
    NEATLY = "neatly"  # the stream ends, but nothing says that the answer is finished
    CUT = "cut"  # the connection breaks in the middle
    SILENT = "silent"  # nothing more comes, and the connection stays
    PINGING = "pinging"  # nothing more comes but what keeps the connection open


class Reply(msgspec.Struct, frozen=True):
    """An answer: events of a stream, each the text after `data: `; with another status than 200 a body instead.

    Where it is `held`, what follows the first `before` events waits until a test lets it go. `pace` is in seconds,
    before each event.
    """

    events: tuple[str, ...] = ()
    end: End = End.DONE
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None
    held: asyncio.Event | None = None
    before: int = 0
    pace: float = 0.0


class Want(msgspec.Struct, frozen=True):
    """A call of a tool; `arguments` that are text are sent as they are."""

    tool: str
    arguments: Any = {}
    id: str | None = None


class Rule(msgspec.Struct, frozen=True):
    """What the model does by itself: it calls a tool where a word is in the question and the tool is offered."""

    word: str
    tool: str
    arguments: Mapping[str, Any] = {}


class Asked(msgspec.Struct, frozen=True):
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The lines of the prompt."""
        found: list[dict[str, Any]] = self.body["messages"]
        return found

    @property
    def shape(self) -> str | None:
        """The name of the shape that is asked for."""
        form = self.body.get("response_format")
        return str(form["json_schema"]["name"]) if form else None

    @property
    def tools(self) -> list[str]:
        """The names of the tools that are offered."""
        return [each["function"]["name"] for each in self.body.get("tools", [])]


def chunk(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> str:
    """An event with a piece of the answer."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    stated = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tests", "choices": choices}
    return json.dumps({**stated, **more})


def words(*pieces: str) -> tuple[str, ...]:
    """The events of some words."""
    return (chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces))


def usage(prompt: int, completion: int) -> str:
    """The event that says how many tokens it was."""
    return chunk(usage={"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})


def says(*pieces: str, used: tuple[int, int] | None = (11, 7), finish: str = "stop") -> Reply:
    """An answer in words, a piece in each event."""
    return Reply((*words(*pieces), chunk({}, finish), *([usage(*used)] if used else [])))


def wants(*calls: Want, text: str = "", finish: str = "tool_calls") -> Reply:
    """Calls of tools, each in several events as models write them."""
    events = [event for number, call in enumerate(calls) for event in parts_of(number, call)]
    return Reply((*words(*([text] if text else [])), *events, chunk({}, finish), usage(11, 7)))


def parts_of(number: int, call: Want) -> list[str]:
    """The events of one call: its name, then its arguments in two pieces."""
    text = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    half = len(text) // 2
    named = {"index": number, "id": call.id or f"call-{number}", "type": "function"}
    first = {**named, "function": {"name": call.tool, "arguments": ""}}
    rest = [{"index": number, "function": {"arguments": part}} for part in (text[:half], text[half:])]
    return [chunk({"tool_calls": [each]}) for each in (first, *rest)]


def halting(held: asyncio.Event, first: Sequence[str], *rest: str) -> Reply:
    """An answer in words, whose rest waits until it is let go."""
    begun = words(*first)
    further = (*(chunk({"content": piece}) for piece in rest), chunk({}, "stop"), usage(11, 7))
    return Reply((*begun, *further), held=held, before=len(begun))


def breaks_off(*events: str, end: End = End.CUT) -> Reply:
    """A stream that ends too early, after these events."""
    return Reply(events, end)


def fails(status: int, code: str | None = None, *, after: str | None = None, param: str | None = None) -> Reply:
    """An error, which repeats the key as vendors do, or part of it."""
    error = {"message": f"Incorrect API key provided: {KEY}", "type": "invalid", "code": code, "param": param}
    headers = () if after is None else (("retry-after", after),)
    return Reply(status=status, headers=headers, body={"error": error})


class LanguageModel:
    """The server: it answers by its script while there is one, and by its rules after that."""

    def __init__(self, *script: Reply, rules: Sequence[Rule] = ()) -> None:
        self.url = ""
        self.script = deque(script)
        self.rules = list(rules)
        # What it says where no rule applies; and the JSON that it gives for a shape, by the shape's name.
        self.words: Sequence[str] = ("I ", "have ", "nothing ", "to ", "add.")
        self.shapes: dict[str, Any] = {}
        self.asked: list[Asked] = []
        # What conversations are to be called it is asked beside the script; without such a shape it declines.
        self.titled: list[Asked] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What an endpoint takes as its base."""
        return f"{self.url}/v1"

    def endpoint(self, **given: Any) -> Endpoint:
        """An endpoint here."""
        return Endpoint(**{"name": "tests", "base_url": self.base_url, "model": "words", "key": KEY, **given})

    async def reply(self, asked: Asked) -> Reply:
        """What it answers."""
        if asked.shape == TITLE:
            return says(json.dumps(self.shapes[TITLE])) if TITLE in self.shapes else fails(400)
        if self.script:
            return self.script.popleft()
        return says(json.dumps(self.shapes[asked.shape])) if asked.shape else self._by_rules(asked)

    def _by_rules(self, asked: Asked) -> Reply:
        last = asked.messages[-1]
        if last["role"] == "tool":
            return says("It ", "says: ", last["content"])
        for rule in self.rules:
            if last["role"] == "user" and rule.tool in asked.tools and rule.word in last["content"]:
                return wants(Want(rule.tool, dict(rule.arguments), f"call-{len(self.asked)}"))
        return says(*self.words)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request of a connection."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                asked = await _read(reader)
                (self.titled if asked.shape == TITLE else self.asked).append(asked)
                await _Answer(reader, writer).give(await self.reply(asked))
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def idle(self) -> None:
        """Until no connection is open."""
        await asyncio.wait_for(asyncio.gather(*self._tasks), 10)

    async def end(self) -> None:
        """End the connections that are still open."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Imitating(LanguageModel):
    """Answers over the wire as the embedded model does, so that what holds of one can be seen to hold of the other."""

    def __init__(self, pace: float = 0.0) -> None:
        super().__init__()
        self.pace = pace
        self._model = EmbeddedModel()

    async def reply(self, asked: Asked) -> Reply:
        """What the embedded model answers; it takes no shapes."""
        if asked.shape:
            return fails(400)
        pieces = [piece async for piece in self._model.answer(ask_of(asked.body))]
        calls = [piece for piece in pieces if isinstance(piece, Call)]
        events = [chunk({"content": piece.text}) for piece in pieces if isinstance(piece, Text)]
        events += [
            event
            for number, call in enumerate(calls)
            for event in parts_of(number, Want(call.name, call.arguments, call.id))
        ]
        spent = next(piece for piece in pieces if isinstance(piece, Spent))
        end = chunk({}, "tool_calls" if calls else "stop")
        return Reply((*events, end, usage(spent.input_tokens, spent.output_tokens)), pace=self.pace)


def ask_of(body: Any) -> Ask:
    """A request as whoever sent it meant it; that an answer was cut short is told by its last line."""
    lines = tuple(map(_line, body["messages"]))
    said = ""
    if lines[-1].text == prompt("continue").render():
        lines, said = lines[:-2], lines[-2].text
    offered = (each["function"] for each in body.get("tools", ()))
    tools = tuple(ToolSpec(each["name"], each["description"], each["parameters"]) for each in offered)
    return Ask(lines, tools, said, may_call=body.get("tool_choice") != "none")


def _line(message: Any) -> Line:
    calls = tuple(
        Call(each["id"], each["function"]["name"], each["function"]["arguments"])
        for each in message.get("tool_calls", ())
    )
    return Line(Speaker(message["role"]), message["content"], calls, message.get("tool_call_id"))


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(head[0].split(" ")[1], headers, json.loads(body or b"null"))


class _Answer:
    """Writes one answer to its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def give(self, reply: Reply) -> None:
        """Write it, and end as it says."""
        if reply.status != 200:
            await self._whole(reply)
        elif reply.events or reply.end is not End.SILENT:
            await self._streamed(reply)
        else:
            await self._left()

    async def _whole(self, reply: Reply) -> None:
        body = json.dumps(reply.body).encode()
        stated = (*reply.headers, ("content-type", "application/json"), ("content-length", str(len(body))))
        await self._head(reply.status, stated)
        self._writer.write(body)
        await self._writer.drain()

    async def _streamed(self, reply: Reply) -> None:
        await self._head(200, (("content-type", "text/event-stream"), ("transfer-encoding", "chunked")))
        for number, event in enumerate(reply.events):
            if reply.held is not None and number == reply.before:
                await self._held(reply.held)
            if reply.pace:
                await asyncio.sleep(reply.pace)
            await self._piece(f"data: {event}\n\n")
        if reply.end is End.DONE:
            await self._piece("data: [DONE]\n\n")
        if reply.end in {End.DONE, End.NEATLY}:
            await self._piece("")
        elif reply.end is End.SILENT:
            await self._left()
        elif reply.end is End.PINGING:
            await self._pinging()

    async def _head(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        self._writer.write("\r\n".join((*lines, "", "")).encode())
        await self._writer.drain()

    async def _piece(self, text: str) -> None:
        data = text.encode()
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self._writer.drain()

    async def _pinging(self) -> None:
        while not self._reader.at_eof():
            await self._piece(": ping\n\n")
            await asyncio.sleep(0.01)

    async def _held(self, held: asyncio.Event) -> None:
        """Until it is let go, or the client has gone."""
        waits = [asyncio.create_task(held.wait()), asyncio.create_task(self._left())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _left(self) -> None:
        """Until the client has gone."""
        await self._reader.read()


@asynccontextmanager
async def speaking(model: LanguageModel) -> AsyncIterator[LanguageModel]:
    """The model on a free port of loopback until the end of the block."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(model.connected, sock=listener)
    model.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield model
    finally:
        server.close()
        await model.end()
        await server.wait_closed()


class Waits:
    """Takes the place of sleep: notes for how many seconds it was asked to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Note it."""
        self.seconds.append(seconds)
