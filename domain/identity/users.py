"""Making users."""

import re
from typing import Final
from uuid import UUID
from zoneinfo import available_timezones

import msgspec

from domain.access import Role
from domain.errors import Refusal, RefusalCode
from domain.identity.entities import Credential, User, UserStatus
from domain.identity.passwords import Passwords
from domain.text import email as checked_email
from domain.text import fold, invalid, named
from domain.work import Work


class Newcomer(msgspec.Struct, frozen=True):
    """Who is to be a user."""

    email: str
    name: str
    role: Role
    unit_id: UUID | None = None
    team_id: UUID | None = None
    client_id: UUID | None = None
    locale: str = "en_IN"
    time_zone: str = "Asia/Kolkata"


class NewUser(Newcomer, frozen=True, kw_only=True):
    """What makes a user who can sign in by a password."""

    password: str


LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_[A-Z]{2})?")
# Without their place these roles would see no book, or could never lead one.
NEEDS_TEAM: Final = frozenset({Role.SUPERVISOR, Role.ADVISOR, Role.VIEWER})
NOT_MADE: Final = frozenset({Role.CLIENT, Role.SERVICE})


def check_place(role: Role, *, unit: object, team: object) -> None:
    """Whether a user, in this unit and team or none, can see what its role is for. Refuses: INVALID_VALUE."""
    if role in NOT_MADE:
        raise invalid("role", f"A user with the role {role} cannot be made here.")
    if role in NEEDS_TEAM and team is None:
        raise invalid("teamId", f"A user with the role {role} needs a team.")
    if role is Role.BU_MANAGER and unit is None:
        raise invalid("unitId", f"A user with the role {role} needs a business unit.")


async def create_user(work: Work, passwords: Passwords, new: NewUser) -> User:
    """Add a user, from the command line. Refuses: INVALID_VALUE, WEAK_PASSWORD, DUPLICATE."""
    check_place(new.role, unit=new.unit_id, team=new.team_id)
    user = await user_of(work, new, UserStatus.ACTIVE)
    hashed = await passwords.chosen(new.password, user.name, user.email, field="password")
    if not await work.identities.add_user(user, Credential(user.id, hashed)):
        raise taken()
    return user


async def user_of(work: Work, new: Newcomer, status: UserStatus) -> User:
    """A user who is not stored yet, with an address that nothing has verified. Refuses: INVALID_VALUE."""
    name = named(new.name, "name")
    return User(
        id=work.new_id(),
        email=check_email(new.email),
        name=name,
        sort_name=fold(name),
        picture_url=None,
        locale=check_locale(new.locale),
        time_zone=await check_zone(work, new.time_zone),
        role=new.role,
        unit_id=new.unit_id,
        team_id=new.team_id,
        client_id=new.client_id,
        status=status,
        created_at=work.now,
        email_verified_at=None,
        version=1,
    )


def check_email(text: str) -> str:
    """An address in lower case. Refuses: INVALID_VALUE."""
    address = checked_email(text, "email")
    if address is None:
        raise invalid("email", "An address is needed.")
    return address


def check_locale(locale: str) -> str:
    """A locale as it was given. Refuses: INVALID_VALUE."""
    if not LOCALE.fullmatch(locale):
        raise invalid("locale", "This is not a locale, such as en_IN.")
    return locale


async def check_zone(work: Work, zone: str) -> str:
    """A time zone as it was given. Refuses: INVALID_VALUE.

    The database must know it too: it asks what day it is for each member of a book, and one zone that it does not know
    would fail them all.
    """
    if zone not in available_timezones() or not await work.accounts.knows_zone(zone):
        raise invalid("timeZone", "This is not a time zone.")
    return zone


def taken() -> Refusal:
    """The answer to an address that is another user's."""
    return Refusal(RefusalCode.DUPLICATE, "A user has this address already.", ("input", "email"))
