"""Mail by SMTP."""

import ssl
from enum import StrEnum
from typing import Final

import aiosmtplib
import msgspec

from domain.errors import Unavailable
from domain.mail.letter import Letter, Sender, message_of

# For each step of the conversation; a letter waits in the queue, and nobody waits for it.
STEP_SECONDS: Final = 20.0


class Security(StrEnum):
    """How a conversation with a mail server is encrypted: from its beginning, after STARTTLS, or not at all."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class SmtpServer(msgspec.Struct, frozen=True):
    """A mail server and how it is spoken to; certificates are checked against `context`, or the system's own."""

    host: str
    port: int = 587
    user: str | None = None
    password: str | None = None
    security: Security = Security.STARTTLS
    seconds: float = STEP_SECONDS
    context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        """Without the password."""
        return f"SmtpServer({self.host}:{self.port}, {self.security})"


class SmtpMail:
    """Hands letters to a mail server, one conversation for each."""

    def __init__(self, server: SmtpServer, sender: Sender) -> None:
        self._server = server
        self._sender = sender

    async def send(self, letter: Letter) -> None:
        """Hand the letter over; raises Unavailable if the server does not take it now, or ever."""
        server = self._server
        try:
            await aiosmtplib.send(
                message_of(letter, self._sender),
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.security is Security.TLS,
                # Never only if the server offers it: somebody in between could take the offer away.
                start_tls=server.security is Security.STARTTLS,
                timeout=server.seconds,
                tls_context=server.context,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            # What the server says repeats whom the letter is for, so that its class alone is kept.
            raise Unavailable(f"The mail server does not take letters: {type(error).__name__}.") from error
