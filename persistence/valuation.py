"""What valuations rest on: holdings or ledgers of a whole level at once, and the quotes and rates of their days."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from asyncpg import Record
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Date,
    Integer,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    exists,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine, Uuid

from domain.access import Sight, Viewer
from domain.instruments import Instrument
from domain.ledger import Holding, Transaction, TransactionKind
from domain.money import Currency
from domain.valuation import Action, Charted, Contents, FxQuote, Ledgers, Market, Owner, Quote, Stored, action_of
from persistence.clients import clients
from persistence.database import faults
from persistence.day_values import day_values
from persistence.households import households
from persistence.instruments import instruments, last_close, last_rate, prices
from persistence.metadata import AMOUNT, QUANTITY, TEXTS, UUIDS, unnested
from persistence.portfolios import portfolios
from persistence.positions import cash_balances, positions
from persistence.repository import Repository, by_ids
from persistence.scope import Scope, viewer_values
from persistence.sql import Statement, columns, compile_statement, read_all
from persistence.transactions import transactions

DAYS: Final = ARRAY(Date)

KEYS: Final = any_(bindparam("keys", type_=UUIDS))


def _visible(table: Table, sight: Sight) -> ColumnElement[bool]:
    return cast("Scope", table.info["scope"]).predicate(table, sight)


@lru_cache
def _owners(owner: Owner, sight: Sight) -> Statement:
    """Owners that the viewer sees: their ids and currencies, and what their portfolios are found by.

    That is a portfolio's own id, a client's own id, or the id of each member of a household that the viewer sees.
    What comes after asks by these ids alone and needs no predicate: where it has one, the planner reads the books'
    whole indexes beside that of the ids.
    """
    if owner is Owner.HOUSEHOLD:
        members = and_(clients.c.household_id == households.c.id, _visible(clients, sight))
        found = select(households.c.id, households.c.currency, clients.c.id)
        found = found.select_from(households.outerjoin(clients, members))
        return compile_statement(found.where(households.c.id == KEYS, _visible(households, sight)))
    table, currency = (portfolios, "base_currency") if owner is Owner.PORTFOLIO else (clients, "currency")
    found = select(table.c.id, table.c[currency], table.c.id.label("part_id"))
    return compile_statement(found.where(table.c.id == KEYS, _visible(table, sight)))


@lru_cache
def _stored(sight: Sight) -> Statement:
    """Portfolios that the viewer sees, their currencies, and their stored values of some days: nulls without any."""
    asked = day_values.c.day == any_(bindparam("days", type_=DAYS))
    kept = portfolios.outerjoin(day_values, and_(day_values.c.portfolio_id == portfolios.c.id, asked))
    found = select(portfolios.c.id, portfolios.c.base_currency, day_values.c.day, day_values.c.value).select_from(kept)
    return compile_statement(found.where(portfolios.c.id == KEYS, _visible(portfolios, sight)))


def _of(owner: Owner, table: Table, *wanted: ColumnElement[Any]) -> Select[Any]:
    """The rows of some portfolios; what the portfolios are found by is the last column."""
    column = table.c.portfolio_id if owner is Owner.PORTFOLIO else table.c.client_id
    return select(*wanted, column.label("part_id")).where(column == KEYS)


# What a portfolio holds, as rows of one shape: positions have a quantity, cash a currency, actions a kind.
CONTENTS: Final[Mapping[str, TypeEngine[Any]]] = {
    "portfolio_id": Uuid(),
    "instrument_id": Uuid(),
    "quantity": QUANTITY,
    "amount": AMOUNT,
    "realised_gain": AMOUNT,
    "dividends": AMOUNT,
    "currency": Text(),
    "kind": Text(),
    "traded_on": Date(),
    "ratio_new": Integer(),
    "ratio_old": Integer(),
}


def _part(owner: Owner, table: Table, *names: str, **named: ColumnElement[Any]) -> Select[Any]:
    """Rows of CONTENTS: these columns of a table, and all others null."""
    return _of(owner, table, *_shaped({name: table.c[name] for name in ("portfolio_id", *names)} | named))


def _shaped(known: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    # A union takes its types from its first part, so what is null says what it would be.
    return [known.get(name, cast_to(null(), kind)).label(name) for name, kind in CONTENTS.items()]


def _held(owner: Owner) -> Select[Any]:
    names = ("instrument_id", "quantity", "realised_gain", "dividends")
    return _part(owner, positions, *names, amount=positions.c.total_cost)


def _balances(owner: Owner) -> Select[Any]:
    return _part(owner, cash_balances, "currency", "amount")


def _actions(owner: Owner) -> Select[Any]:
    taken_back = transactions.alias("taken_back")
    return _part(owner, transactions, "instrument_id", "kind", "traded_on", "ratio_new", "ratio_old").where(
        transactions.c.ratio_new.is_not(None),
        transactions.c.traded_on <= bindparam("as_of", type_=Date),
        ~exists().where(taken_back.c.reverses_id == transactions.c.id),
    )


def _ahead(owner: Owner) -> Select[Any]:
    """Entries of later days, traded by the calendar of somebody in a zone ahead: rows with nothing but a day."""
    later = transactions.c.traded_on > bindparam("as_of", type_=Date)
    if owner is Owner.PORTFOLIO:
        return _part(owner, transactions, "traded_on").where(later)
    # By portfolio and day an index leads to the few that are later; by client, to whole ledgers.
    known = {"portfolio_id": portfolios.c.id, "traded_on": transactions.c.traded_on}
    found = _of(owner, portfolios, *_shaped(known))
    return found.join(transactions, transactions.c.portfolio_id == portfolios.c.id).where(later)


# Positions, cash, and splits and bonuses in one statement: a valuation mixes no two states of a portfolio.
HOLDINGS: Final[Mapping[Owner, CompoundSelect[Any]]] = {
    owner: union_all(_held(owner), _balances(owner), _actions(owner), _ahead(owner)) for owner in Owner
}
ENTRIES: Final[Mapping[Owner, Select[Any]]] = {
    owner: _of(owner, transactions, *columns(Transaction, transactions)).where(
        transactions.c.traded_on <= bindparam("as_of", type_=Date)
    )
    for owner in Owner
}


def _closes() -> Select[Any]:
    keys, days = unnested("keys", UUIDS), unnested("days", DAYS)
    close = last_close(keys.c.value, days.c.value)
    # Weekends and holidays repeat the close before them.
    rows = select(*close.c).distinct().select_from(keys.join(days, true()).join(close, true()))
    return rows.order_by(close.c.priced_on)


def _rates() -> Select[Any]:
    codes, days = unnested("codes", TEXTS), unnested("days", DAYS)
    rate = last_rate(codes.c.value, days.c.value)
    rows = select(*rate.c).distinct().select_from(codes.join(days, true()).join(rate, true()))
    return rows.order_by(rate.c.quoted_on)


def _daily_closes() -> Select[Any]:
    """As `_closes` for days with few gaps: all closes of a span and those that it begins with, in fewer steps."""
    keys, first, last = unnested("keys", UUIDS), bindparam("first", type_=Date), bindparam("last", type_=Date)
    before = last_close(keys.c.value, first)
    begun = select(*before.c).select_from(keys.join(before, true()))
    span = select(prices.c.instrument_id, prices.c.priced_on, prices.c.close).where(
        prices.c.instrument_id == KEYS, prices.c.priced_on > first, prices.c.priced_on <= last
    )
    found = union_all(begun, span).subquery("closes")
    return select(*found.c).order_by(found.c.priced_on)


BY_IDS: Final = by_ids(Instrument, instruments)
CLOSES: Final = _closes()
DAILY_CLOSES: Final = _daily_closes()
RATES: Final = _rates()


class _Owners(msgspec.Struct, frozen=True):
    """Owners, their currencies, and whose portfolio is found by what."""

    currencies: dict[UUID, Currency]
    owner_of: dict[UUID, UUID]


class Valuations(Repository):
    """What the portfolios that a viewer sees are worth."""

    async def of_today(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID], as_of: date) -> Stored | Ledgers:
        """What today's valuations of these owners rest on; `as_of` is the viewer's today.

        That is what is stored, unless it holds what was traded on a later day, which has begun elsewhere.
        """
        owners = await self._owners(viewer, owner, keys)
        rows = await self.lent.rows(HOLDINGS[owner], {"keys": list(owners.owner_of), "as_of": as_of})
        if any(row["traded_on"] and row["traded_on"] > as_of for row in rows):
            return await self.ledgers(viewer, owner, keys, (as_of,))
        codes = {*owners.currencies.values(), *(row["currency"] for row in rows)} - {None}
        held, closes, rates = await self._market({row["instrument_id"] for row in rows} - {None}, codes, [as_of])
        quotes = {instrument_id: quotes[-1] for instrument_id, quotes in closes.items()}
        market = Market(held, quotes, {rate.currency: rate for rate in rates})
        contents = {
            owner_id: [_contents_of(portfolio) for portfolio in found]
            for owner_id, found in _by_owner(rows, owners).items()
        }
        return Stored(as_of, owners.currencies, contents, market)

    async def ledgers(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID], days: Sequence[date]) -> Ledgers:
        """What the valuations of these owners on past days, in order, rest on."""
        return await self._ledgers(owner, await self._owners(viewer, owner, keys), days)

    async def series(self, viewer: Viewer, keys: Sequence[UUID], days: Sequence[date]) -> Charted:
        """The values of these portfolios on days, in order, as of one moment.

        What is stored and what is calculated must be of the same ledger: between two statements it could grow.
        """
        with faults():
            await self.lent.tell()
            async with self.lent.connection.transaction(isolation="repeatable_read", readonly=True):
                return await self.charted(viewer, keys, days)

    async def charted(self, viewer: Viewer, keys: Sequence[UUID], days: Sequence[date]) -> Charted:
        """The same within a transaction in which nothing that it rests on can change."""
        values = {**viewer_values(viewer), "keys": keys, "days": days}
        currencies: dict[UUID, Currency] = {}
        stored: defaultdict[UUID, dict[date, Decimal | None]] = defaultdict(dict)
        for portfolio_id, currency, day, value in await self.lent.rows(_stored(viewer.sight), values):
            currencies[portfolio_id] = currency
            if day is not None:
                stored[portfolio_id][day] = value
        return Charted(days, currencies, stored, await self._unstored(currencies, stored, days))

    async def _unstored(
        self,
        currencies: Mapping[UUID, Currency],
        stored: Mapping[UUID, Mapping[date, Decimal | None]],
        days: Sequence[date],
    ) -> Ledgers | None:
        """What the values rest on that are not stored."""
        lacking = {key: currency for key, currency in currencies.items() if len(stored[key]) < len(days)}
        wanted = [day for day in days if any(day not in stored[key] for key in lacking)]
        if not wanted:
            return None
        return await self._ledgers(Owner.PORTFOLIO, _Owners(lacking, {key: key for key in lacking}), wanted)

    async def _ledgers(self, owner: Owner, owners: _Owners, days: Sequence[date]) -> Ledgers:
        rows = await self.lent.rows(ENTRIES[owner], {"keys": list(owners.owner_of), "as_of": days[-1]})
        codes = {*owners.currencies.values(), *(row["currency"] for row in rows)}
        held, closes, rates = await self._market({row["instrument_id"] for row in rows} - {None}, codes, days)
        ledgers = {
            owner_id: [read_all(Transaction, portfolio) for portfolio in found]
            for owner_id, found in _by_owner(rows, owners).items()
        }
        return Ledgers(days, owners.currencies, ledgers, held, closes, rates)

    async def _owners(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID]) -> _Owners:
        rows = await self.lent.rows(_owners(owner, viewer.sight), {**viewer_values(viewer), "keys": keys})
        return _Owners({row[0]: row[1] for row in rows}, {row[2]: row[0] for row in rows if row[2]})

    async def _market(
        self, instrument_ids: Iterable[UUID], codes: Iterable[str], days: Sequence[date]
    ) -> tuple[dict[UUID, Instrument], dict[UUID, list[Quote]], list[FxQuote]]:
        """Instruments, and the last closes and rates on or before each of the days, in order of time."""
        keys = list(instrument_ids)
        held = {each.id: each for each in await self.lent.many(Instrument, BY_IDS, {"keys": keys})}
        closes: defaultdict[UUID, list[Quote]] = defaultdict(list)
        for row in await self._closes(keys, days):
            closes[row[0]].append(Quote(*row))
        wanted = sorted({*codes, *(each.currency for each in held.values())})
        rates = [FxQuote(*row) for row in await self.lent.rows(RATES, {"codes": wanted, "days": days})]
        return held, closes, rates

    async def _closes(self, keys: Sequence[UUID], days: Sequence[date]) -> Sequence[Record]:
        first, last = days[0], days[-1]
        # Days between those that are stored have gaps: as long as these are few, the closes in them do no harm.
        if len(days) > 1 and (last - first).days < 2 * len(days):
            return await self.lent.rows(DAILY_CLOSES, {"keys": keys, "first": first, "last": last})
        return await self.lent.rows(CLOSES, {"keys": keys, "days": days})


def _by_owner(rows: Iterable[Record], owners: _Owners) -> dict[UUID, list[list[Record]]]:
    """The rows of each portfolio, by owner."""
    found: defaultdict[UUID, defaultdict[UUID, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[owners.owner_of[row["part_id"]]][row["portfolio_id"]].append(row)
    return {owner_id: list(portfolios.values()) for owner_id, portfolios in found.items()}


def _contents_of(rows: Iterable[Record]) -> Contents:
    held: list[Holding] = []
    cash: dict[str, Decimal] = {}
    actions: defaultdict[UUID, list[Action]] = defaultdict(list)
    for row in rows:
        if row["kind"]:
            action = action_of(TransactionKind(row["kind"]), row["traded_on"], row["ratio_new"], row["ratio_old"])
            actions[row["instrument_id"]].append(action)
        elif row["currency"]:
            cash[row["currency"]] = row["amount"]
        else:
            numbers = (row["quantity"], row["amount"], row["realised_gain"], row["dividends"])
            held.append(Holding(row["instrument_id"], *numbers, ()))
    return Contents(held, cash, actions)
