"""Conversations, what was said in them, and the runs that have answered."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from domain.access import NOBODY
from domain.conversations import blocks as content
from domain.conversations.blocks import AnyBlock, TextBlock
from domain.conversations.costs import CallPurpose, ModelCall
from domain.conversations.entities import (
    GENERAL,
    Conversation,
    Insight,
    Message,
    MessageRole,
    Mode,
    Module,
    Participant,
    Run,
    RunStatus,
    Step,
    Title,
    ToolUse,
    stored,
)
from domain.conversations.runs import words_of
from domain.identity import User
from domain.text import words
from persistence.conversations import tables
from tests.factories.firm import Make


async def conversation(make: Make, owner: User, *others: User, **given: Any) -> Conversation:
    """A conversation that nobody has said anything in yet; its owner takes part, and so do the others."""
    now = make.now
    made = Conversation(make.new_id(), owner.id, Module.ADVISORY, Mode.SOLO, now, now, None, 1)
    made = msgspec.structs.replace(made, **given)
    await make.add(tables.conversations, made)
    for user in (owner, *others):
        await make.add(tables.participants, Participant(make.new_id(), made.id, user.id, owner.id, now))
    return made


async def title(make: Make, of: Conversation, text: str, message: Message | None = None) -> None:
    """What a conversation is called; seen as a message is, if one is given."""
    await make.add(tables.titles, Title(of.id, text, message.id if message else None))


async def message(
    make: Make,
    of: Conversation,
    text: str = "What is there to be done?",
    *,
    about: Collection[UUID] = (),
    more: Sequence[AnyBlock] = (),
    **given: Any,
) -> Message:
    """A question of the owner's; `about` are the clients whose data it holds."""
    said = [TextBlock(text=text), *more]
    made = Message(
        id=make.new_id(),
        conversation_id=of.id,
        role=MessageRole.USER,
        author_id=of.owner_id,
        agent=None,
        reply_to_id=None,
        run_id=None,
        created_at=make.now,
        blocks=content.stored(said),
        insight=stored(Insight()),
        version=1,
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(tables.messages, made)
    index = "update messages set words = array_to_tsvector($2) where id = $1"
    await make.connection.execute(index, made.id, sorted(words(words_of(said))))
    rows = [(of.id, made.id, client_id) for client_id in about]
    await make.connection.copy_records_to_table("message_clients", records=rows)
    return made


async def answer(make: Make, of: Conversation, question: Message, text: str, **given: Any) -> Message:
    """The assistant's answer to a question, by a run that is to be made."""
    own = {"role": MessageRole.ASSISTANT, "author_id": None, "agent": GENERAL, "run_id": make.new_id()}
    return await message(make, of, text, **{**own, "reply_to_id": question.id, **given})


async def run(make: Make, question: Message, answered: Message, **given: Any) -> Run:
    """The run that has made an answer, with the one tool that it has used, and the call of a model that wanted it."""
    if answered.run_id is None or question.author_id is None:
        raise ValueError("a run is of a question and its answer")
    now = make.now
    made = Run(
        id=answered.run_id,
        conversation_id=answered.conversation_id,
        message_id=answered.id,
        question_id=question.id,
        user_id=question.author_id,
        session_id=NOBODY,
        status=RunStatus.COMPLETED,
        attempt=1,
        created_at=now,
        started_at=now,
        ended_at=now,
        error=None,
        retry_of=None,
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(tables.runs, made)
    await make.connection.execute("update messages set run_id = $2 where id = $1", question.id, made.id)
    used = ToolUse(
        id=make.new_id(),
        run_id=made.id,
        message_id=answered.id,
        round=0,
        position=0,
        block=0,
        said="",
        call_id="call_0",
        name="find_clients",
        arguments="{}",
        line="Clients",
        facts=answered.blocks,
        failed=False,
        used_at=now,
    )
    await make.add(tables.tool_uses, used)
    call = ModelCall(make.new_id(), made.id, answered.id, 1, CallPurpose.ANSWER, "tests", 11, 7, Decimal(0), "{}", now)
    await make.add(tables.model_calls, call)
    return made


async def step(make: Make, of: Message, seq: int, text: str) -> Step:
    """Some words of an answer, as the event of this number tells them."""
    made = Step(of.conversation_id, of.id, seq, None, GENERAL, 0, 0, text)
    await make.add(tables.run_steps, made)
    return made
