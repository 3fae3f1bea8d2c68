"""A real mail server on loopback."""

import asyncio
import contextlib
import email
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class Post:
    """A mail server's handler, which keeps what arrives, or says what the test has it say."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, list[str], EmailMessage]] = []
        self.answer = "250 OK"
        self.users: list[bytes] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a letter; called by the server."""
        if self.answer.startswith("250"):
            message = email.message_from_bytes(envelope.content or b"", policy=default)  # type: ignore[arg-type] # not decoded
            assert isinstance(message, EmailMessage)
            self.arrived.append((envelope.mail_from or "", list(envelope.rcpt_tos), message))
        return self.answer


@contextlib.asynccontextmanager
async def office(post: Post, port: int = 0, **given: Any) -> AsyncIterator[int]:
    """A mail server on loopback; gives its port."""
    whole = given.pop("ssl", None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(post, loop=loop, **given), "127.0.0.1", port, ssl=whole)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
