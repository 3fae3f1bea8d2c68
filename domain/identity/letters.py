"""The letters that users get about their accounts: jobs, which a verb enqueues, and what they write.

A job takes ids alone; the second is that of the letter, so that one that is sent twice is known for the same.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from domain.access import Role, Viewer
from domain.identity.entities import User
from domain.identity.links import AccountLink, LinkKind, Links
from domain.mail import Letter
from domain.work import Work

if TYPE_CHECKING:
    from domain.jobs import Office


class Text(msgspec.Struct, frozen=True):
    """What a letter says, without its address and its end."""

    subject: str
    body: str


SIGNED: Final = "\n\n-- \nSteward writes this by itself; nobody reads an answer.\n"
NOT_YOU: Final = "If this was not you, or you did not expect it, tell an admin of your firm at once."


async def send_link(office: "Office", link_id: UUID) -> None:
    """Mail a link, unless it has been used or is too old by now."""
    letter = await office.write(write_link, office.links, link_id)
    if letter is not None:
        await office.mail.send(letter)


async def password_changed(office: "Office", user_id: UUID, letter_id: UUID) -> None:
    """Tell a user that its password was changed."""
    await _tell(office, user_id, letter_id, _password_changed)


async def place_changed(office: "Office", user_id: UUID, letter_id: UUID) -> None:
    """Tell a user of its role, which was changed."""
    await _tell(office, user_id, letter_id, _place_changed)


async def disabled(office: "Office", user_id: UUID, letter_id: UUID) -> None:
    """Tell a user that it cannot sign in any more."""
    await _tell(office, user_id, letter_id, _disabled)


async def enabled(office: "Office", user_id: UUID, letter_id: UUID) -> None:
    """Tell a user that it can sign in again."""
    await _tell(office, user_id, letter_id, _enabled)


async def address_changed(office: "Office", link_id: UUID, letter_id: UUID) -> None:
    """Tell a user, at the address it had before, that it has another."""
    letter = await office.write(write_farewell, link_id, letter_id)
    if letter is not None:
        await office.mail.send(letter)


async def write_link(work: Work, _: Viewer, links: Links, link_id: UUID) -> Letter | None:
    """The letter that holds a link, if it still works."""
    link = await work.accounts.link(link_id)
    if link is None or not link.works(work.now):
        return None
    user = await work.identities.user(link.user_id)
    text = WITH_LINK[link.kind](user, links.url(link.kind, link.id), _until(user, link))
    return _letter(link.id, user, text, link.created_at, link.address)


async def write_farewell(work: Work, _: Viewer, link_id: UUID, letter_id: UUID) -> Letter | None:
    """The letter to the address that a link has replaced."""
    link = await work.accounts.link(link_id)
    if link is None or link.previous_address is None:
        return None
    user = await work.identities.user(link.user_id)
    return _letter(letter_id, user, _address_changed(user), work.now, link.previous_address)


async def write_notice(
    work: Work, _: Viewer, user_id: UUID, letter_id: UUID, write: Callable[[User], Text]
) -> Letter | None:
    """A letter about what was done to an account; programs read no mail."""
    user = await work.identities.user(user_id)
    return None if user.role is Role.SERVICE else _letter(letter_id, user, write(user), work.now, user.email)


async def _tell(office: "Office", user_id: UUID, letter_id: UUID, write: Callable[[User], Text]) -> None:
    letter = await office.write(write_notice, user_id, letter_id, write)
    if letter is not None:
        await office.mail.send(letter)


def _letter(letter_id: UUID, user: User, text: Text, written_at: datetime, address: str) -> Letter:
    whole = f"{user.name},\n\n{text.body}{SIGNED}"
    return Letter(letter_id, address, user.name, text.subject, whole, written_at)


def _until(user: User, link: AccountLink) -> str:
    return f"{link.expires_at.astimezone(ZoneInfo(user.time_zone)):%d %B %Y, %H:%M} ({user.time_zone})"


def _invitation(_: User, url: str, until: str) -> Text:
    return Text(
        "Your account with Steward",
        "an account with Steward is ready for you. Choose a password, and it is yours:\n\n"
        f"{url}\n\nThe link works once, until {until}. If you know nothing of it, leave it alone.",
    )


def _reset(_: User, url: str, until: str) -> Text:
    return Text(
        "A new password for Steward",
        "somebody, you we hope, has asked for a new password for your account, or to register with your address, "
        f"which has an account already. Choose another password here:\n\n{url}\n\n"
        f"The link works once, until {until}. If it was not you, leave it alone: your password stays as it is.",
    )


def _verification(_: User, url: str, until: str) -> Text:
    return Text(
        "Your address with Steward",
        f"show that this address is yours:\n\n{url}\n\nThe link works once, until {until}. {NOT_YOU}",
    )


def _password_changed(_: User) -> Text:
    return Text(
        "Your password was changed",
        f"the password of your account with Steward was changed. {NOT_YOU}",
    )


def _place_changed(user: User) -> Text:
    role = user.role.replace("_", " ").lower().replace("bu ", "business unit ")
    return Text(
        "Your role was changed",
        f"your place in Steward was changed: your role is now {role}. What you see and may do follows from it. "
        f"{NOT_YOU}",
    )


def _disabled(_: User) -> Text:
    return Text(
        "Your account was disabled",
        "your account with Steward was disabled, and you are signed out everywhere. An admin of your firm knows why.",
    )


def _enabled(_: User) -> Text:
    return Text("Your account works again", f"your account with Steward was enabled again. {NOT_YOU}")


def _address_changed(_: User) -> Text:
    return Text(
        "Your address was changed",
        f"your account with Steward has another address now, and letters about it no longer go to this one. {NOT_YOU}",
    )


WITH_LINK: Final[Mapping[LinkKind, Callable[[User, str, str], Text]]] = {
    LinkKind.INVITATION: _invitation,
    LinkKind.PASSWORD_RESET: _reset,
    LinkKind.EMAIL_VERIFICATION: _verification,
}
