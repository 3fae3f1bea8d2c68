"""The lines that a model is shown: what the office tells it, and as much of the conversation as fits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from domain.assistant.answering import SPECS, Situation
from domain.assistant.lines import NOTHING, Shown, line_of
from domain.assistant.models import Line, Speaker
from domain.assistant.prompts import prompt
from domain.assistant.tokens import counter
from domain.assistant.window import window
from domain.conversations.entities import known_of

# What models are told of tools stands beside the lines, and costs as much.
TOLD_OF_TOOLS: Final = msgspec.json.encode(SPECS).decode()


class ContextWindow:
    """Makes the lines of a prompt, within a budget of tokens."""

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def __call__(self, situation: Situation, rounds: Sequence[Line], now: datetime) -> Shown:
        """System and profile first, then what was said last, the question and the tools' rounds always.

        `rounds` are the calls of tools for this very answer, and what they have found.
        """
        head = [Line(Speaker.SYSTEM, system_text(situation, now))]
        said = [*situation.earlier, situation.question]
        lines = [line for message in said if (line := line_of(message)).text]
        count = counter()
        shown = window(head, [*lines, *rounds], budget=self._budget - count(TOLD_OF_TOOLS), count=count)
        return Shown(prompt("general").label, shown)


def system_text(situation: Situation, now: datetime) -> str:
    """What the general agent is told before anything else."""
    viewer = situation.viewer
    looked = "; ".join(f"{each.name} ({each.ref})" for each in situation.focus)
    return prompt("general").render(
        user=situation.user_name,
        role=viewer.role.value,
        locale=viewer.locale,
        today=viewer.today(now).isoformat(),
        page=known_of(situation.question).context.page or NOTHING,
        focus=looked or NOTHING,
    )
