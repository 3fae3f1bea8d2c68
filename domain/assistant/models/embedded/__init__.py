"""The embedded model: no network and no key; it understands by rules, and writes from what its tools have found.

It is as deterministic as a function: of the same question it makes the same pieces, always.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from domain.assistant.models import Ask, Call, Formed, ModelRefused, Piece, Spent, Text
from domain.assistant.models.embedded.naming import name_of
from domain.assistant.models.embedded.planning import Turn, calls_of
from domain.assistant.models.embedded.telling import answer_of
from domain.assistant.models.shapes import ConversationTitle

T = TypeVar("T")

NAME: Final = "embedded"
# As a rule of thumb for English.
CHARACTERS_OF_A_TOKEN: Final = 4
_WORDS: Final = re.compile(r"\S+\s*|\s+")


class EmbeddedModel:
    """A model that answers questions about clients, holdings, orders, cash and prices, in English.

    `pace` is in seconds for each word: above zero the answer comes as if it were typed.
    """

    def __init__(self, pace: float = 0.0) -> None:
        self._pace = pace

    @property
    def name(self) -> str:
        """What it is called in traces and usage."""
        return NAME

    async def answer(self, ask: Ask) -> AsyncIterator[Piece]:
        """The calls of tools that it wants first or, once they are answered, the answer word by word; then its cost.

        It is never down and refuses nothing.
        """
        turn = Turn.of(ask)
        calls = calls_of(turn) if ask.may_call else ()
        text = "" if calls else following(answer_of(turn), ask.said)
        for word in _WORDS.findall(text):
            if self._pace > 0:
                await asyncio.sleep(self._pace)
            yield Text(word)
        for call in calls:
            yield call
        yield Spent(NAME, _tokens(_read(ask)), _tokens([text, *map(_written, calls)]), Decimal(0))

    async def structured(self, ask: Ask, shape: type[T]) -> Formed[T]:
        """A title, where its rules know one. Raises ModelRefused for that, and for all shapes that it does not know."""
        title = name_of(Turn.of(ask)) if shape is ConversationTitle else None
        if title is None:
            raise ModelRefused("The embedded model answers in words alone.")
        spent = Spent(NAME, _tokens(_read(ask)), _tokens([title]), Decimal(0))
        return Formed(msgspec.convert({"title": title}, shape), (spent,))


def following(answer: str, said: str) -> str:
    """What is left to say of an answer whose beginning the reader has seen.

    Where the reader has seen something else, another model's words, the answer follows them as a paragraph of its own;
    and where part of that was seen already, the rest of it.
    """
    if answer.startswith(said):
        return answer[len(said) :]
    if said.startswith(answer):
        return ""
    paragraph = f"\n\n{answer}"
    seen = next(size for size in range(len(paragraph), -1, -1) if said.endswith(paragraph[:size]))
    return paragraph[seen:]


def _read(ask: Ask) -> Iterator[str]:
    for line in ask.lines:
        yield line.text
        yield from map(_written, line.calls)
    for tool in ask.tools:
        yield tool.description


def _written(call: Call) -> str:
    return call.name + call.arguments


def _tokens(texts: list[str] | Iterator[str]) -> int:
    """About how many tokens some texts have: a price is charged by none of them."""
    return sum(-(-len(text) // CHARACTERS_OF_A_TOKEN) for text in texts)
