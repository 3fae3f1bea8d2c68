"""A letter, as jobs hand it to the gateway, and as it travels."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

Sender: TypeAlias = Address
Encoding: TypeAlias = Literal["quoted-printable", "8bit"]


class Letter(msgspec.Struct, frozen=True):
    """A letter to one person, in plain text; a repetition has the same `id`, by which a reader's program knows it."""

    id: UUID
    address: str
    name: str
    subject: str
    text: str
    written_at: datetime

    def __repr__(self) -> str:
        """Its id alone: what it says may be a secret, and whom it is for is personal."""
        return f"Letter({self.id})"


class Mail(Protocol):
    """How letters leave the firm."""

    async def send(self, letter: Letter) -> None:
        """Send a letter; raises Unavailable, or what else the post says, if it must be tried again."""
        ...


def as_sender(text: str) -> Sender:
    """Whom letters are from, of `steward@example.com` or `Steward <steward@example.com>`; raises ValueError."""
    name, address = parseaddr(text)
    username, _, domain = address.rpartition("@")
    if not username or not domain or " " in address:
        raise ValueError("must be an address such as Steward <steward@example.com>")
    return Address(name, username, domain)


def message_of(letter: Letter, sender: Sender, encoding: Encoding = "quoted-printable") -> EmailMessage:
    """The letter as it travels (RFC 5322); raises ValueError for an address that no header can hold.

    Quoted-printable passes through every server; 8bit leaves a text as it is, for people who look at a file.
    """
    message = EmailMessage(SMTP)
    message["From"] = sender
    message["To"] = _recipient(letter)
    message["Subject"] = letter.subject
    message["Date"] = letter.written_at
    message["Message-ID"] = f"<{letter.id}@{sender.domain}>"
    # No out-of-office reply comes back (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte=encoding)
    return message


def _recipient(letter: Letter) -> Address:
    username, _, domain = letter.address.rpartition("@")
    return Address(letter.name, username, domain)
