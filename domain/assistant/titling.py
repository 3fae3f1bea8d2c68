"""Calling a conversation by its first exchange: a model is asked once, and where it has no idea nothing is lost."""

import asyncio
import logging
from typing import Final

import msgspec

from domain.assistant.lines import NOTHING, Shown, focus_of, line_of
from domain.assistant.models import Ask, Line, Model, ModelDown, ModelRefused, Speaker, Spent
from domain.assistant.models.shapes import ConversationTitle
from domain.assistant.prompts import prompt
from domain.conversations.entities import Message
from domain.conversations.titles import Exchange, shortened
from domain.text import storable

log = logging.getLogger("steward.assistant")

# In seconds. Nobody waits for it: the conversation has a title already.
PATIENCE: Final = 20
# What something is about stands at its beginning.
MOST_CHARACTERS: Final = 2_000


async def title_of(model: Model, exchange: Exchange, shown: Shown) -> tuple[str | None, tuple[Spent, ...]]:
    """What a model calls an exchange, if it has an idea in time, and what that has cost."""
    ask = Ask(shown.lines, focus=focus_of(exchange.about))
    try:
        async with asyncio.timeout(PATIENCE):
            formed = await model.structured(ask, ConversationTitle)
    except (ModelDown, ModelRefused, TimeoutError) as error:
        log.info("a conversation keeps its question as its title: %s", type(error).__name__)
        return None, ()
    return shortened(storable(formed.value.title)) or None, formed.spent


def shown_of(exchange: Exchange) -> Shown:
    """What a model is shown of an exchange."""
    made = prompt("title")
    told = made.render(focus="; ".join(each.name for each in exchange.about) or NOTHING)
    return Shown(made.label, (Line(Speaker.SYSTEM, told), _begun(exchange.question), _begun(exchange.answer)))


def _begun(message: Message) -> Line:
    line = line_of(message)
    return msgspec.structs.replace(line, text=line.text[:MOST_CHARACTERS])
