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


class NewUser(msgspec.Struct, frozen=True):
    """What makes a user."""

    email: str
    name: str
    password: str
    role: Role
    unit_id: UUID | None = None
    team_id: UUID | None = None
    client_id: UUID | None = None
    locale: str = "en_IN"
    time_zone: str = "Asia/Kolkata"


SHORTEST_PASSWORD: Final = 12
LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_[A-Z]{2})?")
# Without their place these roles would see no book, or could never lead one.
NEEDS_TEAM: Final = frozenset({Role.SUPERVISOR, Role.ADVISOR, Role.VIEWER})
NOT_MADE: Final = frozenset({Role.CLIENT, Role.SERVICE})


def check_place(role: Role, *, unit: object, team: object) -> None:
    """Whether a user, in this unit and team or none, can see what its role is for. Refuses: INVALID_VALUE."""
    if role in NOT_MADE:
        raise invalid("role", f"A user with the role {role} cannot be made here.")
    if role in NEEDS_TEAM and team is None:
        raise invalid("team", f"A user with the role {role} needs a team.")
    if role is Role.BU_MANAGER and unit is None:
        raise invalid("unit", f"A user with the role {role} needs a business unit.")


async def create_user(work: Work, passwords: Passwords, new: NewUser) -> User:
    """Add a user, from the command line. Refuses: INVALID_VALUE, DUPLICATE."""
    if len(new.password) < SHORTEST_PASSWORD:
        raise invalid("password", f"A password has at least {SHORTEST_PASSWORD} characters.")
    if new.time_zone not in available_timezones():
        raise invalid("timeZone", "This is not a time zone.")
    if not LOCALE.fullmatch(new.locale):
        raise invalid("locale", "This is not a locale, such as en_IN.")
    check_place(new.role, unit=new.unit_id, team=new.team_id)
    address = checked_email(new.email, "email")
    if address is None:
        raise invalid("email", "An address is needed.")
    name = named(new.name, "name")
    user = User(
        id=work.new_id(),
        email=address,
        name=name,
        sort_name=fold(name),
        picture_url=None,
        locale=new.locale,
        time_zone=new.time_zone,
        role=new.role,
        unit_id=new.unit_id,
        team_id=new.team_id,
        client_id=new.client_id,
        status=UserStatus.ACTIVE,
        created_at=work.now,
        email_verified_at=None,
        version=1,
    )
    if not await work.identities.add_user(user, Credential(user.id, passwords.hash(new.password))):
        raise Refusal(RefusalCode.DUPLICATE, "A user has this address already.", ("input", "email"))
    return user
