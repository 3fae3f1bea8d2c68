"""Markets: when exchanges trade, when their trades settle, and the special days that they announce."""

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Final

import msgspec
import strawberry

from domain import markets
from domain.errors import Invalid, TooComplex
from graph.context import Context, Info
from graph.cost import cost, days
from graph.dated import Batch, reading
from graph.described import input_, type_
from graph.inputs import into
from graph.mutations import Payload, mutation
from graph.nodes import OfEntity
from persistence.markets import Markets

MOST_DAYS: Final = 400
# Of all markets of a level together, each counted as often as it is shown.
MOST_DAYS_OF_A_LEVEL: Final = 30_000
USUAL_DAYS: Final = 30

CALENDARS: Final = Batch(reading(Markets.calendars), by="mic")

From = Annotated[date, strawberry.argument(name="from", description="The first day.")]
To = Annotated[
    date | None,
    strawberry.argument(description=f"The last day; left out, {USUAL_DAYS} days are given."),
]


@type_
class TradingSession(OfEntity):
    """The trading of one day.

    day: The day, by the exchange's own calendar.
    opens_at: When trading begins.
    closes_at: When trading ends; what is placed from here on is for the next session.
    special: Whether the exchange has announced it: on a day that is none by its rules, or with other hours.
    provisional: Whether the exchange has not said yet which days it trades on, so that any weekday is taken for one.
    note: What a special session is for.
    """

    entity = markets.Session
    cost_points: ClassVar[float] = 0.1

    day: date
    opens_at: datetime
    closes_at: datetime
    special: bool
    provisional: bool
    note: str | None


@type_
class MarketDay(OfEntity):
    """A day on which an exchange does not keep its rules.

    day: The day, by the exchange's own calendar.
    opens_at: When trading begins; none if the exchange is closed.
    closes_at: When trading ends; none if the exchange is closed.
    note: Why the day is special.
    """

    entity = markets.MarketDay

    day: date
    opens_at: datetime | None
    closes_at: datetime | None
    note: str


class _Span(msgspec.Struct, frozen=True):
    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


async def _span(context: Context, first: date, last: date | None) -> _Span:
    """The days that are asked for, within the bounds of one field and of all fields of its level together."""
    # Counted in ordinals, for the last day of the calendar has none after it.
    usual = min(first.toordinal() + USUAL_DAYS - 1, date.max.toordinal())
    span = _Span(first, last or date.fromordinal(usual))
    if span.first > span.last:
        raise Invalid.of("from", "lies after to")
    if span.days > MOST_DAYS:
        raise Invalid.of("from", f"gives more than {MOST_DAYS} days")
    # Each field is an item of its own, however often the same market is shown.
    await context.load(_check_days, _check_days, (object(), span.days))
    return span


async def _check_days(asked: list[tuple[object, int]]) -> list[None]:
    if sum(days for _, days in asked) > MOST_DAYS_OF_A_LEVEL:
        raise TooComplex(f"The days of all markets together are more than {MOST_DAYS_OF_A_LEVEL}.")
    return [None] * len(asked)


@type_
class Market(OfEntity):
    """An exchange and its calendar.

    name: What the exchange is called.
    currency: The currency that most of it is traded in, by its code of ISO 4217.
    time_zone: The zone of its clocks, by its name in the IANA database.
    """

    entity = markets.Calendar

    name: str
    currency: str
    time_zone: str

    @strawberry.field(description="The exchange's market identifier code of ISO 10383.")
    def exchange(self: markets.Calendar) -> str:
        """The code."""
        return self.mic

    @strawberry.field(description="How many of its business days a trade of today takes to settle.")
    def settlement_days(self: markets.Calendar, info: Info) -> int:
        """The length of the cycle."""
        return self.exchange.settlement_days(self.day_of(info.context.now))

    @strawberry.field(description="Whether it trades at this moment.")
    def is_open(self: markets.Calendar, info: Info) -> bool:
        """Whether a session goes on."""
        return self.is_open(info.context.now)

    @strawberry.field(
        description="The session of the exchange's own today, over or not; none if it does not trade today.",
        graphql_type=TradingSession | None,
    )
    def session(self: markets.Calendar, info: Info) -> markets.Session | None:
        """Today's session."""
        return self.session(self.day_of(info.context.now))

    @strawberry.field(
        description="The first session after the exchange's own today; what is placed after the close is for this one.",
        graphql_type=TradingSession,
    )
    def next_session(self: markets.Calendar, info: Info) -> markets.Session:
        """The session that follows."""
        return self.next_session(self.day_of(info.context.now))

    @strawberry.field(
        description=f"The sessions from one day to another, in order; at most {MOST_DAYS} days.",
        graphql_type=list[TradingSession],
        metadata=cost(size=days(usual=USUAL_DAYS, most=MOST_DAYS)),
    )
    async def sessions(self: markets.Calendar, info: Info, start: From, to: To = None) -> list[markets.Session]:
        """The sessions of these days."""
        span = await _span(info.context, start, to)
        return self.sessions(span.first, span.last)

    @strawberry.field(
        description="The days from one to another on which the exchange does not keep its rules, in order; at most "
        f"{MOST_DAYS} days.",
        graphql_type=list[MarketDay],
        metadata=cost(size=5),
    )
    async def special_days(self: markets.Calendar, info: Info, start: From, to: To = None) -> list[markets.MarketDay]:
        """What was announced of these days."""
        span = await _span(info.context, start, to)
        return [each for each in self.special_days.values() if span.first <= each.day <= span.last]


@input_
class SetMarketDayInput:
    """What an exchange has announced of a day.

    exchange: The exchange, by its market identifier code of ISO 10383.
    day: The day, by the exchange's own calendar.
    note: Why the day is special, such as Muhurat trading.
    opens_at: When trading begins; left out with closesAt, the exchange is closed on that day.
    closes_at: When trading ends.
    """

    exchange: str
    day: date
    note: str
    opens_at: datetime | None = None
    closes_at: datetime | None = None


@input_
class ClearMarketDayInput:
    """What takes back what was stated of a day.

    exchange: The exchange, by its market identifier code of ISO 10383.
    day: The day, by the exchange's own calendar.
    """

    exchange: str
    day: date


@type_
class MarketDayPayload(Payload):
    """A special day that was stated, or taken back.

    special_day: What was stated of the day.
    """

    special_day: markets.MarketDay | None = strawberry.field(default=None, graphql_type=MarketDay | None)

    @strawberry.field(description="The market with the day as it is now.", graphql_type=Market | None)
    async def market(self, info: Info) -> markets.Calendar | None:
        """The market that the day belongs to."""
        if self.special_day is None:
            return None
        found: markets.Calendar = await CALENDARS.of(info.context, self.special_day.exchange)
        return found


@strawberry.type
class MarketQueries:
    """Queries of markets."""

    @strawberry.field(
        description="The exchanges whose calendars the firm knows; a handful.",
        graphql_type=list[Market],
        metadata=cost(2, size=5),
    )
    async def markets(self, info: Info) -> Any:
        """All calendars."""
        return await info.context.read(Markets.calendars, tuple(markets.EXCHANGES))

    @strawberry.field(description="An exchange; null if its calendar is not known.", graphql_type=Market | None)
    async def market(
        self,
        info: Info,
        exchange: Annotated[
            str, strawberry.argument(description="The exchange's market identifier code of ISO 10383, such as XNSE.")
        ],
    ) -> Any:
        """Its calendar."""
        return next(iter(await info.context.read(Markets.calendars, (exchange,))), None)


@strawberry.type
class MarketMutations:
    """Mutations of market calendars."""

    @mutation
    async def set_market_day(self, info: Info, input: SetMarketDayInput) -> MarketDayPayload | None:
        """State a special day of an exchange, in place of what was stated of it before; for admins."""
        stated = await info.context.write(markets.set_market_day, into(markets.NewMarketDay, input))
        return MarketDayPayload(special_day=stated)

    @mutation
    async def clear_market_day(self, info: Info, input: ClearMarketDayInput) -> MarketDayPayload | None:
        """Have an exchange keep its rules again on a day; for admins."""
        cleared = await info.context.write(markets.clear_market_day, input.exchange, input.day)
        return MarketDayPayload(special_day=cleared)
