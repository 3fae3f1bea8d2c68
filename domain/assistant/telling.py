"""What followers of a run are told, and what writes it into the log."""

from typing import Protocol

import msgspec

from domain.conversations.entities import GENERAL, AgentState, Run


class Telling(msgspec.Struct, frozen=True):
    """Something that followers of a run are told: some words of a block, or what an agent is doing.

    `start` is where the words begin in the block's text, in UTF-16 units.
    """

    block: int
    text: str
    start: int = 0
    state: AgentState | None = None
    agent: str = GENERAL


class Nib(Protocol):
    """What writes the steps of one run into the log, in the attempt that is worked on."""

    def write(self, telling: Telling) -> None:
        """Have it told soon; words of the same block that wait are told together. Raises as `written`."""
        ...

    async def written(self) -> None:
        """Wait until all is in the log. Raises RunLost, and Unavailable."""
        ...


class Pen(Protocol):
    """What writes the steps of all runs of a process, in batches."""

    def of(self, run: Run) -> Nib:
        """What writes the steps of a run."""
        ...
