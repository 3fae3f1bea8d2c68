"""What a user may be looking at while it writes, so that "his portfolio" works on a client's page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.errors import Invalid, NotFound
from domain.refs import Ref
from domain.work import Work

MOST_REFS: Final = 20


class Looked(msgspec.Struct, frozen=True):
    """An object that is looked at: what it is called, and the clients whose data it is.

    `shared` says that whoever sees these clients sees it too, so that an answer which they see may name it.
    """

    ref: Ref
    name: str
    clients: tuple[UUID, ...] = ()
    shared: bool = True


Look: TypeAlias = Callable[[Work, Viewer, Ref], Awaitable[Looked]]


async def _client(work: Work, viewer: Viewer, ref: Ref) -> Looked:
    client = await work.clients.one(viewer, ref.id)
    return Looked(ref, client.name, (client.id,))


async def _portfolio(work: Work, viewer: Viewer, ref: Ref) -> Looked:
    portfolio = await work.portfolios.one(viewer, ref.id)
    return Looked(ref, portfolio.name, (portfolio.client_id,))


async def _order(work: Work, viewer: Viewer, ref: Ref) -> Looked:
    order = await work.orders.one(viewer, ref.id)
    return Looked(ref, f"{order.side.value} order", (order.client_id,))


async def _household(work: Work, viewer: Viewer, ref: Ref) -> Looked:
    household = await work.households.one(viewer, ref.id)
    members = await work.households.members(viewer, ref.id)
    # It is seen by its book, and its members may have moved to others.
    books = {member.book_id for member in await work.clients.by_ids(viewer, members)}
    return Looked(ref, household.name, tuple(members), household.book_id in books)


async def _instrument(work: Work, viewer: Viewer, ref: Ref) -> Looked:
    return Looked(ref, (await work.instruments.one(viewer, ref.id)).name)


async def _book(work: Work, viewer: Viewer, ref: Ref) -> Looked:
    # It holds more clients than can be noted with a message.
    return Looked(ref, (await work.books.one(viewer, ref.id)).name, shared=False)


LOOKS: Final[Mapping[str, Look]] = {
    "book": _book,
    "client": _client,
    "household": _household,
    "instrument": _instrument,
    "order": _order,
    "portfolio": _portfolio,
}


async def looked_at(work: Work, viewer: Viewer, refs: Sequence[Ref]) -> list[Looked]:
    """What these point at; raises NotFound for what the viewer does not see, and Invalid for what nobody looks at."""
    if len(refs) > MOST_REFS:
        raise Invalid.of("input.context.nodeIds", f"holds more than {MOST_REFS} ids")
    for at, ref in enumerate(refs):
        if ref.kind not in LOOKS:
            raise Invalid.of(f"input.context.nodeIds.{at}", f"is the id of a {ref.kind}, which is no context")
    return [await LOOKS[ref.kind](work, viewer, ref) for ref in refs]


async def still_there(work: Work, viewer: Viewer, refs: Sequence[Ref]) -> list[Looked]:
    """As `looked_at`, without what the viewer does not see, or no longer."""
    found = []
    for ref in refs:
        try:
            found.append(await LOOKS[ref.kind](work, viewer, ref))
        except (NotFound, KeyError):
            continue
    return found
