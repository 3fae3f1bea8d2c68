"""The audit trail as a file for spreadsheets, for admins and auditors: streamed page by page, oldest first.

Personal fields are left out: a file leaves the firm's hands, and no erasure would reach it.
"""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domain.access import Action, require, signed_in
from domain.audit import AuditEvent, AuditEventFilter, AuditSeal, FieldChange, Opened, Trace, note
from domain.errors import Fault, Invalid, Unauthenticated
from domain.origin import Origin
from domain.paging import Order, Page, PageRequest
from graph.audit import OBJECTS
from graph.context import Context
from graph.contexts import Contexts
from graph.errors import formatted
from graph.http.accept import JSON
from graph.http.credentials import bearer, for_counting
from graph.http.headers import guarded
from graph.http.meters import OverLimit
from graph.http.origin import origin_of
from graph.http.request_id import request_id
from graph.http.response import STATUS, refuse
from graph.ids import decode, encode, split
from graph.scalars import as_moment
from persistence.audit import AuditTrail

ROWS: Final = 500
# In points of the caller's budget, for each page; when it is used up, the rest of the file waits for the next minute.
PAGE_COST: Final = 100
# A file that is not read to its end by then is cut off.
LONGEST: Final = timedelta(minutes=30)
COLUMNS: Final = (
    "occurredAt",
    "id",
    "action",
    "objectType",
    "objectId",
    "actorId",
    "sessionId",
    "clientId",
    "requestId",
    "reason",
    "before",
    "after",
    "seal",
)
# What a spreadsheet takes for the beginning of a formula.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# Where one that separates by other characters than commas begins a cell, whatever quotes there are around ours.
INNER_FORMULA: Final = re.compile(r"([;\t\r\n]\"*)(?=[=+\-@])")


def _moment(text: str, name: str) -> datetime:
    try:
        return as_moment(text)
    except Invalid as fault:
        raise Invalid.of(name, str(fault)) from fault


PARAMETERS: Final[Mapping[str, tuple[str, Callable[[str, str], Any]]]] = {
    "actorId": ("actor_id", lambda text, name: decode(text, "user", name)),
    "objectId": ("object_id", lambda text, name: split(text, name)[1]),
    "clientId": ("client_id", lambda text, name: decode(text, "client", name)),
    "occurredFrom": ("occurred_from", _moment),
    "occurredBefore": ("occurred_before", _moment),
    "requestId": ("request_id", lambda text, _: text),
}


class AuditCsv:
    """Answers `/audit.csv`, whose parameters are the fields of the list's filter; `actions` may be repeated."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts

    async def answer(self, request: Request) -> Response:
        """The file, or the error in JSON as the API has it."""
        try:
            return await self._file(request)
        except Fault as fault:
            error = formatted(fault, request_id(request.scope), datetime.now(UTC))
            return _Guarded(refuse(error, STATUS.get(fault.code, 400), JSON, {}))

    async def _file(self, request: Request) -> Response:
        header, origin = request.headers.get("authorization"), origin_of(request.scope)
        await self._contexts.admit(for_counting(header), origin)
        context = await self._context(bearer(header), origin)
        viewer = signed_in(await context.viewer())
        # All that follows reads on connections of its own.
        context.done()
        require(viewer, Action.READ_AUDIT)
        wanted = filter_of(request.query_params, context.now)
        trace = Trace("audit.export", "AuditTrail", facts=msgspec.to_builtins(wanted))
        await context.services.doors.write(viewer, context.request_id, note, viewer, trace)
        pages = Pages(context, wanted)
        # The first one before the status is sent, so that what fails at once says so.
        first = await pages.next()
        name = f"audit-{context.now:%Y%m%d-%H%M%S}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        body = StreamingResponse(pages.following(first), headers=headers, media_type="text/csv; charset=utf-8")
        return _Guarded(body)

    async def _context(self, token: str | None, origin: Origin) -> Context:
        try:
            return await self._contexts.of_request(token, origin)
        except Unauthenticated:
            await self._contexts.failed(origin)
            raise


class _Guarded(Response):
    """An answer with the headers that every answer of the API has, and as long as it may take."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        async with asyncio.timeout(LONGEST.total_seconds()):
            await self._answer(scope, receive, guarded(send, scope))


def filter_of(parameters: QueryParams, now: datetime) -> AuditEventFilter:
    """The filter that the parameters name, up to now; raises Invalid, naming the one at fault."""
    given: dict[str, Any] = {"occurred_before": now}
    if actions := tuple(parameters.getlist("actions")):
        given["actions"] = actions
    for name in parameters:
        if name == "actions":
            continue
        if name not in PARAMETERS:
            raise Invalid.of(name, f"is none of {', '.join((*PARAMETERS, 'actions'))}")
        field, read = PARAMETERS[name]
        given[field] = read(parameters[name], name)
    return AuditEventFilter(**given)


class Pages:
    """The file, page by page, each read on a connection of its own when the reader has taken the one before.

    Whoever may no longer read the trail gets no further page: the file is cut off, not ended as if that were all.
    """

    def __init__(self, context: Context, wanted: AuditEventFilter) -> None:
        self._context = context
        self._request: PageRequest | None = PageRequest(order=Order("OCCURRED_AT"), filter=wanted, first=ROWS)
        self._begun = False

    async def following(self, first: str) -> AsyncIterator[str]:
        """The first page and all that follow."""
        yield first
        while self._request is not None:
            yield await self.next()

    async def next(self) -> str:
        """The next page's lines; before the first of them, the columns' names."""
        if self._request is None:
            return ""
        await self._pay()
        viewer = await self._context.still()
        require(viewer, Action.READ_AUDIT)
        doors = self._context.services.doors
        # As subscriptions do: a long export keeps the pool from nobody.
        async with self._context.services.turns:
            page = await doors.read(viewer, AuditTrail.page, viewer, self._request)
            events = page.rows
            opened = await doors.opened(viewer, events)
            seals = await doors.read(viewer, AuditTrail.seals_of, viewer, [event.id for event in events])
        self._turn(page)
        numbers = {seal.event_id: seal for seal in seals}
        head = [] if self._begun else [COLUMNS]
        self._begun = True
        told = zip(events, opened, strict=True)
        return lines([*head, *(_row(event, words, numbers.get(event.id)) for event, words in told)])

    def _turn(self, page: Page[AuditEvent]) -> None:
        if self._request is not None:
            after = page.edges[-1].cursor if page.edges else None
            self._request = msgspec.structs.replace(self._request, after=after) if page.has_next else None

    async def _pay(self) -> None:
        while True:
            try:
                await self._context.meter.charge(PAGE_COST)
            except OverLimit as limit:
                if not self._begun:
                    raise
                await asyncio.sleep(limit.standing.seconds + 1)
            else:
                return


def _row(event: AuditEvent, opened: Opened, seal: AuditSeal | None) -> tuple[str, ...]:
    prefix = OBJECTS.get(event.object_type)
    what = (encode(prefix, event.object_id) if prefix else str(event.object_id)) if event.object_id else ""
    return (
        event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        encode("audit", event.id),
        event.action,
        event.object_type,
        what,
        encode("user", event.actor_id) if event.actor_id else "",
        encode("session", event.session_id) if event.session_id else "",
        encode("client", event.client_id) if event.client_id else "",
        event.request_id,
        opened.reason or "",
        _told(opened.fields, lambda change: change.before),
        _told(opened.fields, lambda change: change.after),
        str(seal.number) if seal else "",
    )


def _told(fields: Iterable[FieldChange], side: Callable[[FieldChange], str | None]) -> str:
    """The fields' values on one side, as JSON; of what is personal or secret, that it is."""
    values: dict[str, str | None] = {}
    for change in fields:
        hidden = "erased" if change.erased else "personal" if change.personal else "secret" if change.secret else None
        values[change.name] = f"({hidden})" if hidden else side(change)
    shown = {name: value for name, value in values.items() if value is not None}
    return msgspec.json.encode(shown).decode() if shown else ""


def lines(rows: Iterable[Iterable[str]]) -> str:
    """Rows as RFC 4180 has them, and as no spreadsheet takes them for formulas."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])
    return written.getvalue()


def _harmless(cell: str) -> str:
    told = INNER_FORMULA.sub(r"\1'", cell)
    return f"'{told}" if told.startswith(FORMULA) else told
