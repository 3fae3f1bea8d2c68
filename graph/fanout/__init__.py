"""Fan-out: subscribers who ask alike and may see alike follow a stream together, and each event is rendered once.

Whoever begins at a cursor catches up alone, then joins the group of those who asked the same with the same rights. A
group reads as its first member sees, and before anything leaves it, one statement asks for all members at once whether
their sessions stand and what they may see now: whoever may see anything else than what was rendered is not told it,
but goes on alone from its own place, and joins those who see the same. So rights are as fresh as if each read for
itself.

What a subscriber may be told can depend on what it was told before. That it remembers of itself, event by event; and
whoever would have read anything else than the one who reads for the group goes on alone as well.

Nothing waits for a slow reader. What it does not take waits in a queue of its own; when that is full, it falls out of
the group and catches up from the log.
"""

from graph.fanout.feeds import (
    Answer,
    Batch,
    Begun,
    Feed,
    Happening,
    Look,
    Memory,
    Over,
    Rendering,
    Telling,
    Told,
    rendered,
)
from graph.fanout.groups import Fanout, Group, Subscriber

__all__ = [
    "Answer",
    "Batch",
    "Begun",
    "Fanout",
    "Feed",
    "Group",
    "Happening",
    "Look",
    "Memory",
    "Over",
    "Rendering",
    "Subscriber",
    "Telling",
    "Told",
    "rendered",
]
