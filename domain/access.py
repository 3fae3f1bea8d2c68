"""Who may do what, and whose rows are seen: roles, actions, the viewer and its sight."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from domain.clock import today
from domain.errors import Forbidden, Refusal, RefusalCode, Unauthenticated


class Role(StrEnum):
    """What a user is in the firm.

    ADMIN: Runs the platform; sees and changes everything.
    BU_MANAGER: Leads a business unit; sees the books of the unit.
    SUPERVISOR: Leads a team; sees the books of the team.
    ADVISOR: Looks after clients; sees the books it is a member of.
    VIEWER: Reads what the supervisor of its team sees and changes nothing.
    ANALYST: Researches markets; sees the books it is a member of.
    AUDITOR: Sees everything and changes nothing.
    CLIENT: An end client; sees its own household.
    SERVICE: A partner's program; sees the books it is a member of.
    """

    ADMIN = "ADMIN"
    BU_MANAGER = "BU_MANAGER"
    SUPERVISOR = "SUPERVISOR"
    ADVISOR = "ADVISOR"
    VIEWER = "VIEWER"
    ANALYST = "ANALYST"
    AUDITOR = "AUDITOR"
    CLIENT = "CLIENT"
    SERVICE = "SERVICE"


class Action(StrEnum):
    """What a role may or may not do.

    OPEN_BOOK: Open a book for clients.
    MANAGE_MEMBERS: Add members to books and end memberships.
    CREATE_CLIENT: Take on a client, or a household.
    UPDATE_CLIENT: Change, archive or delete a client or a household.
    MOVE_CLIENT: Move a client to another book.
    OPEN_PORTFOLIO: Open a portfolio for a client, or change it.
    RECORD_TRANSACTION: Record what a custodian reports in the ledger.
    REVERSE_TRANSACTION: Reverse a wrong entry of the ledger.
    PLACE_ORDER: Place, amend or cancel an order of a client.
    APPROVE_ORDER: Approve or decline an order that somebody else has placed.
    MANAGE_MARKETS: State the special days of an exchange.
    MANAGE_JOBS: See background jobs that have failed, and try them again.
    MARK_NOTIFICATIONS: Mark one's own notifications as read.
    CONVERSE: Talk with the assistant and with colleagues, in conversations of one's own.
    MANAGE_ACCOUNT: Change one's own profile, password, second factor and sessions.
    MANAGE_USERS: Invite people, disable them, change their role and team, and end their sessions.
    MANAGE_SERVICE_ACCOUNTS: Make service accounts for partners' programs, and their keys.
    BREAK_GLASS: See a book that is not one's own for an hour, for a stated reason.
    REVEAL_TAX_ID: Read a client's tax id unmasked, for a stated reason.
    ERASE_PERSON: Destroy the personal data of a former client or user.
    READ_AUDIT: Read the audit trail, and verify it.
    ANNOUNCE: Send an announcement, or the notice of a maintenance window.
    """

    OPEN_BOOK = "OPEN_BOOK"
    MANAGE_MEMBERS = "MANAGE_MEMBERS"
    CREATE_CLIENT = "CREATE_CLIENT"
    UPDATE_CLIENT = "UPDATE_CLIENT"
    MOVE_CLIENT = "MOVE_CLIENT"
    OPEN_PORTFOLIO = "OPEN_PORTFOLIO"
    RECORD_TRANSACTION = "RECORD_TRANSACTION"
    REVERSE_TRANSACTION = "REVERSE_TRANSACTION"
    PLACE_ORDER = "PLACE_ORDER"
    APPROVE_ORDER = "APPROVE_ORDER"
    MANAGE_MARKETS = "MANAGE_MARKETS"
    MANAGE_JOBS = "MANAGE_JOBS"
    MARK_NOTIFICATIONS = "MARK_NOTIFICATIONS"
    CONVERSE = "CONVERSE"
    MANAGE_ACCOUNT = "MANAGE_ACCOUNT"
    MANAGE_USERS = "MANAGE_USERS"
    MANAGE_SERVICE_ACCOUNTS = "MANAGE_SERVICE_ACCOUNTS"
    BREAK_GLASS = "BREAK_GLASS"
    REVEAL_TAX_ID = "REVEAL_TAX_ID"
    ERASE_PERSON = "ERASE_PERSON"
    READ_AUDIT = "READ_AUDIT"
    ANNOUNCE = "ANNOUNCE"


_OWN = frozenset({Action.MARK_NOTIFICATIONS, Action.CONVERSE, Action.MANAGE_ACCOUNT})
# What the key of a service account may allow.
GRANTABLE: Final = frozenset(
    {
        Action.CREATE_CLIENT,
        Action.UPDATE_CLIENT,
        Action.OPEN_PORTFOLIO,
        Action.RECORD_TRANSACTION,
        Action.REVERSE_TRANSACTION,
        Action.PLACE_ORDER,
        Action.MARK_NOTIFICATIONS,
        Action.CONVERSE,
    }
)
_DESK = _OWN | GRANTABLE | {Action.BREAK_GLASS, Action.REVEAL_TAX_ID}
_LEAD = _DESK | {Action.OPEN_BOOK, Action.MANAGE_MEMBERS, Action.MOVE_CLIENT, Action.APPROVE_ORDER}

ALLOWED: Final[Mapping[Role, frozenset[Action]]] = {
    Role.ADMIN: frozenset(Action),
    Role.BU_MANAGER: _LEAD | {Action.MANAGE_USERS},
    Role.SUPERVISOR: _LEAD,
    Role.ADVISOR: _DESK,
    Role.VIEWER: _OWN,
    Role.ANALYST: _OWN,
    Role.AUDITOR: _OWN | {Action.READ_AUDIT},
    Role.CLIENT: _OWN,
    # At most; each key of a service account allows some of these.
    Role.SERVICE: GRANTABLE,
}


class Sight(StrEnum):
    """By what a viewer's rows are cut."""

    EVERYTHING = "EVERYTHING"
    BOOKS = "BOOKS"
    CLIENTS = "CLIENTS"


SIGHT: Final[Mapping[Role, Sight]] = {
    **dict.fromkeys(Role, Sight.BOOKS),
    Role.ADMIN: Sight.EVERYTHING,
    Role.AUDITOR: Sight.EVERYTHING,
    Role.CLIENT: Sight.CLIENTS,
}


NOBODY: Final = UUID(int=0)
# For how long a sign-in, or a further proof, is good for sensitive changes.
RECENT: Final = timedelta(minutes=15)


class Viewer(msgspec.Struct, frozen=True):
    """Whoever asks, made once per request: its session, role, place in the firm and what it sees.

    `book_ids` are the books of its team or unit, those it is a member of today and those it has broken the glass of,
    which alone `glass_ids` names; `client_ids` its household, if it is an end client. For a service account
    `session_id` is its key, and `granted` what that allows. `authenticated_at` is when a person last proved to be who
    it is, `last_used_at` the last use of the session that was noted.
    """

    user_id: UUID
    session_id: UUID
    role: Role
    team_id: UUID | None
    unit_id: UUID | None
    locale: str
    time_zone: str
    book_ids: tuple[UUID, ...]
    client_ids: tuple[UUID, ...]
    granted: tuple[Action, ...] | None = None
    authenticated_at: datetime | None = None
    last_used_at: datetime | None = None
    glass_ids: tuple[UUID, ...] = ()

    @property
    def sight(self) -> Sight:
        """What cuts this viewer's rows; whoever has no place in the firm is as an end client of nobody."""
        return SIGHT[self.role] if self.is_placed else Sight.CLIENTS

    @property
    def can(self) -> frozenset[Action]:
        """The actions its role allows, of which the key of a service account may allow some alone."""
        allowed = ALLOWED[self.role]
        return allowed if self.granted is None else allowed.intersection(self.granted)

    @property
    def is_placed(self) -> bool:
        """Whether it has a place in the firm: who has registered has none until an admin gives it a team."""
        return self.role is not Role.VIEWER or self.team_id is not None

    @property
    def is_system(self) -> bool:
        """Whether it is the firm itself, which has no session."""
        return self.session_id == NOBODY

    @property
    def actor_id(self) -> UUID | None:
        """The user whom the audit trail and notifications name: none where the firm itself acts."""
        return None if self.is_system else self.user_id

    @property
    def changing(self) -> "Viewer":
        """The viewer as it changes things: a broken glass gives sight, and no say."""
        if not self.glass_ids:
            return self
        own = tuple(book_id for book_id in self.book_ids if book_id not in self.glass_ids)
        return msgspec.structs.replace(self, book_ids=own, glass_ids=())

    def today(self, now: datetime) -> date:
        """The viewer's calendar day at a moment."""
        return today(now, self.time_zone)


# The firm itself, as jobs and schedules act: it sees and may do everything, and no user stands behind it.
SYSTEM: Final = Viewer(NOBODY, NOBODY, Role.ADMIN, None, None, "en_IN", "UTC", (), ())


def require(viewer: Viewer, action: Action) -> None:
    """Raise Forbidden unless the viewer's role allows the action."""
    if action not in viewer.can:
        raise Forbidden


def require_recent(viewer: Viewer, now: datetime) -> None:
    """Before a sensitive change: refuse REAUTHENTICATION_NEEDED unless the viewer proved who it is a short while ago.

    The firm itself and service accounts have nothing to prove.
    """
    if viewer.is_system or viewer.role is Role.SERVICE:
        return
    if viewer.authenticated_at is None or now - viewer.authenticated_at > RECENT:
        raise Refusal(
            RefusalCode.REAUTHENTICATION_NEEDED, "Prove who you are once more, by reauthenticate, and repeat this."
        )


def signed_in(viewer: Viewer | None) -> Viewer:
    """The viewer, or Unauthenticated where nobody has signed in."""
    if viewer is None:
        raise Unauthenticated
    return viewer
