"""How users come back who have forgotten their password, and how they show that an address is theirs."""

import msgspec

from domain.access import Action, Viewer, require, require_recent
from domain.audit import Trace
from domain.errors import RateLimited, Refusal, RefusalCode
from domain.identity import attempts, letters
from domain.identity.accounts import Entrance, end_all_sessions, mail_link, use_link
from domain.identity.admission import Admissions
from domain.identity.entities import Credential, User, UserStatus
from domain.identity.joining import letters_for, mail_way_in
from domain.identity.links import AccountLink, LinkKind, Links, dead_link
from domain.identity.users import check_email, taken
from domain.origin import Origin
from domain.text import invalid
from domain.work import Work


async def request_password_reset(work: Work, admissions: Admissions, email: str, origin: Origin) -> RateLimited | bool:
    """Mail a link to a new password to the user with an address; nobody is told whether there is one.

    Gives a RateLimited that is to be raised once what was counted is stored. Refuses: INVALID_VALUE.
    """
    address = check_email(email)
    if fault := await attempts.count(work, letters_for(admissions, origin)):
        return fault
    work.trace(Trace("identity.request_password_reset", "User"))
    await mail_way_in(work, address)
    return True


async def reset_password(work: Work, entrance: Entrance, token: str, password: str) -> User:
    """Give a user another password, end all its sessions, and let it sign in without a wait.

    Refuses: LINK_INVALID, WEAK_PASSWORD.
    """
    user, _ = await use_link(work, entrance.links, LinkKind.PASSWORD_RESET, token)
    if user.status is not UserStatus.ACTIVE:
        raise dead_link()
    hashed = await entrance.passwords.chosen(password, user.name, user.email)
    await work.accounts.set_password(Credential(user.id, hashed))
    await end_all_sessions(work, user.id)
    await attempts.succeeded(work, entrance.admissions.account(user.email))
    work.enqueue(letters.password_changed, user.id, work.new_id())
    return user


async def request_verification(work: Work, viewer: Viewer) -> User:
    """Mail a link to the viewer's address that shows that it is its own. Refuses: USER_STATUS, TOO_MANY_LINKS."""
    require(viewer, Action.MANAGE_ACCOUNT)
    user = await work.accounts.locked(viewer.user_id)
    if user.email_verified_at is not None:
        raise Refusal(RefusalCode.USER_STATUS, "The address is verified already.")
    if not await mail_link(work, user, LinkKind.EMAIL_VERIFICATION):
        raise too_many()
    return user


async def change_email(work: Work, viewer: Viewer, email: str) -> None:
    """Mail a link to a new address of the viewer's, which is the user's once the link is used.

    Nothing is mailed to an address that another user has, and nobody is told that one has it. Refuses:
    REAUTHENTICATION_NEEDED, INVALID_VALUE, TOO_MANY_LINKS.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    address = check_email(email)
    user = await work.accounts.locked(viewer.user_id)
    if address == user.email:
        raise invalid("email", "This is your address already.")
    work.trace(Trace("identity.change_email", "User", user.id, personal={"email": address}, person_id=user.id))
    is_taken = await work.accounts.locked_by_email(address) is not None
    if not await mail_link(work, user, LinkKind.EMAIL_VERIFICATION, address, void=is_taken):
        raise too_many()


async def verify_email(work: Work, links: Links, token: str) -> User:
    """Take an address for the user's own, in place of the one before if it is another.

    Refuses: LINK_INVALID, DUPLICATE.
    """
    before, link = await use_link(work, links, LinkKind.EMAIL_VERIFICATION, token)
    if before.status is not UserStatus.ACTIVE or before.email != (link.previous_address or link.address):
        raise dead_link()
    user = msgspec.structs.replace(before, email=link.address, email_verified_at=work.now, version=before.version + 1)
    if link.previous_address is None:
        return await work.accounts.replace(before, user)
    await _move(work, before, user, link)
    return user


async def _move(work: Work, before: User, user: User, link: AccountLink) -> None:
    if not await work.accounts.replace_address(before, user):
        raise taken()
    # What was mailed to the address before is worth nothing to whoever reads it now.
    await work.accounts.end_links(user.id, [LinkKind.PASSWORD_RESET], work.now)
    work.enqueue(letters.address_changed, link.id, work.new_id())


def too_many() -> Refusal:
    """The answer to whoever asks for one link after the other."""
    return Refusal(RefusalCode.TOO_MANY_LINKS, "Several links were mailed in the last hour; look for them first.")
