"""Announcements and maintenance windows."""

from datetime import datetime
from enum import StrEnum

import strawberry
from strawberry import ID

from domain import announcements as entities
from domain.access import Role
from domain.announcements import AnnouncementKind, Audience
from domain.paging import Direction, Order
from graph.batching import batched
from graph.books import Unit
from graph.context import Info
from graph.cost import cost
from graph.described import enum, input_, type_
from graph.identity import User
from graph.ids import decode
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node
from persistence.announcements import MOST_CURRENT, Announcements
from persistence.books import Books
from persistence.identity import Identities

enum(AnnouncementKind)
enum(Audience)


@type_
class Announcement(Node):
    """What admins tell all, a role or a unit. It is seen by those whom it is for, from when it is shown on.

    kind: What is announced.
    title: A line for a banner or a list.
    text: What there is to say, as plain text.
    audience: Whom it is for.
    role: The role whom it is for, if it is for one.
    starts_at: When it begins to be shown; of a maintenance window, which is shown at once, when the window begins.
    ends_at: When it is shown no longer; of a maintenance window, when the window ends.
    announced_at: When it was announced.
    withdrawn_at: When it was taken back, if it was.
    version: Rises with each change.
    """

    entity = entities.Announcement

    kind: AnnouncementKind
    title: str
    text: str
    audience: Audience
    role: Role | None
    starts_at: datetime
    ends_at: datetime | None
    announced_at: datetime
    withdrawn_at: datetime | None
    version: int
    unit: Unit | None = batched(
        Books.units, key="unit_id", by="id", description="The business unit whom it is for, if it is for one."
    )
    announced_by: User | None = batched(
        Identities.by_ids,
        key="announced_by",
        by="id",
        description="Whoever announced it; none for those who do not know the staff.",
    )


@enum
class AnnouncementOrderField(StrEnum):
    """What announcements can be ordered by.

    ANNOUNCED_AT: When they were announced.
    """

    ANNOUNCED_AT = "ANNOUNCED_AT"


@input_
class AnnouncementOrder:
    """What a list of announcements is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: AnnouncementOrderField
    direction: Direction = Direction.DESC


@input_
class AnnouncementFilter:
    """Which announcements a list holds.

    kinds: Those of these kinds.
    """

    kinds: list[AnnouncementKind] | None = None


ANNOUNCEMENTS = Lists(
    AnnouncementOrder,
    Order("ANNOUNCED_AT", Direction.DESC),
    entities.AnnouncementFilter,
    AnnouncementFilter,
)


@input_
class AnnounceInput:
    """What is to be announced, and to whom.

    kind: What is announced.
    title: A line for a banner or a list, of at most 200 characters.
    text: What there is to say, as plain text of at most 4,000 characters.
    audience: Whom it is for.
    role: The role whom it is for; with the audience ROLE alone.
    unit_id: The business unit whom it is for; with the audience UNIT alone.
    starts_at: When it begins to be shown, and people are told; left out, at once. Of a maintenance window, which is
    shown at once, when the window begins; never left out.
    ends_at: When it is shown no longer; left out, it is shown until it is withdrawn. Of a maintenance window, when the
    window ends; never left out.
    """

    kind: AnnouncementKind
    title: str
    text: str
    audience: Audience
    role: Role | None = None
    unit_id: ID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@input_
class WithdrawAnnouncementInput:
    """What takes an announcement back.

    announcement_id: The announcement.
    version: The version that was read.
    """

    announcement_id: ID
    version: int


@type_
class AnnouncementPayload(Payload):
    """An announcement that was made or taken back.

    announcement: The announcement as it is now.
    """

    announcement: entities.Announcement | None = strawberry.field(default=None, graphql_type=Announcement | None)


@strawberry.type
class AnnouncementQueries:
    """Queries of announcements."""

    announcements: Connection[Announcement] = listed(
        Announcements.page,
        Announcements.count,
        ANNOUNCEMENTS,
        "All announcements that were for the viewer, past and withdrawn ones too, the latest first; to admins and "
        "auditors all of them, also those that are yet to be shown.",
    )

    @strawberry.field(
        description="What frontends show as banners now: the announcements for the viewer that have begun and not "
        "ended, and maintenance windows that are to come or under way. The latest first, at most 20.",
        graphql_type=list[Announcement],
        metadata=cost(size=MOST_CURRENT // 4),
    )
    async def current_announcements(self, info: Info) -> list[entities.Announcement]:
        """What is current for the viewer."""
        return await info.context.read(Announcements.current, info.context.now)


@strawberry.type
class AnnouncementMutations:
    """Mutations of announcements."""

    @mutation
    async def announce(self, info: Info, input: AnnounceInput) -> AnnouncementPayload | None:
        """Tell all, a role or a unit of something, for admins.

        Every active user of the audience gets one notification, in the background, as soon as it is shown; whoever
        joins later finds it in `currentAnnouncements`. A maintenance window shuts nothing off by itself: it says what
        is planned, and the API answers as long as it runs.
        """
        new = into(entities.NewAnnouncement, input)
        return AnnouncementPayload(announcement=await info.context.write(entities.announce, new))

    @mutation
    async def withdraw_announcement(self, info: Info, input: WithdrawAnnouncementInput) -> AnnouncementPayload | None:
        """Take an announcement back, for admins: it is shown no longer, and whoever was not told yet never is."""
        announcement_id = decode(input.announcement_id, "announcement", "input.announcementId")
        withdrawn = await info.context.write(entities.withdraw, announcement_id, input.version)
        return AnnouncementPayload(announcement=withdrawn)
