"""Breaking the glass: sight of a book that is not one's own, for an hour."""

from datetime import datetime
from enum import StrEnum

import strawberry
from strawberry import ID

from domain import break_glass
from domain.paging import Direction, Order
from graph.batching import batched
from graph.books import Book
from graph.context import Info
from graph.described import enum, input_, type_
from graph.identity import User
from graph.ids import decode
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node
from persistence.books import Books
from persistence.break_glass import GlassAccesses
from persistence.identity import Identities


@type_
class GlassAccess(Node):
    """A user's sight of a book that is not its own, for an hour and for a stated reason.

    reason: Why the glass was broken.
    granted_at: When it was broken.
    expires_at: When the sight ends by itself.
    ended_at: When it was ended before; none unless it was.
    version: Rises with each change.
    """

    entity = break_glass.GlassAccess

    reason: str
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    version: int
    user: User = batched(Identities.by_ids, key="user_id", by="id", description="Whoever broke the glass.")
    book: Book | None = batched(
        Books.by_ids, key="book_id", by="id", description="The book; null once the viewer sees it no longer."
    )


@enum
class GlassAccessOrderField(StrEnum):
    """What accesses by a broken glass can be ordered by.

    GRANTED_AT: When the glass was broken.
    """

    GRANTED_AT = "GRANTED_AT"


@input_
class GlassAccessOrder:
    """What a list of accesses is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: GlassAccessOrderField
    direction: Direction = Direction.DESC


@input_
class GlassAccessFilter:
    """Which accesses a list holds.

    book_ids: Those to these books.
    user_ids: Those of these users.
    """

    book_ids: list[ID] | None = None
    user_ids: list[ID] | None = None


ACCESSES = Lists(
    GlassAccessOrder, Order("GRANTED_AT", Direction.DESC), break_glass.GlassAccessFilter, GlassAccessFilter
)


@input_
class BreakGlassInput:
    """What breaks the glass.

    book_id: The book to see; it, or a client in it.
    client_id: A client whose book is to be seen.
    reason: Why; 10 to 1,000 characters. The managers of the book's unit read it, and it stands in the audit trail.
    """

    reason: str
    book_id: ID | None = None
    client_id: ID | None = None


@input_
class EndBreakGlassInput:
    """What ends an access by a broken glass.

    glass_access_id: The access.
    """

    glass_access_id: ID


@type_
class GlassAccessPayload(Payload):
    """An access that was taken or ended.

    glass_access: The access as it is now.
    """

    glass_access: break_glass.GlassAccess | None = strawberry.field(default=None, graphql_type=GlassAccess | None)


@strawberry.type
class GlassQueries:
    """Queries of broken glass."""

    glass_accesses: Connection[GlassAccess] = listed(
        GlassAccesses.page,
        GlassAccesses.count,
        ACCESSES,
        "Who has broken the glass of a book: the viewer itself, and others of the books that the viewer sees; the "
        "latest first.",
    )


@strawberry.type
class GlassMutations:
    """Mutations of broken glass."""

    @mutation
    async def break_glass(self, info: Info, input: BreakGlassInput) -> GlassAccessPayload | None:
        """See a book that is not one's own, for an hour; nothing in it can be changed by that.

        The managers of the book's unit are told at once. Five times a day at most; RATE_LIMITED after that.
        """
        asked = into(break_glass.Breaking, input)
        return GlassAccessPayload(glass_access=await info.context.write(break_glass.break_glass, asked))

    @mutation
    async def end_break_glass(self, info: Info, input: EndBreakGlassInput) -> GlassAccessPayload | None:
        """End an access before its hour is over: one's own, or as a manager of the book's unit, or as an admin."""
        access_id = decode(input.glass_access_id, "glass_access", "input.glassAccessId")
        return GlassAccessPayload(glass_access=await info.context.write(break_glass.end_access, access_id))
