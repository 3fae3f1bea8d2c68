"""What conversations need of their storage."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.access import Viewer
from domain.conversations.costs import CallPurpose, Charge, ModelCall
from domain.conversations.entities import (
    Conversation,
    Message,
    Participant,
    Run,
    RunStatus,
    Title,
    ToolUse,
)


class Conversations(Protocol):
    """The storage of conversations, of who takes part in them, and of their titles."""

    async def one(self, viewer: Viewer, row_id: UUID) -> Conversation: ...  # noqa: D102 - the signature says it
    async def locked(self, viewer: Viewer, row_id: UUID) -> Conversation: ...  # noqa: D102
    async def add(self, row: Conversation) -> None: ...  # noqa: D102
    async def replace(self, before: Conversation, after: Conversation) -> Conversation: ...  # noqa: D102
    async def remove(self, conversation: Conversation) -> None: ...  # noqa: D102

    async def forget(self, conversation_id: UUID) -> None:
        """Forget the events of a conversation that is gone."""
        ...

    async def touch(self, conversation_id: UUID, at: datetime) -> None: ...  # noqa: D102
    async def participants(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Participant]: ...  # noqa: D102
    async def join(self, participant: Participant) -> bool: ...  # noqa: D102
    async def part(self, participant: Participant) -> None: ...  # noqa: D102
    async def entitle(self, title: Title) -> None:
        """Give a conversation a title, unless it has one."""
        ...

    async def entitle_anew(self, title: Title) -> None:
        """Give a conversation that is called by a question another title; whatever else it is called stays."""
        ...

    async def rename(self, conversation_id: UUID, title: str) -> None:
        """Give a conversation of the viewer's own another title, whoever may see the one that it has."""
        ...

    async def is_called_by_question(self, conversation_id: UUID) -> bool: ...  # noqa: D102

    async def mentioned(self, conversation_id: UUID) -> Mapping[UUID, bool]:
        """The clients whose data a conversation holds, and whether the transaction's viewer sees them at present."""
        ...

    async def sees_all(self, user_id: UUID, client_ids: Collection[UUID], now: datetime) -> bool:
        """Whether a user, of whatever session, sees all of these clients, and may sign in at all."""
        ...


class Messages(Protocol):
    """The storage of messages."""

    async def one(self, viewer: Viewer, row_id: UUID) -> Message: ...  # noqa: D102

    async def known(self, message_id: UUID) -> Message:
        """The message, which the transaction's viewer is known to see."""
        ...

    async def post(self, message: Message, text: str, client_ids: Collection[UUID]) -> None:
        """Store a message, the words it is found by, and the clients whose data it holds."""
        ...

    async def change(self, after: Message) -> None: ...  # noqa: D102
    async def index(self, message_id: UUID, text: str) -> None: ...  # noqa: D102
    async def mention(self, message: Message, client_ids: Collection[UUID]) -> None: ...  # noqa: D102

    async def clients_of(self, message_ids: Sequence[UUID]) -> frozenset[UUID]:
        """The clients whose data these messages hold."""
        ...

    async def latest(self, conversation_id: UUID, before: UUID, most: int) -> list[Message]:
        """The last messages before one, in order, as far as the transaction's viewer sees them."""
        ...


class Runs(Protocol):
    """The storage of runs."""

    async def seat(self, user_id: UUID) -> None:
        """Be alone with a user's runs until the end of the transaction; before any lock of a row."""
        ...

    async def open_counts(self, user_id: UUID) -> Mapping[RunStatus, int]:
        """How many of a user's runs are under way, and how many wait."""
        ...

    async def open_of(self, conversation_id: UUID) -> list[tuple[UUID, UUID]]:
        """The runs of a conversation of the viewer's own that have not ended, with their locks, and whose they are."""
        ...

    async def open_before(self, moment: datetime) -> list[Run]:
        """All runs, of whoever, that were begun before a moment and have not ended."""
        ...

    async def open_about(self, client_id: UUID) -> list[Run]:
        """The runs that have not ended whose answers hold a client's data, as far as they are seen."""
        ...

    async def open_by(self, user_id: UUID) -> list[Run]:
        """The runs of a user that have not ended, as far as they are seen."""
        ...

    async def is_retried(self, run_id: UUID) -> bool: ...  # noqa: D102

    async def is_first_completed(self, run: Run) -> bool:
        """Whether no other run of its conversation was completed, as far as the transaction's viewer sees them."""
        ...

    async def next_queued(self, user_id: UUID) -> Run | None:
        """The user's run that has waited for longest, with its lock."""
        ...

    async def add(self, run: Run) -> None: ...  # noqa: D102
    async def known(self, run_id: UUID) -> Run | None: ...  # noqa: D102
    async def locked(self, run_id: UUID) -> Run | None: ...  # noqa: D102
    async def change(self, after: Run) -> None: ...  # noqa: D102
    async def end(self, before: Run, after: Run) -> None:
        """Store a run that has ended, whose lock is held; the audit trail tells how."""
        ...

    async def uses(self, run_id: UUID) -> list[ToolUse]: ...  # noqa: D102
    async def use(self, used: ToolUse) -> None: ...  # noqa: D102
    async def charges(self, run_id: UUID, purpose: CallPurpose) -> list[Charge]: ...  # noqa: D102
    async def note(self, calls: Sequence[ModelCall]) -> None: ...  # noqa: D102

    async def said(self, message_id: UUID) -> Mapping[int, str]:
        """What was said of each block of a running answer that is not settled yet, by its place."""
        ...

    async def forget_steps(self, message_id: UUID) -> int | None:
        """Forget the steps of an answer whose run has ended, and their events; gives the first of their numbers."""
        ...
