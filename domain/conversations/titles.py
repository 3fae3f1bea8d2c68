"""What a conversation is called: by its first question, once that is answered by both, and then as it is renamed."""

from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.conversations.costs import ModelCall
from domain.conversations.entities import Message, Run, RunStatus, Title
from domain.conversations.looking import Looked, still_there
from domain.identity import UserStatus
from domain.refs import Ref
from domain.work import Work

if TYPE_CHECKING:
    from domain.jobs import Office

# A title is as long as a list shows.
TITLE_LENGTH: Final = 60
# Of more clients none is named.
MOST_NAMED: Final = 2


class Exchange(msgspec.Struct, frozen=True):
    """A question, its answer, the run that gave it, and the clients that the question is about, if they are few."""

    run: Run
    question: Message
    answer: Message
    about: tuple[Looked, ...]


class Titled(msgspec.Struct, frozen=True):
    """What somebody would call an exchange, if it has an idea, and the calls of models that it took."""

    title: str | None
    calls: tuple[ModelCall, ...] = ()


def shortened(text: str) -> str:
    """A text's beginning, up to the end of a word, as a title."""
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line
    head = line[: TITLE_LENGTH - 1]
    return (head.rpartition(" ")[0] or head) + "…"


async def enqueue_if_due(work: Work, run: Run) -> None:
    """Have a conversation called by its first exchange, if this run has just completed that."""
    if not await work.conversations.is_called_by_question(run.conversation_id):
        return
    if await work.runs.is_first_completed(run):
        work.enqueue(improve, run.id, key=f"title of {run.conversation_id}")


async def improve(office: "Office", run_id: UUID) -> None:
    """Call a conversation by its first exchange, as far as a model has an idea. A job."""
    exchange = await office.write(exchange_of, run_id)
    if exchange is not None:
        titled = await office.assistant.entitle(office, exchange)
        await office.write(entitle, exchange, titled)


async def exchange_of(work: Work, viewer: Viewer, run_id: UUID) -> Exchange | None:
    """What a run has answered; none where the conversation is called otherwise by now, or gone."""
    # With its lock, and so with its messages, which go with it.
    run = await work.runs.locked(run_id)
    if run is None or run.status is not RunStatus.COMPLETED:
        return None
    if not await work.conversations.is_called_by_question(run.conversation_id):
        return None
    question, answer = [await work.messages.known(each) for each in (run.question_id, run.message_id)]
    clients = await work.messages.clients_of([question.id])
    named = sorted(clients) if len(clients) <= MOST_NAMED else []
    about = await still_there(work, viewer, [Ref("client", each) for each in named])
    return Exchange(run, question, answer, tuple(about))


async def entitle(work: Work, _: Viewer, exchange: Exchange, titled: Titled) -> None:
    """Give a conversation the title of its first exchange, unless somebody has renamed it meanwhile.

    It is seen by who sees the answer: who does not see all clients of the question does not see that either.
    """
    # With its lock: with a run that is gone all is gone that could be called anything.
    if await work.runs.locked(exchange.run.id) is None:
        return
    # What it has cost is known, whoever is erased meanwhile.
    kept = await _may_be_kept(work, exchange)
    await work.runs.note([call if kept else msgspec.structs.replace(call, prompt=None) for call in titled.calls])
    if titled.title:
        await work.conversations.entitle_anew(Title(exchange.run.conversation_id, titled.title, exchange.answer.id))


async def _may_be_kept(work: Work, exchange: Exchange) -> bool:
    """Whether nobody may have been erased meanwhile of whom an exchange tells: its clients, and who has asked."""
    answer = await work.messages.known(exchange.answer.id)
    asker = await work.identities.user(exchange.run.user_id)
    # An answer that is whole is changed by nothing else, and no user is erased who may sign in.
    return answer.version == exchange.answer.version and asker.status is UserStatus.ACTIVE
