"""What of a conversation a model is shown: its newest part, within a budget of tokens."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import msgspec

from domain.assistant.models import Line, Speaker
from domain.assistant.tokens import Count

# What the framing of a line and of a call costs at most, beside their words.
LINE: Final = 8
CALL: Final = 16
MARK: Final = "\n[… shortened …]\n"
# An older message gets at most one part in so many, so that others have room beside it.
SHARE: Final = 4
# A message that less is left of than this says nothing.
LEAST: Final = 64

Group = tuple[Line, ...]


class WindowTooSmall(Exception):  # noqa: N818 - what is wrong
    """The budget has no room for the lines of the system and the question."""


def tokens(line: Line, count: Count) -> int:
    """How many tokens a line costs, framing included."""
    calls = sum(CALL + count(call.id) + count(call.name) + count(call.arguments) for call in line.calls)
    return LINE + count(line.text) + (count(line.call_id) if line.call_id else 0) + calls


def window(head: Sequence[Line], lines: Sequence[Line], *, budget: int, count: Count) -> tuple[Line, ...]:
    """The head (what the system says, and the user's profile), then as much of the newest lines as the budget allows.

    `lines` are oldest first. The newest stay whole if they can; of an older message that is long the beginning and the
    end stay, with a mark between them, and so of the last question if there is no other way: it is always there. Calls
    of tools and all of their results stay or go together, and those of which one is missing go. What is left begins
    with a user's line.

    Raises WindowTooSmall where not even the head and some of the question fit.
    """
    # Counting is most of the work, and the same texts are counted several times.
    count = cache(count)
    room = budget - _cost(head, count)
    groups = list(_grouped(lines))
    asked = max((place for place, group in enumerate(groups) if group[0].speaker is Speaker.USER), default=None)
    if room < 0 or (asked is not None and room < LEAST + LINE):
        raise WindowTooSmall(f"{budget} tokens are too few for a conversation")
    if asked is None:
        return tuple(head)
    following = groups[asked + 1 :]
    question = _shortened(groups[asked], max(room // 2, LEAST + LINE) if following else room, count)
    room -= _cost(question, count)
    after = _newest(following, room, room, count)
    room -= sum(_cost(group, count) for group in after)
    # Nothing older may stand where something newer had to go.
    before = _newest(groups[:asked], room, room // SHARE, count) if len(after) == len(following) else []
    while before and before[0][0].speaker is not Speaker.USER:
        before.pop(0)
    return (*head, *(line for group in (*before, question, *after) for line in group))


def _cost(lines: Sequence[Line], count: Count) -> int:
    return sum(tokens(line, count) for line in lines)


def _grouped(lines: Sequence[Line]) -> Iterator[Group]:
    """The lines that stay or go together: one by itself, or calls with all of their results."""
    place = 0
    while place < len(lines):
        line, place = lines[place], place + 1
        if line.speaker is Speaker.TOOL:
            continue
        if not line.calls:
            yield (line,)
            continue
        results = _results(lines[place:])
        place += len(results)
        if sorted(each.call_id or "" for each in results) == sorted(call.id for call in line.calls):
            yield (line, *results)
        elif line.text:
            yield (msgspec.structs.replace(line, calls=()),)


def _results(lines: Sequence[Line]) -> list[Line]:
    """The tools' lines that come first."""
    results = []
    for line in lines:
        if line.speaker is not Speaker.TOOL:
            break
        results.append(line)
    return results


def _newest(groups: Sequence[Group], room: int, most: int, count: Count) -> list[Group]:
    """The newest groups that fit into the room, each shortened to `most` if it is longer; the newest to the room."""
    kept: list[Group] = []
    for number, group in enumerate(reversed(groups)):
        made = _shortened(group, min(room, most if number else room), count)
        room -= _cost(made, count)
        if room < 0:
            break
        kept.insert(0, made)
    return kept


def _shortened(group: Group, most: int, count: Count) -> Group:
    """The group with its longest texts cut until it costs at most so much; as it is if that leaves nothing of them."""
    if _cost(group, count) <= most:
        return group
    fixed = _cost([msgspec.structs.replace(line, text="") for line in group], count)
    share = _share([count(line.text) for line in group], most - fixed)
    if share < LEAST:
        return group
    return tuple(msgspec.structs.replace(line, text=_cut(line.text, share, count)) for line in group)


def _share(costs: Sequence[int], most: int) -> int:
    """How much each may cost, so that all together cost at most so much: what short ones leave, long ones get."""
    left, share = most, 0
    for number, cost in enumerate(sorted(costs)):
        share = left // (len(costs) - number)
        if cost > share:
            break
        left -= cost
    return share


def _cut(text: str, most: int, count: Count) -> str:
    """The text, or as much of its beginning and its end as costs at most so much together with the mark."""
    if count(text) <= most:
        return text
    kept, low, high = MARK.strip(), 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        made = text[: middle - middle // 2] + MARK + text[len(text) - middle // 2 :]
        if count(made) <= most:
            kept, low = made, middle
        else:
            high = middle - 1
    return kept
