"""graphql-transport-ws: many operations on one socket, each with a context of its own."""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol, cast

from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.types import ExecutionResult

from domain.clock import system_clock
from domain.errors import ErrorCode, Fault, Forbidden, Invalid, RateLimited, Unauthenticated, Unavailable
from domain.origin import Origin
from graph.disclosure import Disclosure
from graph.errors import is_request_error, unforeseen
from graph.http.bounds import HttpLimits
from graph.http.contexts import Context, Contexts
from graph.http.credentials import of_init
from graph.http.crowd import Crowd, Crowded
from graph.http.frames import BadFrame, Frames
from graph.http.live import Live, Write
from graph.http.meters import Gate
from graph.http.origin import origin_of
from graph.http.pace import Pace
from graph.http.persisted import Persisted, PersistedQueryNotFound
from graph.http.request import Operation
from graph.http.request_id import request_id
from graph.http.response import encode, payload
from graph.observing import Observer
from graph.running import Running, running

log = logging.getLogger(__name__)

# Codes that clients come back after, unlike 4500.
AWAY = (1013, "Try again later")


class Host(Protocol):
    """What a socket needs from the endpoint."""

    contexts: Contexts
    limits: HttpLimits
    gate: Gate | None
    underway: Crowd
    disclosure: Disclosure
    observer: Observer
    persisted: Persisted


class TooMany(Fault):
    """More operations at once than one socket may hold."""

    code = ErrorCode.RATE_LIMITED
    message = "This socket holds as many operations as it may: complete one first."


class Connection(BaseGraphQLTransportWSHandler[Any, Any]):
    """One socket, from its opening to its end.

    Only `handle` closes it: whoever finds a reason sets the verdict, so that there is one close and one clean-up.
    """

    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        host = cast("Host", self.view)
        loop = asyncio.get_running_loop()
        self.contexts = host.contexts
        self.disclosure = host.disclosure
        self.observer = host.observer
        self.persisted = host.persisted
        self.limits = limits = host.limits
        self.gate = host.gate
        self.underway = host.underway
        self.frames = cast("Frames", self.websocket)
        self.request_id = request_id(self.frames.ws.scope)
        self.verdict: asyncio.Future[tuple[int, str]] = loop.create_future()
        self.timer = loop.call_later(limits.init_seconds, self.end, 4408, "Connection initialisation timeout")
        self.pace = Pace(limits.messages_per_second, limits.messages_at_once, loop.time)
        self.heard_at = loop.time()
        # Not all at once that have come at once, when a server was started.
        self.until = self.heard_at + limits.socket_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads, no secret
        self.ageing: asyncio.Handle = loop.call_soon(self._age)
        self.greeted = False
        self.session: Context | None = None
        self.running: dict[str, asyncio.Task[None]] = {}
        # What each of them is, as soon as it has been read.
        self.seen: dict[str, Running] = {}
        self.leaving = False
        # All that must be awaited at the end, completed operations that still clean up among them.
        self.tasks: set[asyncio.Task[None]] = set()

    def end(self, code: int, reason: str) -> None:
        """Have the socket closed; the first reason counts."""
        if not self.verdict.done():
            self.verdict.set_result((code, reason))

    async def handle(self) -> None:
        """Serve the socket until the client leaves or there is a reason to close it."""
        reading = self._start(self._read())
        try:
            await asyncio.wait((reading, self.verdict), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.timer.cancel()
            self.ageing.cancel()
            # Everything is told to stop before the close frame goes out, and none of it can send after that; it is
            # awaited last, for a slow clean-up must not hold the close back.
            for task in self.tasks:
                task.cancel()
            self.running.clear()
            await self._close()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _close(self) -> None:
        if self.verdict.done():
            # A client that does not read must not keep us waiting to say goodbye.
            with suppress(WebSocketDisconnected, TimeoutError):
                async with asyncio.timeout(self.limits.last_words_seconds):
                    await self.frames.close(*self.verdict.result())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _read(self) -> None:
        try:
            async with aclosing(self.frames.receive(self.limits.message_bytes)) as messages:
                async for message in messages:
                    self.heard_at = asyncio.get_running_loop().time()
                    if not self.pace.allows():
                        self.end(4429, "Too many messages")
                        return
                    await self.handle_message(message)
                    del message
                    if self.verdict.done():
                        return
        except BadFrame as bad:
            self.end(bad.code, bad.reason)
        except WebSocketDisconnected:
            return
        except Exception:
            log.exception("Unexpected error on a socket, request %s", self.request_id)
            self.end(4500, "Internal server error")

    def _age(self) -> None:
        """Close a socket that has been open long enough, with a code that clients come back after, or lies idle."""
        loop = asyncio.get_running_loop()
        now, most = loop.time(), self.limits.idle_seconds
        idle, left = now - self.heard_at, self.until - now
        if left <= 0:
            self.end(4403, "Connect again")
            return
        if self.running:
            self.heard_at = now
        elif idle >= most:
            self.end(1000, "Idle")
            return
        self.ageing = loop.call_later(min(left, max(0.01, most - idle)), self._age)

    async def handle_message(self, message: object) -> None:
        """Do what a message says; close with 4400 if it is none of the protocol's."""
        match message:
            case {"type": "connection_init" | "ping" | "pong", "payload": given} if not isinstance(given, dict | None):
                self.end(4400, "The payload must be an object")
            case {"type": "connection_init", **rest}:
                await self.greet(cast("Mapping[str, Any]", rest.get("payload") or {}))
            case {"type": "ping", **rest}:
                echo = {"payload": rest["payload"]} if rest.get("payload") is not None else {}
                await self.frames.send_json({"type": "pong", **echo})
            case {"type": "pong"}:
                pass
            case {"type": "subscribe", "id": str(name), "payload": dict(asked)} if name:
                await self.subscribe(name, asked)
            case {"type": "complete", "id": str(name)} if name:
                self.complete(name)
            case _:
                self.end(4400, "The message is none of graphql-transport-ws")

    async def greet(self, given: Mapping[str, Any]) -> None:
        """Open the session of the socket, or close with 4401; clients do not come back after that."""
        if self.greeted:
            self.end(4429, "Too many initialisation requests")
            return
        self.greeted = True
        self.timer.cancel()
        try:
            token = of_init(given, self.frames.ws.headers.get("authorization"))
            session = await self._admitted(token, origin_of(self.frames.ws.scope))
        except Unauthenticated as fault:
            self.end(4401, f"Unauthenticated: {fault.reason}")
        except (Unavailable, RateLimited):
            self.end(*AWAY)
        else:
            self.session = session
            self._start(self._watch(session))
            await self.frames.send_json({"type": "connection_ack"})

    async def _admitted(self, token: str | None, origin: Origin) -> Context:
        """The context of the socket, which is counted as a request; raises RateLimited and Unauthenticated."""
        if self.gate is not None:
            await self.gate.admit(token, origin)
        try:
            return await self.contexts.of_request(token, origin)
        except Unauthenticated:
            if self.gate is not None:
                await self.gate.failed(origin)
            raise

    async def _watch(self, session: Context) -> None:
        """Close with 4403 when the session ends; clients come back with a fresh token and their cursors."""
        try:
            fault = await session.ended()
        except Unavailable:
            await self._finish_brief()
            self.end(*AWAY)
        except Exception:
            log.exception("Cannot tell whether the session stands, request %s", self.request_id)
            self.end(4500, "Internal server error")
        else:
            self.end(4403, f"Session ended: {fault.reason}")

    async def _finish_brief(self) -> None:
        """Let queries and mutations be answered before the socket is closed; subscriptions go on elsewhere."""
        self.leaving = True
        brief = [task for name, task in self.running.items() if not self._follows(name)]
        if brief:
            await asyncio.wait(brief, timeout=self.limits.last_words_seconds)

    def _follows(self, name: str) -> bool:
        return name in self.seen and self.seen[name].kind == "subscription"

    async def subscribe(self, name: str, asked: Mapping[str, Any]) -> None:
        """Start an operation, of any type."""
        if self.session is None:
            self.end(4401, "Unauthorized")
        elif name in self.running:
            self.end(4409, f"Subscriber for {name} already exists")
        elif len(self.running) >= self.limits.operations_per_socket:
            await self._fail(name, TooMany())
        elif self.leaving:
            await self._fail(name, Unavailable("The server is about to end; connect again.", retry_after=1))
        else:
            try:
                operation = Operation.of(asked, self.persisted)
            except Invalid as fault:
                self.end(4400, str(fault))
            except (PersistedQueryNotFound, Forbidden) as fault:
                await self._fail(name, fault)
            else:
                self.running[name] = self._start(self._watched(name, operation, self.session))

    def complete(self, name: str) -> None:
        """Stop an operation that the client has had enough of."""
        if task := self._forget(name):
            task.cancel()

    def _forget(self, name: str) -> "asyncio.Task[None] | None":
        self.seen.pop(name, None)
        return self.running.pop(name, None)

    async def _watched(self, name: str, operation: Operation, session: Context) -> None:
        with self.observer.message(self.request_id) as made, self.observer.operation():
            self.seen[name] = made
            try:
                with self.underway.one(session.holder):
                    await self._run(name, operation, session)
            except Crowded as fault:
                await self._fail(name, fault)

    async def _run(self, name: str, operation: Operation, session: Context) -> None:
        try:
            answered = await self._answered(name, operation, session)
            if isinstance(answered, Live):
                await answered.deliver(SocketLine(self, name))
            if answered:
                await self._finish(name, {"type": "complete"})
        except WebSocketDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this operation alone, and it is logged
            with suppress(WebSocketDisconnected):
                await self._fail(name, error)

    async def _answered(self, name: str, operation: Operation, session: Context) -> "bool | Live":
        """Whether it ran to its end; or what is to be delivered from then on, nothing else being kept of it."""
        operation.check()
        context = session.fresh()
        try:
            return await self._ran(name, operation, context)
        finally:
            context.done()

    async def _ran(self, name: str, operation: Operation, context: Context) -> "bool | Live":
        if context.meter is not None:
            await context.meter.request()
        await context.used()
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.name,
            operation_extensions=operation.extensions,
        )
        async with aclosing(results):
            async for result in results:
                if isinstance(result, Live):
                    return result
                if not await self._next(name, cast("ExecutionResult", result)):
                    return False
        return True

    async def _next(self, name: str, result: ExecutionResult) -> bool:
        """Send a result; false if it says that the operation could not go on, which is the last word on it."""
        answer = payload(result)
        if is_request_error(result.errors):
            await self._finish(name, {"type": "error", "payload": answer["errors"]})
            return False
        await self.frames.send_json({"id": name, "type": "next", "payload": answer})
        return True

    async def _fail(self, name: str, error: Exception) -> None:
        answer = unforeseen(error, self.request_id, system_clock(), self.disclosure)
        if (now := running()) is not None:
            now.failed(str((answer.extensions or {}).get("code", ErrorCode.INTERNAL)))
        await self._finish(name, {"type": "error", "payload": [answer.formatted]})

    async def _finish(self, name: str, message: Mapping[str, Any]) -> None:
        # The name is free before the client hears of the end, for it may use it again at once.
        self._forget(name)
        await self.frames.send_json({"id": name, **message})


class SocketLine:
    """The way to the client for the answers of an operation, for as long as the client wants them."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._task = asyncio.current_task()
        self._quick = connection.frames.quick
        self._head = b'{"id":%b,"type":"next","payload":' % encode(name)

    def ready(self) -> Write | None:
        """What sends answers without waiting; none if that cannot be at present."""
        connection, quick = self._connection, self._quick
        # What was completed may not be sent any more: its name may be another operation's by now.
        if quick is None or connection.verdict.done() or connection.running.get(self._name) is not self._task:
            return None
        return self._write if quick.ready else None

    def _write(self, answers: Sequence[bytes]) -> None:
        head = self._head
        if self._quick is not None:
            self._quick.write([b"%b%b}" % (head, answer) for answer in answers])

    async def send(self, answer: bytes) -> None:
        """Send one, however long that takes. Raises WebSocketDisconnected."""
        await self._connection.frames.send(b"%b%b}" % (self._head, answer))
