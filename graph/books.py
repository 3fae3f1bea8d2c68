"""Books, their members, and the organisation they lie in."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import strawberry
from strawberry import ID

from domain import books
from domain.books import MembershipKind
from domain.paging import Direction, Order
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.context import Info
from graph.described import enum, input_, type_
from graph.identity import User
from graph.ids import decode
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node
from persistence.books import Books
from persistence.identity import Identities

enum(MembershipKind)


@type_
class Unit(Node):
    """A business unit of the firm.

    name: What the unit is called.
    """

    entity = books.Unit

    name: str


@type_
class Team(Node):
    """A team within a business unit.

    name: What the team is called.
    """

    entity = books.Team

    name: str
    unit: Unit = batched(Books.units, key="unit_id", by="id", description="The unit that the team belongs to.")


@type_
class Membership(Node):
    """A person's membership of a book, for a time.

    kind: Why the person is a member.
    starts_on: The first day of the membership.
    ends_on: The last day of the membership; none while it goes on.
    version: Rises with each change.
    """

    entity = books.Membership

    kind: MembershipKind
    starts_on: date
    ends_on: date | None
    version: int
    user: User = batched(Identities.by_ids, key="user_id", by="id", description="The member.")
    book: Annotated["Book", strawberry.lazy("graph.books")] = batched(
        Books.by_ids, key="book_id", by="id", description="The book."
    )


@type_
class Book(Node):
    """The clients that somebody looks after.

    name: What the book is called.
    opened_on: The day on which the book was opened.
    version: Rises with each change.
    """

    entity = books.Book

    name: str
    opened_on: date
    version: int
    team: Team = batched(Books.teams, key="team_id", by="id", description="The team that the book belongs to.")
    unit: Unit = batched(Books.units, key="unit_id", by="id", description="The business unit of that team.")
    memberships: list[Membership] = batched(
        Books.memberships_of,
        key="id",
        by="book_id",
        description="All memberships, past and future ones too, oldest first; a handful for each book.",
        size=5,
    )
    changes: Connection[AuditEvent] = changes("the book")


@enum
class BookOrderField(StrEnum):
    """What books can be ordered by.

    NAME: Their names, case and accents aside.
    OPENED_ON: The day they were opened.
    """

    NAME = "NAME"
    OPENED_ON = "OPENED_ON"


@input_
class BookOrder:
    """What a list of books is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: BookOrderField
    direction: Direction = Direction.ASC


@input_
class BookFilter:
    """Which books a list holds.

    team_ids: Books of these teams.
    """

    team_ids: list[ID] | None = None


BOOKS = Lists(BookOrder, Order("NAME"), books.BookFilter, BookFilter)


@input_
class OpenBookInput:
    """What opens a book.

    name: What the book is called.
    team_id: The team that the book belongs to; one that the viewer leads.
    """

    name: str
    team_id: ID


@input_
class AddMemberInput:
    """What makes somebody a member of a book.

    book_id: The book.
    user_id: The new member.
    kind: Why the person is a member.
    starts_on: The first day; the viewer's today if it is left out.
    ends_on: The last day; left out, the membership goes on until it is ended.
    """

    book_id: ID
    user_id: ID
    kind: MembershipKind
    starts_on: date | None = None
    ends_on: date | None = None


@input_
class EndMembershipInput:
    """What ends a membership.

    membership_id: The membership.
    ends_on: Its last day; left out, the last one that is over everywhere, so that it counts no more.
    """

    membership_id: ID
    ends_on: date | None = None


@type_
class BookPayload(Payload):
    """A book that was opened.

    book: The book.
    """

    book: books.Book | None = strawberry.field(default=None, graphql_type=Book | None)


@type_
class MembershipPayload(Payload):
    """A membership that was added or ended.

    membership: The membership as it is now.
    """

    membership: books.Membership | None = strawberry.field(default=None, graphql_type=Membership | None)


@strawberry.type
class BookQueries:
    """Queries of books."""

    books: Connection[Book] = listed(Books.page, Books.count, BOOKS, "The books that the viewer sees.")


@strawberry.type
class BookMutations:
    """Mutations of books."""

    @mutation
    async def open_book(self, info: Info, input: OpenBookInput) -> BookPayload | None:
        """Open an empty book in a team; for supervisors and up."""
        return BookPayload(book=await info.context.write(books.open_book, into(books.NewBook, input)))

    @mutation
    async def add_member(self, info: Info, input: AddMemberInput) -> MembershipPayload | None:
        """Make somebody a member of a book, for a time or until further notice; for supervisors and up."""
        added = await info.context.write(books.add_member, into(books.NewMembership, input))
        return MembershipPayload(membership=added)

    @mutation
    async def end_membership(self, info: Info, input: EndMembershipInput) -> MembershipPayload | None:
        """End a membership; for supervisors and up. The member sees the book no longer after its last day."""
        membership_id = decode(input.membership_id, "membership", "input.membershipId")
        return MembershipPayload(
            membership=await info.context.write(books.end_membership, membership_id, input.ends_on)
        )
