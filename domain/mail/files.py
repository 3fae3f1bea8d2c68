"""Mail without an account or a network: each letter becomes a file, which any mail program opens."""

import asyncio
import logging
import os
from pathlib import Path
from uuid import uuid4

from domain.mail.letter import Letter, Sender, message_of

log = logging.getLogger("steward.mail")


class FileMail:
    """Puts letters into a directory that only its owner reads, as `<id>.eml`; ids sort by time."""

    def __init__(self, directory: Path, sender: Sender) -> None:
        self.directory = directory
        self._sender = sender

    async def send(self, letter: Letter) -> None:
        """Put the letter down, once however often it is sent."""
        path = await asyncio.to_thread(self._put, letter)
        # The file, and neither whom it is for nor what it says: logs are read by more people than letters are.
        log.info("a letter lies in %s", path)

    def _put(self, letter: Letter) -> Path:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / f"{letter.id}.eml"
        # Whole or not there: another process may look at the same moment, and this one may be killed.
        unfinished = path.with_suffix(f".{uuid4().hex}")
        with open(unfinished, "xb", opener=_private) as file:
            file.write(message_of(letter, self._sender, "8bit").as_bytes())
        unfinished.replace(path)
        return path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
