"""Calling a tool for an answer: once, as the user who asked, with all that comes of it stored together."""

from collections.abc import Sequence
from typing import Final

import msgspec

from domain.access import Role, Viewer
from domain.assistant.models import Call
from domain.assistant.tools import Found, ToolFailed
from domain.assistant.tools.registry import look_up
from domain.audit import Trace
from domain.conversations import blocks as content
from domain.conversations import runs
from domain.conversations.costs import ModelCall
from domain.conversations.entities import EventKind, Run, ToolUse, stream_of
from domain.conversations.runs import held
from domain.refs import Ref
from domain.work import Work

# Of the clients that an auditor has had looked up at once.
MOST_NAMED: Final = 100
_JSON: Final = msgspec.json.Encoder(decimal_format="string")


async def use_tool(
    work: Work, viewer: Viewer, run: Run, use: ToolUse, calls: Sequence[ModelCall]
) -> tuple[ToolUse, int]:
    """Call a tool and store what came of it, once; gives it, and how many blocks the answer has by then.

    In one transaction, so that a tool that was called has been noted; and with it `calls`, those of models that have
    led to it. Raises RunLost.
    """
    await work.privacy.people_stand()
    await held(work, run)
    await work.runs.note(calls)
    message = await work.messages.known(run.message_id)
    found = await _found(work, viewer, use)
    failed = isinstance(found, ToolFailed)
    used = msgspec.structs.replace(use, facts=_facts(found), failed=failed, used_at=work.now)
    await work.runs.use(used)
    if viewer.role is Role.AUDITOR:
        work.trace(_read_by_auditor(use, found))
    # Before anything that is said of them: a failure too may name clients.
    await work.messages.mention(message, found.clients)
    await _ask_about(work, run, found)
    added = () if isinstance(found, ToolFailed) else found.blocks
    if not added:
        return used, len(content.read(message.blocks))
    whole = [*await runs.settled(work, message), *added]
    await work.messages.change(msgspec.structs.replace(message, blocks=content.stored(whole)))
    for place in range(len(whole) - len(added), len(whole)):
        work.append(stream_of(run.conversation_id), EventKind.BLOCK_ADDED, message.id, place)
    return used, len(whole)


def _read_by_auditor(use: ToolUse, found: Found | ToolFailed) -> Trace:
    """What an auditor has had looked up, as its other reads are noted."""
    ids = [str(Ref("client", each)) for each in sorted(found.clients)[:MOST_NAMED]]
    return Trace("audit.read", "Tool", facts={"operation": use.name, "type": "tool", "fields": [], "ids": ids})


async def _ask_about(work: Work, run: Run, found: Found | ToolFailed) -> None:
    """Note whom the question turns out to be about: its words name them."""
    focus = () if isinstance(found, ToolFailed) else found.focus
    named = {each.ref.id for each in focus if each.ref.kind == "client"} & set(found.clients)
    if named:
        await work.messages.mention(await work.messages.known(run.question_id), named)


async def _found(work: Work, viewer: Viewer, use: ToolUse) -> Found | ToolFailed:
    """What a tool has found, or why it has not."""
    try:
        return await look_up(work, viewer, Call(use.call_id, use.name, use.arguments))
    except ToolFailed as failure:
        return failure


def _facts(found: Found | ToolFailed) -> str:
    return found.message if isinstance(found, ToolFailed) else _JSON.encode(found.facts).decode()
