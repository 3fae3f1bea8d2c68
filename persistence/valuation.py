"""What valuations rest on: holdings or ledgers of a whole level at once, and the quotes and rates of their days."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from asyncpg import Record
from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    exists,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine, Uuid

from domain.access import Sight, Viewer
from domain.instruments import Instrument
from domain.ledger import Holding, Transaction, TransactionKind
from domain.money import Currency
from domain.valuation import Action, Contents, FxQuote, Ledgers, Market, Owner, Quote, Stored, action_of
from persistence.clients import clients
from persistence.households import households
from persistence.instruments import instruments, last_close, last_rate
from persistence.metadata import AMOUNT, QUANTITY, TEXTS, UUIDS, unnested
from persistence.portfolios import portfolios
from persistence.positions import cash_balances, positions
from persistence.repository import Repository, by_ids
from persistence.scope import scoped, viewer_values
from persistence.sql import Statement, columns, compile_statement, reader
from persistence.transactions import transactions

DAYS: Final = ARRAY(Date)

CURRENCIES: Final[Mapping[Owner, Select[Any]]] = {
    owner: select(table.c.id, currency).where(table.c.id == any_(bindparam("keys", type_=UUIDS)))
    for owner, table, currency in (
        (Owner.PORTFOLIO, portfolios, portfolios.c.base_currency),
        (Owner.CLIENT, clients, clients.c.currency),
        (Owner.HOUSEHOLD, households, households.c.currency),
    )
}


def _of(owner: Owner, table: Table, *wanted: ColumnElement[Any]) -> Select[Any]:
    """The rows of all portfolios of these owners, whose id is the last column."""
    keys = any_(bindparam("keys", type_=UUIDS))
    if owner is Owner.HOUSEHOLD:
        rows = select(*wanted, clients.c.household_id.label("owner_id"))
        return rows.where(table.c.client_id == clients.c.id, clients.c.household_id == keys)
    column = table.c.portfolio_id if owner is Owner.PORTFOLIO else table.c.client_id
    return select(*wanted, column.label("owner_id")).where(column == keys)


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
    known = {name: table.c[name] for name in ("portfolio_id", *names)} | named
    # A union takes its types from its first part, so what is null says what it would be.
    return _of(owner, table, *(known.get(name, cast(null(), kind)).label(name) for name, kind in CONTENTS.items()))


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


@lru_cache
def _contents(owner: Owner, sight: Sight) -> Statement:
    """Positions, cash, and splits and bonuses in one statement: a valuation mixes no two states of a portfolio."""
    parts = (scoped(part(owner), sight) for part in (_held, _balances, _actions))
    return compile_statement(union_all(*parts))


LEDGERS: Final[Mapping[Owner, Select[Any]]] = {
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


BY_IDS: Final = by_ids(Instrument, instruments)
CLOSES: Final = _closes()
RATES: Final = _rates()


class Valuations(Repository):
    """What the portfolios that a viewer sees are worth."""

    async def stored(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID], as_of: date) -> Stored:
        """What today's valuations of these owners rest on; `as_of` is the viewer's today."""
        currencies = await self._currencies(viewer, owner, keys)
        values = {**viewer_values(viewer), "keys": keys, "as_of": as_of}
        rows = await self.lent.rows(_contents(owner, viewer.sight), values)
        codes = {*currencies.values(), *(row["currency"] for row in rows)} - {None}
        held, closes, rates = await self._market({row["instrument_id"] for row in rows} - {None}, codes, [as_of])
        quotes = {instrument_id: quotes[-1] for instrument_id, quotes in closes.items()}
        market = Market(held, quotes, {rate.currency: rate for rate in rates})
        return Stored(as_of, currencies, _by_owner(rows), market)

    async def ledgers(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID], days: Sequence[date]) -> Ledgers:
        """What the valuations of these owners on past days, in order, rest on."""
        currencies = await self._currencies(viewer, owner, keys)
        rows = await self.rows(LEDGERS[owner], viewer, keys=keys, as_of=days[-1])
        read = reader(Transaction)
        by_owner: defaultdict[UUID, defaultdict[UUID, list[Transaction]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            entry = read(row)
            by_owner[row["owner_id"]][entry.portfolio_id].append(entry)
        codes = {*currencies.values(), *(row["currency"] for row in rows)}
        held, closes, rates = await self._market({row["instrument_id"] for row in rows} - {None}, codes, days)
        ledgers = {owner_id: list(ledgers.values()) for owner_id, ledgers in by_owner.items()}
        return Ledgers(days, currencies, ledgers, held, closes, rates)

    async def _currencies(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID]) -> dict[UUID, Currency]:
        return {row[0]: row[1] for row in await self.rows(CURRENCIES[owner], viewer, keys=keys)}

    async def _market(
        self, instrument_ids: Iterable[UUID], codes: Iterable[str], days: Sequence[date]
    ) -> tuple[dict[UUID, Instrument], dict[UUID, list[Quote]], list[FxQuote]]:
        """Instruments, and the last closes and rates on or before each of the days, in order of time."""
        keys = list(instrument_ids)
        held = {each.id: each for each in await self.lent.many(Instrument, BY_IDS, {"keys": keys})}
        closes: defaultdict[UUID, list[Quote]] = defaultdict(list)
        for row in await self.lent.rows(CLOSES, {"keys": keys, "days": days}):
            closes[row[0]].append(Quote(*row))
        wanted = sorted({*codes, *(each.currency for each in held.values())})
        rates = [FxQuote(*row) for row in await self.lent.rows(RATES, {"codes": wanted, "days": days})]
        return held, closes, rates


def _by_owner(rows: Iterable[Record]) -> dict[UUID, list[Contents]]:
    """The contents of each portfolio, by owner."""
    grouped: defaultdict[tuple[UUID, UUID], list[Record]] = defaultdict(list)
    for row in rows:
        grouped[row["owner_id"], row["portfolio_id"]].append(row)
    found: defaultdict[UUID, list[Contents]] = defaultdict(list)
    for (owner_id, _), portfolio in grouped.items():
        found[owner_id].append(_contents_of(portfolio))
    return found


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
