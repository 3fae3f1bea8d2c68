"""The demo firm: the same whenever it is made, of the size that is promised, and by the rules of the domain."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain.access import Role
from domain.clients import ClientKind, ClientStatus
from domain.demo.days import Days
from domain.demo.firm import Account, Firm, Piece
from domain.demo.listings import FUNDS, LISTINGS
from domain.demo.market import ACTIONS
from domain.instruments import InstrumentKind
from domain.ledger import TRADES, Entry, Transaction, TransactionKind, booked, check_entry, fold, lowest_cash
from domain.orders.terms import SUITABLE
from domain.parties import NewParty, check_parties
from domain.portfolios import PortfolioStatus
from graph.ids import encode

SATURDAY = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LATER = datetime(2027, 3, 3, 23, 30, tzinfo=UTC)
Kind = TransactionKind


def firm(clients: int, now: datetime = SATURDAY) -> Firm:
    return Firm(clients, Days(now))


def pieces(clients: int, now: datetime = SATURDAY) -> list[Piece]:
    return list(firm(clients, now).pieces())


def accounts(made: Sequence[Piece]) -> list[Account]:
    return [account for piece in made for account in piece.accounts]


@pytest.fixture(scope="module")
def whole() -> list[Piece]:
    """The firm of 600 clients."""
    return pieces(600)


def check_digit_is_right(isin: str) -> bool:
    """The Luhn check of ISO 6166, over the digits that the letters stand for."""
    digits = "".join(str(int(mark, 36)) for mark in isin)
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def test_instruments_have_isins_with_a_right_check_digit() -> None:
    isins = [listing.instrument.isin for listing in LISTINGS] + [fund.instrument.isin for fund in FUNDS]
    assert (len(LISTINGS), len(FUNDS), len(set(isins))) == (80, 4, 84)
    assert [isin for isin in isins if len(isin) != 12 or not check_digit_is_right(isin)] == []
    assert not check_digit_is_right("INE040A01035")


def test_the_firm_is_the_same_each_time() -> None:
    first, second = firm(40), firm(40)
    assert list(first.pieces()) == list(second.pieces())
    assert list(first.market.prices()) == list(second.market.prices())
    assert list(first.market.rates()) == list(second.market.rates())
    assert first.organisation.users == second.organisation.users
    assert list(first.organisation.memberships()) == list(second.organisation.memberships())


def test_the_day_it_is_made_changes_dates_alone() -> None:
    def undated(made: Sequence[Piece]) -> list[Any]:
        people = [
            (
                dossier.client.id,
                dossier.client.name,
                dossier.client.book_id,
                dossier.client.household_id,
                dossier.tax_id,
            )
            for piece in made
            for dossier in piece.dossiers
        ]
        entries = [
            (entry.id, entry.portfolio_id, entry.kind, entry.instrument_id, entry.quantity, entry.amount)
            for account in accounts(made)
            for entry in account.entries
        ]
        return [people, entries]

    now, then = pieces(40), pieces(40, LATER)
    assert undated(now) == undated(then)
    assert accounts(now)[0].entries[0].traded_on != accounts(then)[0].entries[0].traded_on


def test_a_larger_firm_begins_with_the_smaller_one() -> None:
    assert pieces(60)[:4] == pieces(24)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (SATURDAY, date(2026, 11, 20)),
        (datetime(2026, 11, 23, 0, 0, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 24, 23, 59, tzinfo=UTC), date(2026, 11, 23)),
    ],
)
def test_the_history_ends_on_the_last_business_day_before_today(now: datetime, last: date) -> None:
    days = Days(now)
    assert days.dates[-1] == last
    assert len(days.dates) == 783
    assert all(day.weekday() < 5 for day in days.dates)
    assert list(days.dates) == sorted(set(days.dates))


def test_the_guide_can_print_these_ids() -> None:
    first = pieces(6)[0]
    symbols = {listing.symbol: listing.instrument.id for listing in LISTINGS}
    assert first.dossiers[0].client.name == "Rajesh Kumar"
    assert first.dossiers[1].client.name == "Priya Sharma"
    assert encode("client", first.dossiers[0].client.id) == "client_0176eb860e807af2ba329e6646efdaad"
    assert encode("client", first.dossiers[1].client.id) == "client_0176eb860e807c98b1af08b722e37bef"
    assert encode("portfolio", first.accounts[0].portfolio.id) == "portfolio_0176f0ac6a80710bbaba7f43d48973ea"
    assert first.accounts[0].portfolio.account_number == "ACC-10000001"
    assert encode("instrument", symbols["HDFCBANK"]) == "instrument_0176cab184007161b600b2c26f399d0f"
    assert encode("instrument", symbols["RELIANCE"]) == "instrument_0176cab18401719eaeb7d549dc5f07d8"
    assert encode("instrument", FUNDS[0].instrument.id) == "instrument_0176cab184507515b50f215d81e63bc7"


def test_ids_are_of_version_7_and_sort_by_creation() -> None:
    for account in accounts(pieces(40)):
        recorded = sorted(account.entries, key=lambda entry: entry.recorded_at)
        assert [entry.id for entry in recorded] == sorted(entry.id for entry in account.entries)
        assert {entry.id.version for entry in recorded} | {account.portfolio.id.version} == {7}


def test_the_portfolio_of_the_guide_has_cash_and_what_the_guide_speaks_of() -> None:
    account = accounts(pieces(6))[0]
    held = {position.symbol for position in account.positions if position.quantity}
    assert held >= {"HDFCBANK", "RELIANCE"}
    assert [balance.currency for balance in account.cash if balance.amount > 0] == ["INR"]
    kinds = Counter(entry.kind for entry in account.entries)
    assert (kinds.total(), kinds[Kind.BONUS], kinds[Kind.REVERSAL]) == (30, 2, 1)
    assert any((entry.recorded_at.date() - entry.traded_on).days > 20 for entry in account.entries)


def as_entered(entry: Transaction) -> Entry:
    """What somebody would have entered for it."""
    given = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    moves_cash_alone = entry.kind not in TRADES and entry.amount
    return Entry(**{**given, "amount": abs(entry.amount) if moves_cash_alone else None})


def test_the_ledger_would_have_taken_every_entry() -> None:
    made = firm(60)
    currencies = {listing.instrument.id: listing.instrument.currency for listing in LISTINGS}
    for account in accounts(list(made.pieces())):
        for entry in account.entries:
            if entry.kind is Kind.REVERSAL:
                continue
            wanted = as_entered(entry)
            check_entry(
                wanted,
                opened_on=account.portfolio.opened_on,
                today=SATURDAY.date(),
                instrument_currency=currencies[entry.instrument_id] if entry.instrument_id else None,
            )
            assert entry == booked(
                wanted,
                transaction_id=entry.id,
                client_id=entry.client_id,
                book_id=entry.book_id,
                recorded_at=entry.recorded_at,
                recorded_by=entry.recorded_by,
            )
            assert entry.recorded_at.date() >= entry.traded_on


def test_cash_never_goes_below_zero_and_a_closed_portfolio_is_empty(whole: list[Piece]) -> None:
    closed = 0
    for account in accounts(whole):
        for balance in account.cash:
            assert lowest_cash(account.entries, balance.currency, account.portfolio.opened_on) >= 0
        if account.portfolio.status is PortfolioStatus.CLOSED:
            closed += 1
            assert not any(position.quantity for position in account.positions)
            assert not any(balance.amount for balance in account.cash)
    assert closed


def test_who_holds_an_instrument_shares_in_its_split_and_bonus() -> None:
    made = firm(120)
    shared = Counter[str]()
    for account in accounts(list(made.pieces())):
        for action in ACTIONS:
            listing = made.market.listings[action.symbol]
            ex_date = made.days.dates[action.day]
            eve = fold(account.entries, as_of=made.days.dates[action.day - 1]).positions.get(listing.instrument.id)
            recorded = [
                entry.traded_on
                for entry in account.entries
                if entry.kind is action.kind and entry.instrument_id == listing.instrument.id
            ]
            assert recorded == ([ex_date] if eve and eve.quantity else [])
            shared[action.symbol] += len(recorded)
    assert all(shared[action.symbol] for action in ACTIONS)


def test_raw_prices_fall_on_the_day_of_a_split_or_bonus() -> None:
    market = firm(6).market
    for action in ACTIONS:
        before, after = market.closes[action.symbol][action.day - 1 : action.day + 1]
        assert after * action.multiple == pytest.approx(before, rel=0.1)
    for symbol, closes in market.closes.items():
        assert closes[-1] == market.listings[symbol].close


def test_funds_have_values_of_four_places_and_one_that_suits_each_risk_profile() -> None:
    market = firm(6).market
    for fund in FUNDS:
        values = market.values[fund.symbol]
        assert (len(values), values[-1]) == (783, fund.value)
        assert market.price(fund.symbol, 782).as_tuple().exponent == -4
        assert fund.instrument.kind is InstrumentKind.FUND
    for suitable in SUITABLE.values():
        assert any(fund.instrument.risk in suitable for fund in FUNDS)


def test_clients_are_of_all_kinds_with_the_parties_that_these_need(whole: list[Piece]) -> None:
    made = [dossier for piece in whole for dossier in piece.dossiers]
    assert {dossier.client.kind for dossier in made} == set(ClientKind)
    assert {dossier.client.status for dossier in made} == set(ClientStatus)
    for dossier in made:
        parties = [NewParty(p.role, p.name, p.date_of_birth, p.relationship, p.share) for p in dossier.parties]
        check_parties(dossier.client.kind, parties)
        if dossier.client.kind is ClientKind.MINOR and dossier.client.date_of_birth:
            assert (SATURDAY.date() - dossier.client.date_of_birth).days < 17 * 365


def test_the_firm_has_the_size_that_is_promised(whole: list[Piece]) -> None:
    made = firm(600)
    organisation = made.organisation
    counts = Counter[str]()
    for piece in whole:
        counts["clients"] += len(piece.dossiers)
        counts["portfolios"] += len(piece.accounts)
        counts["entries"] += sum(len(account.entries) for account in piece.accounts)
        for dossier in piece.dossiers:
            counts[str(dossier.client.book_id)] += 1
    assert (counts["clients"], counts["portfolios"], counts["entries"]) == (600, 1000, 30_000)
    assert (len(organisation.units), len(organisation.teams), len(organisation.users) + 1) == (3, 6, 24)
    assert {user.role for user in organisation.users} | {Role.CLIENT} == set(Role)
    assert all(60 <= counts[str(book.id)] <= 72 for book in organisation.books)
    assert len(list(made.market.prices())) == 84 * 783
    assert len(list(made.market.rates())) == 5 * 783
