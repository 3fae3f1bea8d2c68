"""What is stored is what the ledger folds to, whatever is recorded, and by however many at once."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import clients, transactions
from domain.access import Role, Viewer
from domain.errors import Refusal
from domain.ledger import Entry, Transaction, TransactionKind, fold
from domain.portfolios import Portfolio
from domain.transactions import LargeAmounts, Reversal
from domain.valuation import Owner, PortfolioValuation
from persistence.transactions import Transactions
from persistence.valuation import Valuations
from tests.strategies import STEADY
from tests.strategies.ledger import QUANTITIES, RATIOS, decimals
from tests.support.stage import Stage

OPENED = date(2024, 1, 1)
KEYS = count(1)
FEW = settings(STEADY, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
Kind = TransactionKind


class Move(msgspec.Struct, frozen=True):
    """An attempt at the ledger: an entry, or a reversal of an earlier one, by its place."""

    kind: TransactionKind
    day: int
    share: int
    number: Decimal
    price: Decimal
    ratio: tuple[int, int]
    place: int


MOVES = st.builds(
    Move,
    kind=st.sampled_from([*Kind, Kind.BUY, Kind.BUY, Kind.SELL, Kind.SELL]),
    day=st.integers(0, 20),
    share=st.integers(0, 1),
    number=QUANTITIES,
    price=decimals("0.0001", "90", 4),
    ratio=st.sampled_from(RATIOS),
    place=st.integers(0, 30),
)
# Something to sell and something to buy with, or most attempts would be declined.
BEGINNING = [
    Move(Kind.DEPOSIT, 0, 0, Decimal(2000), Decimal(1), (1, 1), 0),
    Move(Kind.TRANSFER_IN, 0, 0, Decimal(600), Decimal("70.5"), (1, 1), 8),
    Move(Kind.TRANSFER_IN, 0, 1, Decimal(10), Decimal("33.3333"), (1, 1), 3),
]
# Those of one batch are attempted at once.
SCRIPTS = st.lists(st.lists(MOVES, min_size=1, max_size=4), min_size=1, max_size=8)


class Desk(msgspec.Struct, frozen=True):
    """A portfolio of its own and whoever writes in its ledger."""

    stage: Stage
    viewer: Viewer
    portfolio: Portfolio
    shares: Sequence[UUID]

    async def write(self, verb: Any, *given: Any) -> Transaction | None:
        """What a verb has recorded, or nothing where a rule declined it."""
        doors = self.stage.services.doors
        try:
            written: Transaction = await doors.write(self.viewer, "test", verb, self.viewer, *given)
        except Refusal:
            return None
        return written

    async def attempt(self, move: Move, ledger: Sequence[Transaction]) -> Transaction | None:
        """Try a move; one that reverses takes the entry at its place of the ledger, if there is one."""
        key = f"key {next(KEYS)}"
        if move.kind is not Kind.REVERSAL:
            return await self.write(transactions.record, LargeAmounts({}), key, self.entry(move))
        if not ledger:
            return None
        wrong = ledger[move.place % len(ledger)]
        return await self.write(transactions.reverse, key, Reversal(wrong.id, "wrong"))

    def entry(self, move: Move) -> Entry:
        """The entry of a move, with the details of its kind."""
        day = OPENED + timedelta(days=move.day)
        details: dict[str, Any] = {"amount": move.number.quantize(Decimal("0.0001"))}
        if move.kind in {Kind.BUY, Kind.SELL}:
            details = {"quantity": move.number, "price": move.price, "brokerage": Decimal("0.0733")}
        elif move.kind in {Kind.SPLIT, Kind.BONUS}:
            details = {"ratio_new": move.ratio[0], "ratio_old": move.ratio[1]}
        elif move.kind is Kind.TRANSFER_IN:
            details = {"quantity": move.number, "cost": move.price, "acquired_on": day - timedelta(days=move.place)}
        elif move.kind is Kind.TRANSFER_OUT:
            details = {"quantity": move.number}
        if move.kind in {Kind.DEPOSIT, Kind.WITHDRAWAL}:
            return self._made(move.kind, day, **details)
        return self._made(move.kind, day, instrument_id=self.shares[move.share], **details)

    def _made(self, kind: TransactionKind, day: date, **details: Any) -> Entry:
        return Entry(portfolio_id=self.portfolio.id, kind=kind, currency="INR", traded_on=day, **details)

    async def ledger(self) -> list[Transaction]:
        """All entries."""
        doors = self.stage.services.doors
        return await doors.read(self.viewer, Transactions.of_portfolio, self.viewer, self.portfolio.id)


async def opened(stage: Stage, role: Role = Role.ADVISOR) -> Desk:
    """A desk whose portfolio nobody else writes to."""
    make = stage.make
    book = await make.book()
    writer = await make.user(role, book=None if role is Role.ADMIN else book)
    portfolio = await make.portfolio(await make.client(book), opened_on=OPENED)
    shares = []
    for _ in range(2):
        share = await make.instrument(f"S{next(KEYS)}")
        await make.price(share, OPENED + timedelta(days=9), "17.25")
        shares.append(share.id)
    return Desk(stage, await make.viewer(writer), portfolio, shares)


async def check_stored(desk: Desk) -> None:
    """Positions, lots and cash are what the ledger folds to."""
    holdings = fold(await desk.ledger())
    owner, portfolio_id = desk.stage.owner, desk.portfolio.id
    stored = {
        row["instrument_id"]: tuple(row)[1:]
        for row in await owner.fetch(
            "select instrument_id, quantity, total_cost, realised_gain, dividends from positions"
            " where portfolio_id = $1",
            portfolio_id,
        )
    }
    nothing = (Decimal(0),) * 4
    for share in desk.shares:
        held = holdings.positions.get(share)
        folded = (held.quantity, held.total_cost, held.realised_gain, held.dividends) if held else nothing
        assert stored.get(share, nothing) == folded
        assert share in stored or held is None
        lots = await owner.fetch(
            "select lots.opened_on, lots.quantity, lots.cost from lots join positions on positions.id = position_id"
            " where portfolio_id = $1 and instrument_id = $2 order by ordinal",
            portfolio_id,
            share,
        )
        expected = [(lot.opened_on, lot.quantity, lot.cost) for lot in held.lots] if held else []
        assert [tuple(lot) for lot in lots] == expected
    balance = await owner.fetchval("select amount from cash_balances where portfolio_id = $1", portfolio_id)
    assert (balance or Decimal(0)) == holdings.cash.get("INR", Decimal(0))


async def check_valued(desk: Desk, day: date) -> None:
    """A valuation by the ledger is that by what is stored."""
    doors, keys = desk.stage.services.doors, [desk.portfolio.id]
    stored = await doors.read(desk.viewer, Valuations.of_today, desk.viewer, Owner.PORTFOLIO, keys, day)
    ledgers = await doors.read(desk.viewer, Valuations.ledgers, desk.viewer, Owner.PORTFOLIO, keys, (day,))
    assert [in_order(each) for each in stored.valuations()] == [in_order(each) for each in ledgers.valuations()]


def in_order(valuation: PortfolioValuation) -> PortfolioValuation:
    positions = sorted(valuation.positions, key=lambda position: position.instrument_id)
    # A position whose every entry was reversed is still stored, and says nothing.
    earned = (holding for holding in valuation.sold_out if holding.realised_gain or holding.dividends)
    sold_out = sorted(earned, key=lambda holding: holding.instrument_id)
    return msgspec.structs.replace(valuation, positions=tuple(positions), sold_out=tuple(sold_out))


async def play(stage: Stage, script: Sequence[Sequence[Move]]) -> None:
    """Attempt each batch at once, one after the other."""
    desk = await opened(stage)
    for first in BEGINNING:
        assert await desk.attempt(first, [])
    for batch in script:
        ledger = sorted(await desk.ledger(), key=lambda entry: entry.recorded_at)
        await asyncio.gather(*(desk.attempt(move, ledger) for move in batch))
        await check_stored(desk)
    await check_valued(desk, desk.viewer.today(desk.stage.make.now))


@FEW
@given(SCRIPTS)
async def test_what_is_stored_is_the_fold_of_the_ledger(stage: Stage, script: list[list[Move]]) -> None:
    await play(stage, script)


@pytest.mark.soak
@settings(FEW, max_examples=1_000)
@given(SCRIPTS)
async def test_what_is_stored_is_the_fold_of_any_ledger(stage: Stage, script: list[list[Move]]) -> None:
    await play(stage, script)


async def test_entries_are_recorded_while_their_client_changes_hands(stage: Stage) -> None:
    desk = await opened(stage, Role.ADMIN)
    books = [(await stage.make.book()).id for _ in range(3)]
    version = count(1)
    doors = stage.services.doors

    async def move() -> None:
        for book_id in books:
            client_id = desk.portfolio.client_id
            await doors.write(desk.viewer, "test", clients.move, desk.viewer, client_id, book_id, next(version))

    deposits = [Move(Kind.DEPOSIT, 1, 0, Decimal(number), Decimal(1), (1, 1), 0) for number in range(1, 13)]
    recorded, *_ = await asyncio.gather(
        asyncio.gather(*(desk.attempt(deposit, []) for deposit in deposits[:6])),
        move(),
        asyncio.gather(*(desk.attempt(deposit, []) for deposit in deposits[6:])),
    )
    assert None not in recorded
    for table in ("portfolios", "transactions", "cash_balances"):
        statement = f"select distinct book_id from {table} where client_id = $1"  # noqa: S608 - the names above
        found = await stage.owner.fetch(statement, desk.portfolio.client_id)
        assert [row[0] for row in found] == [books[-1]]
    await check_stored(desk)
    assert len(await desk.ledger()) == len(deposits)
