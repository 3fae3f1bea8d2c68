"""The one address of the API: plain HTTP, server-sent events and WebSockets."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from graphql import GraphQLError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from domain.clock import system_clock
from domain.errors import Unauthenticated
from graph.errors import fault_of, formatted, unforeseen
from graph.http.accept import GRAPHQL, JSON, STREAM, names
from graph.http.bounds import HttpLimits
from graph.http.compression import LEAST_BYTES, compress
from graph.http.contexts import Context, Contexts
from graph.http.credentials import bearer
from graph.http.crowd import Crowd, Crowded, One
from graph.http.frames import Frames
from graph.http.headers import guarded
from graph.http.meters import Gate, OverLimit, note
from graph.http.origin import origin_of
from graph.http.persisted import Persisted
from graph.http.received import Received
from graph.http.refused import Refused
from graph.http.request import Operation, read_operation
from graph.http.request_id import request_id
from graph.http.response import Encoded, refuse, respond
from graph.http.schema import Schema
from graph.http.site import check_site, elsewhere
from graph.http.sse import EventStream
from graph.http.websocket import Connection
from graph.observing import Observer

Page = Callable[[Request], Awaitable[Response]]

# What a GET may ask for, and a POST; a stream may have subscriptions too.
READING: Final = frozenset({OperationType.QUERY})
CHANGING: Final = READING | {OperationType.MUTATION}

ALLOW: Final[Mapping[str, str]] = {"Allow": "GET, HEAD, POST, OPTIONS"}


class Endpoint(GraphQL[Any, None]):
    """An ASGI application. `page` answers browsers that come without a query, if there is one.

    `allowed_origins` are the other sites whose pages may call and open sockets ("*" for all); their preflights the
    CORS middleware around this application answers. `renews` tells whether a document only goes on with a session,
    which an access token that has ended does not keep from being asked. `trusted` are documents by ids that clients may
    send in their place, and with `trusted_only` all that they may.
    """

    graphql_transport_ws_handler_class = Connection
    websocket_adapter_class = Frames

    def __init__(
        self,
        schema: Schema,
        contexts: Contexts,
        page: Page | None = None,
        limits: HttpLimits | None = None,
        *,
        allowed_origins: Sequence[str] = (),
        observer: Observer | None = None,
        gate: Gate | None = None,
        renews: Callable[[str], bool] = lambda _: False,
        trusted: Mapping[str, str] | None = None,
        trusted_only: bool = False,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            allowed_origins=allowed_origins,
        )
        self.disclosure = schema.disclosure
        self.straight, self.is_straight = schema.straight, schema.is_straight
        self.persisted = Persisted(schema.documents, trusted or {}, trusted_only=trusted_only)
        self.contexts = contexts
        self.page = page
        self.limits = limits or HttpLimits()
        self.gate = gate
        self.renews = renews
        self.connections = Crowd("connections of this address", self.limits.connections_per_address)
        self.underway = Crowd("operations of this user", self.limits.operations_per_user)
        self.observer = observer or Observer()
        self._execute = self._answered if self.observer.traces.silent else self._traced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket; Strawberry's own flow serves the handshake of sockets alone."""
        if scope["type"] == "websocket":
            await self._connect(WebSocket(scope, receive, send))
            return
        held: list[One] = []
        try:
            answer = await self.answer(Received(scope, receive), held)
            await answer(scope, receive, guarded(send, scope))
        finally:
            for one in held:
                one.leave()

    async def reject_websocket(self, request: WebSocket) -> WebSocket:
        """Tell the page of another site that it may open no socket."""
        error = formatted(elsewhere(), request_id(request.scope), system_clock())
        await request.send_denial_response(refuse(error, 403, JSON, {}))
        return request

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> None:
        """Nothing: a context needs the token, which a socket sends later."""

    async def _connect(self, socket: WebSocket) -> None:
        """Serve a socket, unless its address has as many connections as it may."""
        try:
            with self.connections.one(origin_of(socket.scope).address):
                await self.run(socket)
        except Crowded as fault:
            error = formatted(fault, request_id(socket.scope), system_clock())
            await socket.send_denial_response(refuse(error, 429, JSON, {}))

    async def _count(self, request: Received, gate: Gate) -> None:
        """Count a request; raises RateLimited."""
        head = request.head
        try:
            standing, head.found = await gate.admit(head.counted_by, request.origin)
            note(request.scope, standing)
        except OverLimit as fault:
            note(request.scope, fault.standing)
            raise

    async def answer(self, request: Received, held: list[One]) -> ASGIApp:
        """Whatever the request gets; nothing that it holds makes this raise."""
        media = JSON
        try:
            if request.method != "OPTIONS":
                held.append(self.connections.one(request.origin.address).come())
                if self.gate is not None:
                    if (standing := self.gate.admit_at_once(request.head.found)) is None:
                        await self._count(request, self.gate)
                    else:
                        note(request.scope, standing)
            if request.method != "POST" and (plain := await self._plain(request)):
                return plain
            head = request.head
            media = head.answered_at_once_in if request.method == "HEAD" else head.answered_in
            return await self._perform(request, media, held)
        except Refused as refused:
            error = formatted(refused.fault, request_id(request.scope), system_clock())
            return refuse(error, refused.status, media, refused.headers)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - faults of opening the context, and what nobody foresaw
            return respond(ExecutionResult(None, [self._unforeseen(request, error)]), media)

    async def _plain(self, request: Received) -> Response | None:
        """The answer to what asks for no operation; none if it asks for one."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=ALLOW)
        if request.method not in {"GET", "HEAD"}:
            raise Refused.of(405, "", "The endpoint takes GET and POST.", **ALLOW)
        return await self.page(Request(request.scope, request.receive)) if self.page and _wants_page(request) else None

    async def _perform(self, request: Received, media: str, held: list[One]) -> ASGIApp:
        check_site(request, self.allowed_origins)
        operation = await read_operation(request, self.limits, self.persisted)
        known = operation.known
        assuming = known is not None and known.type is OperationType.QUERY and media != STREAM
        context = self.contexts.assumed(request.head.found, request.origin) if assuming else None
        if context is None:
            context = await self._context(request, operation, assuming=assuming)
        allowed = CHANGING if request.method == "POST" else READING
        if media == STREAM:
            try:
                held.append(self.underway.one(context.holder).come())
                return await self._stream(request, operation, context, allowed | {OperationType.SUBSCRIPTION})
            except BaseException:
                context.done()
                raise
        return await self._execute(request, operation, context, allowed, media)

    async def _context(self, request: Received, operation: Operation, *, assuming: bool = False) -> Context:
        origin = request.origin
        token = request.head.counted_by or bearer(request.header(b"authorization"))
        try:
            return await self.contexts.of_request(token, origin, assuming=assuming)
        except Unauthenticated as fault:
            if fault.reason == "EXPIRED" and self.renews(operation.query):
                return await self.contexts.of_request(None, origin)
            if self.gate is not None:
                await self.gate.failed(origin)
            raise

    async def _traced(
        self, request: Received, operation: Operation, context: Context, allowed: frozenset[OperationType], media: str
    ) -> Encoded:
        with self.observer.operation():
            return await self._answered(request, operation, context, allowed, media)

    async def _answered(
        self, request: Received, operation: Operation, context: Context, allowed: frozenset[OperationType], media: str
    ) -> Encoded:
        """The answer to an operation, asked once more whenever the viewer is not whom it was taken for."""
        known, given = operation.known, operation.variables or {}
        result: ExecutionResult | None = None
        while result is None:
            try:
                if known is not None and known.type in allowed and self.is_straight(known, given, context):
                    made = await self.straight(known, given, context)
                    result = made if context.settled or await context.stands() else None
                elif context.settled or await context.stands():
                    result = await self._result(operation, context, allowed)
            except (CannotGetOperationTypeError, MissingQueryError) as error:
                result = ExecutionResult(None, [self._unforeseen(request, error)])
            finally:
                context.done()
            if result is None:
                # Asked, and not assumed; and once more if the session changes again meanwhile.
                context = await self._context(request, operation)
        answer = respond(result, media)
        if len(answer.body) >= LEAST_BYTES:
            await compress(answer, request.header(b"accept-encoding"))
        return answer

    async def _result(
        self, operation: Operation, context: Context, allowed: frozenset[OperationType]
    ) -> ExecutionResult:
        try:
            return await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.name,
                allowed_operation_types=allowed,
                operation_extensions=operation.extensions,
            )
        except InvalidOperationTypeError as error:
            fault = fault_of(GraphQLError("", original_error=error))
            mutation = error.operation_type is OperationType.MUTATION
            raise Refused(405 if mutation else 400, fault, {"Allow": "POST"} if mutation else None) from error

    async def _stream(
        self, request: Received, operation: Operation, context: Context, allowed: frozenset[OperationType]
    ) -> ASGIApp:
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.name,
            allowed_operation_types=allowed,
            operation_extensions=operation.extensions,
        )
        stream = EventStream(results, context, self.limits, lambda error: self._unforeseen(request, error))

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            with self.observer.operation():
                try:
                    await stream(scope, receive, send)
                finally:
                    context.done()

        return watched

    def _unforeseen(self, request: Received, error: Exception) -> GraphQLError:
        return unforeseen(error, request_id(request.scope), system_clock(), self.disclosure)


def _wants_page(request: Received) -> bool:
    """Whether a browser came to look; a link with a query in it is a page too unless JSON was asked for."""
    return (
        request.method in {"GET", "HEAD"}
        and "query" not in request.query_params
        and names(request.head.accept, "text/html")
        and not names(request.head.accept, GRAPHQL)
    )
