"""Accounts of users: what changes them, stored, and what is common to all that does."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Role, Viewer
from domain.entities import Entity
from domain.identity.admission import Admissions
from domain.identity.entities import Credential, User, UserStatus
from domain.identity.letters import send_link
from domain.identity.links import LIVES, AccountLink, LinkKind, Links, dead_link
from domain.identity.passwords import Passwords
from domain.identity.sessions import session_topic
from domain.work import Work

# A mailbox must not be flooded by somebody who knows its address.
MOST_LINKS: Final = 3
LINKS_TIME: Final = timedelta(hours=1)


class UserPreferences(Entity, frozen=True):
    """What a user prefers, as its frontends understand it: JSON that is the user's own; `id` is the user's."""

    id: UUID
    settings: str
    updated_at: datetime

    personal: ClassVar[frozenset[str]] = frozenset({"settings"})


class Entrance(msgspec.Struct, frozen=True):
    """What those pass who come by a mailed link: its signature, a good password, the rules of sign-in."""

    links: Links
    passwords: Passwords
    admissions: Admissions


class UserFilter(msgspec.Struct, frozen=True):
    """Which users a list holds."""

    roles: tuple[Role, ...] | None = None
    statuses: tuple[UserStatus, ...] | None = None
    team_ids: tuple[UUID, ...] | None = None
    unit_ids: tuple[UUID, ...] | None = None


class Accounts(Protocol):
    """The storage of what changes accounts. Whoever changes a user, or its links, holds the user's lock."""

    async def locked(self, user_id: UUID) -> User: ...  # noqa: D102 - the signature says it, here and below
    async def locked_by_email(self, address: str) -> User | None: ...  # noqa: D102
    async def locked_admins(self) -> list[User]: ...  # noqa: D102
    async def add(self, user: User) -> bool: ...  # noqa: D102
    async def replace(self, before: User, after: User) -> User: ...  # noqa: D102
    async def replace_address(self, before: User, after: User) -> bool: ...  # noqa: D102
    async def has_password(self, user_id: UUID) -> bool: ...  # noqa: D102
    async def set_password(self, credential: Credential) -> None: ...  # noqa: D102
    async def end_sessions(self, user_id: UUID, at: datetime) -> list[UUID]: ...  # noqa: D102
    async def add_link(self, link: AccountLink) -> None: ...  # noqa: D102
    async def link(self, link_id: UUID) -> AccountLink | None: ...  # noqa: D102
    async def count_links(self, user_id: UUID, kind: LinkKind, since: datetime) -> int: ...  # noqa: D102
    async def end_links(self, user_id: UUID, kinds: Sequence[LinkKind], at: datetime) -> None: ...  # noqa: D102
    async def preferences(self, viewer: Viewer) -> UserPreferences | None: ...  # noqa: D102
    async def set_preferences(self, viewer: Viewer, preferences: UserPreferences) -> None: ...  # noqa: D102
    async def knows_zone(self, zone: str) -> bool: ...  # noqa: D102


async def mail_link(
    work: Work, user: User, kind: LinkKind, new_address: str | None = None, *, void: bool = False
) -> bool:
    """Have a link mailed to a user whose lock is held, or to its new address; tells whether it was not too many.

    A `void` one counts like the others, and is never mailed: nobody can tell the two apart.
    """
    if await work.accounts.count_links(user.id, kind, work.now - LINKS_TIME) >= MOST_LINKS:
        return False
    link = AccountLink(
        id=work.new_id(),
        user_id=user.id,
        kind=kind,
        address=new_address or user.email,
        previous_address=user.email if new_address else None,
        created_at=work.now,
        expires_at=work.now + LIVES[kind],
        used_at=work.now if void else None,
    )
    await work.accounts.add_link(link)
    if not void:
        work.enqueue(send_link, link.id)
    return True


async def use_link(work: Work, links: Links, kind: LinkKind, token: str) -> tuple[User, AccountLink]:
    """The link that a token makes work, used up with all others of its kind, and its user, with its lock.

    Refuses: LINK_INVALID.
    """
    link_id = links.read(kind, token)
    found = await work.accounts.link(link_id)
    if found is None:
        raise dead_link()
    user = await work.accounts.locked(found.user_id)
    # Read again under the user's lock: of two who use it at once, the second finds it used.
    link = await work.accounts.link(link_id)
    if link is None or not link.works(work.now):
        raise dead_link()
    work.acts_for(user.id)
    await work.accounts.end_links(user.id, [kind], work.now)
    return user, link


async def end_all_sessions(work: Work, user_id: UUID) -> None:
    """End all sessions of a user at once, on open sockets too, and the sign-ins that wait for a second factor.

    With them goes what a stranger with one of them could have asked for, to come back by. Whoever holds a service
    account's key looks whether it still stands.
    """
    await end_ways_back(work, user_id)
    await work.factors.end_challenges(user_id, work.now)
    for proof_id in await work.accounts.end_sessions(user_id, work.now):
        work.wake(session_topic(proof_id))


async def end_ways_back(work: Work, user_id: UUID) -> None:
    """Make void the links by which an address would be changed, or a password."""
    await work.accounts.end_links(user_id, [LinkKind.EMAIL_VERIFICATION, LinkKind.PASSWORD_RESET], work.now)
