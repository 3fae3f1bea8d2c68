"""Groups of six clients who come to the firm together: families, companies and single people, in one book each.

A group is drawn from its number alone. Each half of it has five portfolios, whatever its clients are.
"""

from collections.abc import Sequence
from enum import Enum, auto
from random import Random
from typing import Final

import msgspec

from domain.clients import Segment
from domain.demo.chance import chance, weighted
from domain.demo.names import Region
from domain.demo.organisation import DESKS, Desk

SIZE: Final = 6
HALF: Final = 3
_PROSPECTS: Final = 0.28


class Part(Enum):
    """What a client is in its group; those of a family make a household."""

    HEAD = auto()
    SPOUSE = auto()
    CHILD = auto()
    PARENT = auto()
    HUF = auto()
    JOINT = auto()
    COMPANY = auto()
    TRUST = auto()
    SINGLE = auto()


FAMILY: Final = frozenset({Part.HEAD, Part.SPOUSE, Part.CHILD, Part.PARENT, Part.HUF})
_SHAPES: Final[tuple[tuple[int, tuple[Part, ...]], ...]] = (
    (14, (Part.HEAD, Part.SPOUSE, Part.SINGLE, Part.SINGLE, Part.CHILD, Part.SINGLE)),
    (11, (Part.HEAD, Part.SPOUSE, Part.SINGLE, Part.HUF, Part.SINGLE, Part.COMPANY)),
    (12, (Part.JOINT, Part.SINGLE, Part.SINGLE, Part.SINGLE, Part.SINGLE, Part.SINGLE)),
    (8, (Part.HEAD, Part.SPOUSE, Part.PARENT, Part.SINGLE, Part.TRUST, Part.SINGLE)),
    (20, (Part.SINGLE,) * SIZE),
    (16, (Part.SINGLE, Part.HEAD, Part.SPOUSE, Part.SINGLE, Part.JOINT, Part.SINGLE)),
    (6, (Part.COMPANY, Part.SINGLE, Part.TRUST, Part.HEAD, Part.SPOUSE, Part.CHILD)),
)
_SEGMENTS: Final = ((33, Segment.RETAIL), (40, Segment.AFFLUENT), (21, Segment.HNI), (6, Segment.UHNI))

# How many portfolios the second and third of a half have; the first has two, so that there are five.
_SHARES: Final = ((1, 2), (2, 1), (1, 2), (2, 1), (1, 2), (2, 1))
FIRST_SHARE: Final = 2
IN_A_HALF: Final = 5


class Group(msgspec.Struct, frozen=True):
    """What is common to six clients, and which part each plays; `portfolios` counts those of each.

    A client without portfolios is a prospect.
    """

    number: int
    desk: Desk
    region: Region
    currency: str
    segment: Segment
    surname: str
    parts: tuple[Part, ...]
    portfolios: tuple[int, ...]


def group(number: int) -> Group:
    """The group of a number; the first is scripted, for it holds the clients that the guide speaks of."""
    draws = chance("group", number)
    desk = DESKS[number % len(DESKS)]
    region = draws.choice(desk.regions)
    currency = desk.currencies[number // len(DESKS) % len(desk.currencies)]
    segment = draw_segment(draws)
    parts = weighted(draws, _SHAPES)
    if currency != "INR":
        # Hindu undivided families are a matter of Indian law.
        parts = tuple(Part.JOINT if part is Part.HUF else part for part in parts)
    portfolios = tuple(
        count for start in (0, HALF) for count in _shares(parts[start + 1 : start + HALF], draws.random())
    )
    surname = draws.choice(region.surnames)
    drawn = Group(number, desk, region, currency, segment, surname, parts, portfolios)
    return drawn if number else _scripted(drawn)


def draw_segment(draws: Random) -> Segment:
    """How wealthy somebody is."""
    return weighted(draws, _SEGMENTS)


def _shares(others: Sequence[Part], lot: float) -> tuple[int, ...]:
    """How many portfolios each of a half has: one of the singles may be a prospect."""
    if lot < _PROSPECTS:
        place = int(lot / _PROSPECTS * len(others))
        if others[place] is Part.SINGLE:
            return (FIRST_SHARE, 0, 3) if place == 0 else (FIRST_SHARE, 3, 0)
    return (FIRST_SHARE, *_SHARES[int(lot * len(_SHARES))])


def _scripted(drawn: Group) -> Group:
    """Rajesh Kumar, Priya Sharma, and the family of the first."""
    return msgspec.structs.replace(
        drawn,
        region=DESKS[4].regions[0],
        segment=Segment.HNI,
        surname="Kumar",
        parts=(Part.HEAD, Part.SINGLE, Part.SPOUSE, Part.HUF, Part.CHILD, Part.SINGLE),
        portfolios=(2, 2, 1, 2, 1, 2),
    )
