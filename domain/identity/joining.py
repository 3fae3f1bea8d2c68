"""How people become users: by an invitation, or by themselves where the firm lets them."""

import msgspec

from domain.access import Role
from domain.errors import RateLimited, Refusal, RefusalCode
from domain.identity import attempts
from domain.identity.accounts import Entrance, mail_link, use_link
from domain.identity.admission import Admission, Admissions, admit
from domain.identity.entities import Credential, User, UserStatus
from domain.identity.links import LinkKind, dead_link
from domain.identity.users import Newcomer, check_email, check_locale, check_zone, user_of
from domain.origin import Origin
from domain.text import fold, named
from domain.work import Work


class Acceptance(msgspec.Struct, frozen=True):
    """What accepts an invitation; what is left out stays as whoever invited has said it."""

    token: str
    password: str
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None


class Registration(msgspec.Struct, frozen=True):
    """What somebody registers with."""

    email: str
    name: str
    locale: str = "en_IN"
    time_zone: str = "Asia/Kolkata"


async def accept_invite(work: Work, entrance: Entrance, accepted: Acceptance, origin: Origin) -> Admission:
    """Make the invited an active user with a password of its own, and let it in.

    The link has shown that the address is its own. Refuses: LINK_INVALID, WEAK_PASSWORD, INVALID_VALUE.
    """
    before, _ = await use_link(work, entrance.links, LinkKind.INVITATION, accepted.token)
    if before.status is not UserStatus.INVITED:
        raise dead_link()
    user = await _accepted(work, before, accepted)
    hashed = await entrance.passwords.chosen(accepted.password, user.name, user.email, field="password")
    await work.accounts.set_password(Credential(user.id, hashed))
    await work.accounts.replace(before, user)
    return await admit(work, entrance.admissions, user.id, origin)


async def _accepted(work: Work, invited: User, accepted: Acceptance) -> User:
    name = named(accepted.name, "name") if accepted.name is not None else invited.name
    return msgspec.structs.replace(
        invited,
        name=name,
        sort_name=fold(name),
        locale=check_locale(accepted.locale) if accepted.locale is not None else invited.locale,
        time_zone=await check_zone(work, accepted.time_zone) if accepted.time_zone is not None else invited.time_zone,
        status=UserStatus.ACTIVE,
        email_verified_at=work.now,
        version=invited.version + 1,
    )


def check_open(*, registration: bool) -> None:
    """Whether people may become users by themselves. Refuses: REGISTRATION_CLOSED."""
    if not registration:
        raise Refusal(RefusalCode.REGISTRATION_CLOSED, "Nobody registers here; ask the firm for an invitation.")


async def register(
    work: Work, admissions: Admissions, new: Registration, origin: Origin, *, is_open: bool
) -> RateLimited | bool:
    """Have somebody become a user who sees no client, until an admin gives it another role and a team.

    What follows comes by mail to the address, so that its owner alone learns whether it has an account already. There
    is no password yet: one that is given before the address is proven would let a stranger wait in the account of its
    owner. Gives a RateLimited that is to be raised once what was counted is stored. Refuses: REGISTRATION_CLOSED,
    INVALID_VALUE.
    """
    check_open(registration=is_open)
    address = check_email(new.email)
    user = await user_of(
        work, Newcomer(address, new.name, Role.VIEWER, locale=new.locale, time_zone=new.time_zone), UserStatus.INVITED
    )
    if fault := await attempts.count(work, letters_for(admissions, origin)):
        return fault
    if await work.accounts.add(user):
        await mail_link(work, user, LinkKind.INVITATION)
    else:
        await mail_way_in(work, address)
    return True


def letters_for(admissions: Admissions, origin: Origin) -> attempts.Key:
    """What letters are counted by that somebody at an address asks for, whomever they go to."""
    return attempts.Key(f"letters {admissions.address(origin).text}", admissions.limits.address)


async def mail_way_in(work: Work, address: str) -> None:
    """Mail a link to a new password to the user with an address, if there is one: an invitation, if it was never in."""
    user = await work.accounts.locked_by_email(address)
    if user is None or user.role is Role.SERVICE or user.status is UserStatus.DISABLED:
        return
    invited = user.status is UserStatus.INVITED
    await mail_link(work, user, LinkKind.INVITATION if invited else LinkKind.PASSWORD_RESET)
