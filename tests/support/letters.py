"""Letters of a test: the queue worked off, and what lies in the directory of the mail."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Final

from domain.mail import FileMail
from graph.context import Services
from tests.support.worker import drained

TOKEN: Final = re.compile(r"#token=([A-Za-z0-9_-]{64})\s")


def directory(services: Services) -> Path:
    """Where letters lie."""
    mail = services.gateways.mail
    assert isinstance(mail, FileMail)
    return mail.directory


async def letters_to(services: Services, address: str) -> list[EmailMessage]:
    """The letters to an address, in order, once all that were asked for are written."""
    await drained(services)
    found = []
    for path in sorted(directory(services).glob("*.eml")):
        letter = email.message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(letter, EmailMessage)
        if letter["To"].addresses[0].addr_spec == address:
            found.append(letter)
    return found


def token_of(letter: EmailMessage) -> str:
    """The token of the link in a letter."""
    (token,) = TOKEN.findall(letter.get_content())
    return str(token)
