"""The rules of orders as values: states, terms, charges, reservations, and what a broker's report can be."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clients import Client, ClientKind, ClientStatus, KycStatus, RiskProfile, Segment
from domain.entities import derived_id
from domain.errors import Refusal, RefusalCode
from domain.instruments import ClosingPrice, Instrument, InstrumentKind, InstrumentStatus, RiskLevel
from domain.markets import EXCHANGES, Calendar
from domain.markets.ordinary import ordinary
from domain.money import AMOUNT, arithmetic, number_stored
from domain.orders import FINAL, NEXT, OPEN, WORKING, Fill, Order, OrderKind, OrderStatus, Side, TimeInForce
from domain.orders.broker import BrokerFill, BrokerStatus, Report
from domain.orders.charges import charges, stamp_duty_within
from domain.orders.entities import Attention, moved, stepped
from domain.orders.reports import changed, costed, wrong
from domain.orders.terms import (
    CHECKS,
    ApprovalLimits,
    Situation,
    Ticket,
    cash_to_reserve,
    check,
    estimate,
    results,
    units_for,
)
from domain.orders.verbs import expiry
from domain.valuation import AssetClass
from tests.strategies import STEADY

D = Decimal
Status = OrderStatus
NOW = datetime(2026, 1, 6, 6, 0, tzinfo=UTC)
SHARE = Instrument(
    id=UUID(int=11),
    symbol="SHARE",
    isin="INE000000011",
    name="Share",
    sort_name="share",
    asset_class=AssetClass.EQUITY,
    sector="Financials",
    exchange="XNSE",
    currency="INR",
    lot_size=D(5),
    status=InstrumentStatus.ACTIVE,
    kind=InstrumentKind.SHARE,
    tick_size=D("0.05"),
    risk=RiskLevel.HIGH,
)
FUND = msgspec.structs.replace(
    SHARE,
    id=UUID(int=12),
    symbol="FUND",
    kind=InstrumentKind.FUND,
    lot_size=D("0.001"),
    tick_size=D("0.0001"),
    risk=RiskLevel.LOW,
)
CLIENT = Client(
    id=UUID(int=2),
    book_id=UUID(int=3),
    household_id=None,
    kind=ClientKind.INDIVIDUAL,
    name="Client",
    sort_name="client",
    email=None,
    phone=None,
    date_of_birth=None,
    segment=Segment.AFFLUENT,
    status=ClientStatus.ACTIVE,
    risk_profile=RiskProfile.MODERATE,
    kyc_status=KycStatus.VERIFIED,
    kyc_expires_on=date(2026, 1, 6),
    currency="INR",
    tags=(),
    created_at=NOW,
    updated_at=NOW,
    version=1,
)


def order(**given: Any) -> Order:
    """An order for ten shares at the market, on its way to the broker, unless said otherwise."""
    values: dict[str, Any] = dict.fromkeys(Order.__struct_fields__)
    values |= {
        "id": UUID(int=1),
        "portfolio_id": UUID(int=4),
        "client_id": CLIENT.id,
        "book_id": CLIENT.book_id,
        "instrument_id": SHARE.id,
        "side": Side.BUY,
        "kind": OrderKind.MARKET,
        "time_in_force": TimeInForce.DAY,
        "quantity": D(10),
        "currency": "INR",
        "status": Status.SUBMITTED,
        "notional": D(1000),
        "filled_quantity": D(0),
        "filled_value": D(0),
        "reserved_cash": cash_to_reserve(SHARE, OrderKind.MARKET, D(1000)),
        "reserved_quantity": D(0),
        "trades_on": NOW.date(),
        "expires_at": NOW + timedelta(hours=4),
        "placed_by": UUID(int=5),
        "terms_by": UUID(int=5),
        "placed_at": NOW,
        "revision": 1,
        "sent_revision": 1,
        "version": 1,
    }
    return Order(**{**values, **given})


def sale(**given: Any) -> Order:
    """A sale of ten shares."""
    return order(**{"side": Side.SELL, "reserved_cash": D(0), "reserved_quantity": D(10), **given})


def fill(quantity: str = "10", price: str = "100", name: str = "F1", **given: Any) -> BrokerFill:
    """A fill of the day."""
    return msgspec.structs.replace(BrokerFill(name, D(quantity), D(price), NOW.date(), NOW), **given)


def report(*fills: BrokerFill, status: BrokerStatus = BrokerStatus.WORKING, revision: int = 1) -> Report:
    """A report of the order."""
    return Report(UUID(int=1), revision, status, fills)


def known(each: BrokerFill) -> Fill:
    """A fill that was booked."""
    entry = derived_id("entry", each.fill_id)
    return Fill(entry, UUID(int=1), each.fill_id, each.quantity, each.price, D(0), "INR", NOW, entry)


def applied(before: Order, said: Report, instrument: Instrument = SHARE, booked: tuple[Fill, ...] = ()) -> Order:
    """The order after a report that can be true."""
    assert wrong(before, said, booked, NOW) is None
    names = {each.broker_fill_id for each in booked}
    fresh = list(costed(before, instrument, [each for each in said.fills if each.fill_id not in names]))
    return moved(before, moment=NOW, **changed(before, instrument, said, fresh))


# States.

STEPS = {
    ("DRAFT", "PENDING_APPROVAL"),
    ("DRAFT", "SUBMITTED"),
    ("DRAFT", "CANCELLED"),
    ("PENDING_APPROVAL", "SUBMITTED"),
    ("PENDING_APPROVAL", "CANCELLED"),
    ("PENDING_APPROVAL", "REJECTED"),
    ("PENDING_APPROVAL", "EXPIRED"),
    ("SUBMITTED", "PARTIALLY_FILLED"),
    ("SUBMITTED", "FILLED"),
    ("SUBMITTED", "CANCELLED"),
    ("SUBMITTED", "REJECTED"),
    ("SUBMITTED", "EXPIRED"),
    ("PARTIALLY_FILLED", "FILLED"),
    ("PARTIALLY_FILLED", "CANCELLED"),
    ("PARTIALLY_FILLED", "EXPIRED"),
}


@pytest.mark.parametrize(("now", "wanted"), [*product(Status, Status)])
def test_an_order_takes_the_steps_of_the_table_and_no_others(now: Status, wanted: Status) -> None:
    if (now.value, wanted.value) in STEPS:
        stepped(order(status=now), wanted)
        return
    with pytest.raises(Refusal) as refused:
        stepped(order(status=now), wanted)
    assert (refused.value.code, refused.value.field) == (RefusalCode.ILLEGAL_STEP, ("input", "orderId"))


def test_every_state_leads_to_an_end_and_an_end_to_nothing() -> None:
    assert {Status.FILLED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED} == FINAL
    assert set(NEXT) == set(Status)
    assert WORKING < OPEN
    assert not OPEN & FINAL
    assert all(NEXT[status] & FINAL for status in set(Status) - FINAL)
    assert all(not NEXT[status] for status in FINAL)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_an_order_that_ends_reserves_and_wants_nothing(status: Status) -> None:
    before = order(reserved_quantity=D(3), ending=Status.CANCELLED)
    after = moved(before, status, NOW)
    assert (after.reserved_cash, after.reserved_quantity, after.ending, after.closed_at) == (D(0), D(0), None, NOW)
    assert (after.status, after.version) == (status, before.version + 1)


# Terms.


def seen(**given: Any) -> Situation:
    """A ticket for ten shares with all that it needs, unless said otherwise."""
    ticket: dict[str, Any] = {"side": Side.BUY, "quantity": D(10)}
    ticket |= {name: given.pop(name) for name in list(given) if name in Ticket.__struct_fields__}
    instrument = given.pop("instrument", SHARE)
    values: dict[str, Any] = {
        "ticket": Ticket(portfolio_id=UUID(int=4), instrument_id=instrument.id, **ticket),
        "client": CLIENT,
        "instrument": instrument,
        "price": ClosingPrice(instrument.id, NOW.date(), D(100), "INR"),
        "cash": D(100_000),
        "held": D(100),
        "today": NOW.date(),
    }
    return Situation(**{**values, **given})


def changed_client(**given: Any) -> Client:
    return msgspec.structs.replace(CLIENT, **given)


LIMIT = {"kind": OrderKind.LIMIT}
SELL = {"side": Side.SELL}
BY_AMOUNT = {"instrument": FUND, "quantity": None}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"quantity": None}, "INVALID_VALUE", "quantity"),
    ({"amount": D(5), "instrument": FUND}, "INVALID_VALUE", "quantity"),
    ({"quantity": None, "amount": D(5)}, "INVALID_VALUE", "amount"),
    ({**LIMIT, "limit_price": D(5), "instrument": FUND}, "INVALID_VALUE", "kind"),
    (LIMIT, "INVALID_VALUE", "limitPrice"),
    ({"limit_price": D(5)}, "INVALID_VALUE", "limitPrice"),
    ({"quantity": D(0)}, "INVALID_VALUE", "quantity"),
    ({"quantity": D(-5)}, "INVALID_VALUE", "quantity"),
    ({"quantity": D("1e-11")}, "INVALID_VALUE", "quantity"),
    ({"quantity": D("1e14")}, "INVALID_VALUE", "quantity"),
    ({**LIMIT, "limit_price": D(0)}, "INVALID_VALUE", "limitPrice"),
    ({**BY_AMOUNT, "amount": D(0)}, "INVALID_VALUE", "amount"),
    ({**BY_AMOUNT, "amount": D(-1)}, "INVALID_VALUE", "amount"),
    ({**BY_AMOUNT, "amount": D("0.001")}, "INVALID_VALUE", "amount"),
    ({"quantity": D("5e13")}, "INVALID_VALUE", "quantity"),
    ({"quantity": D(11)}, "LOT_SIZE", "quantity"),
    ({**LIMIT, "limit_price": D("99.99")}, "TICK_SIZE", "limitPrice"),
    ({"price": None}, "NOT_TRADED", "instrumentId"),
    (
        {"instrument": msgspec.structs.replace(SHARE, status=InstrumentStatus.SUSPENDED)},
        "NOT_TRADED",
        "instrumentId",
    ),
    ({"client": changed_client(status=ClientStatus.DORMANT)}, "CLIENT_NOT_ACTIVE", "portfolioId"),
    ({"client": changed_client(status=ClientStatus.PROSPECT), **SELL}, "CLIENT_NOT_ACTIVE", "portfolioId"),
    ({"client": changed_client(kyc_status=KycStatus.PENDING)}, "KYC_EXPIRED", "portfolioId"),
    ({"client": changed_client(kyc_expires_on=date(2026, 1, 5))}, "KYC_EXPIRED", "portfolioId"),
    ({"client": changed_client(risk_profile=RiskProfile.CONSERVATIVE)}, "UNSUITABLE", "instrumentId"),
    ({"client": changed_client(risk_profile=None)}, "UNSUITABLE", "instrumentId"),
    ({"cash": D("1022.40")}, "INSUFFICIENT_CASH", "quantity"),
    ({**BY_AMOUNT, "amount": D("100000.01")}, "INSUFFICIENT_CASH", "amount"),
    ({**SELL, "held": D("9.9")}, "INSUFFICIENT_HOLDING", "quantity"),
    ({**SELL, **BY_AMOUNT, "amount": D("10000.01")}, "INSUFFICIENT_HOLDING", "amount"),
]


@pytest.mark.parametrize(("given", "code", "field"), REFUSED)
def test_each_check_refuses_with_its_code_at_its_field(given: dict[str, Any], code: str, field: str) -> None:
    situation = seen(**given)
    with pytest.raises(Refusal) as refused:
        check(situation)
    assert (refused.value.code.value, refused.value.field) == (code, ("input", field))
    first = next(refusal for _, refusal in results(situation) if refusal is not None)
    assert (first.code.value, first.field) == (code, ("input", field))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cash": D("1022.41")},
        {**LIMIT, "limit_price": D("99.95")},
        {**SELL, "held": D(10)},
        # What is left beside whole lots is sold as a whole, and what is left of an order need not be a whole lot.
        {**SELL, "quantity": D(3), "held": D(3)},
        {"quantity": D(7), "filled": D(3)},
        # A profile says what is bought, not what is sold.
        {**SELL, "client": changed_client(risk_profile=None)},
        {**BY_AMOUNT, "amount": D(100_000)},
        {**SELL, **BY_AMOUNT, "amount": D(10_000)},
    ],
)
def test_what_fails_no_check_is_accepted(given: dict[str, Any]) -> None:
    check(seen(**given))
    assert [refusal for _, refusal in results(seen(**given))] == [None] * len(CHECKS)


def test_an_order_needs_an_approval_from_its_currencys_value_on_and_always_without_one() -> None:
    limits = ApprovalLimits({"INR": D(1000)})
    assert [limits.reached("INR", D(value)) for value in ("999.99", "1000")] == [False, True]
    assert limits.reached("USD", D("0.01"))


# Charges, by hand: brokerage and tax 0.1 % each; stamp duty 0.015 % on purchases; exchange 0.003 %; 18 % on both fees.


@pytest.mark.parametrize(
    ("side", "value", "expected"),
    [
        (Side.BUY, "1000", ("1.00", "1.00", "0.15", "0.22")),
        (Side.SELL, "1000", ("1.00", "1.00", "0.00", "0.22")),
        (Side.BUY, "123456.78", ("123.46", "123.46", "18.52", "26.59")),
        (Side.BUY, "0", ("0.00", "0.00", "0.00", "0.00")),
    ],
)
def test_a_share_in_india_costs_what_its_tariff_says(side: Side, value: str, expected: tuple[str, ...]) -> None:
    cost = charges(SHARE, side, D(value))
    assert (cost.brokerage, cost.transaction_tax, cost.stamp_duty, cost.other_charges) == tuple(map(D, expected))
    assert cost.total == sum(map(D, expected))


def test_an_amount_buys_units_after_stamp_duty() -> None:
    # 10,000 * 0.005 / 100.005 is 0.49997…; what is left buys 199.99 units at 50.
    assert stamp_duty_within(D(10_000), "INR") == D("0.50")
    assert units_for(Side.BUY, D(10_000), D(50), "INR") == D("199.990")
    # Half up in the third place: 9,999.50 / 1,333 is 7.50150…, and 1 / 16 is 0.0625.
    assert units_for(Side.BUY, D(10_000), D(1333), "INR") == D("7.502")
    assert units_for(Side.SELL, D(1), D(16), "INR") == D("0.063")


def test_an_order_by_amount_reserves_the_amount_and_a_sale_the_units_at_a_lower_value() -> None:
    bought = estimate(seen(**BY_AMOUNT, amount=D(10_000)))
    assert bought
    assert (bought.quantity, bought.reserved_cash, bought.cash) == (D("99.995"), D(10_000), D(-10_000))
    sold = estimate(seen(**SELL, **BY_AMOUNT, amount=D(5000), held=D(60)))
    assert sold
    assert (sold.quantity, sold.reserved_quantity, sold.reserved_cash) == (D(50), D("52.5"), D(0))


# Reservations.

PRICES = st.decimals("0.01", "5000", places=2)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@STEADY
@given(
    price=PRICES,
    cuts=CUTS,
    kind=st.sampled_from(OrderKind),
    discounts=st.lists(st.integers(0, 60), min_size=12, max_size=12),
    exchange=st.sampled_from(["XNSE", "XLON", "XNAS"]),
)
def test_what_parts_take_and_leave_reserved_is_never_more_than_was_found(
    price: Decimal, cuts: list[int], kind: OrderKind, discounts: list[int], exchange: str
) -> None:
    instrument = msgspec.structs.replace(SHARE, exchange=exchange)
    with arithmetic():
        quantity = D(sum(cuts))
        notional = price * quantity
        found = cash_to_reserve(instrument, kind, notional)
    limit = price if kind is OrderKind.LIMIT else None
    held = order(quantity=quantity, notional=notional, kind=kind, limit_price=limit, reserved_cash=found)
    taken, parts, total = D(0), [], D(0)
    for number, (cut, discount) in enumerate(zip(cuts, discounts, strict=False)):
        with arithmetic():
            paid = number_stored(price * (100 - discount) / 100)
        parts.append(fill(str(cut), str(max(paid, D("0.0001"))), f"F{number}"))
        (new,) = costed(held, instrument, parts[-1:])
        assert min(msgspec.structs.astuple(new.charges)) >= 0
        with arithmetic():
            taken += new.cash
            total += new.charges.total
        held = applied(held, report(*parts), instrument, tuple(map(known, parts[:-1])))
        with arithmetic():
            left = sum(cuts[number + 1 :])
            assert taken + held.reserved_cash <= found
            # What is left can always be paid for at the limit, or at the price by which it was placed.
            worst = charges(instrument, Side.BUY, held.filled_value + left * price).total
            assert taken + held.reserved_cash >= (held.filled_value + left * price + worst if left else 0)
    assert (held.status, held.filled_quantity, held.reserved_cash) == (Status.FILLED, quantity, D(0))
    # In parts or at once, an order costs the same.
    assert total == charges(instrument, Side.BUY, held.filled_value).total


@STEADY
@given(cuts=CUTS, ends=st.sampled_from([BrokerStatus.WORKING, BrokerStatus.CANCELLED]), asked=st.booleans())
def test_a_sale_reserves_what_is_not_sold_yet(cuts: list[int], ends: BrokerStatus, *, asked: bool) -> None:
    quantity = sum(cuts) + 1
    ending = Status.EXPIRED if asked else None
    held = sale(quantity=D(quantity), reserved_quantity=D(quantity), notional=D(100 * quantity), ending=ending)
    parts: list[BrokerFill] = []
    for number, cut in enumerate(cuts):
        parts.append(fill(str(cut), "100", f"F{number}"))
        held = applied(held, report(*parts), SHARE, tuple(map(known, parts[:-1])))
        assert held.reserved_quantity == quantity - sum(cuts[: number + 1])
        assert (held.status, held.reserved_cash) == (Status.PARTIALLY_FILLED, D(0))
    held = applied(held, report(*parts, status=ends), SHARE, tuple(map(known, parts)))
    if ends is BrokerStatus.CANCELLED:
        assert held.status is (Status.EXPIRED if asked else Status.CANCELLED)
    assert held.reserved_quantity == (1 if held.status is Status.PARTIALLY_FILLED else 0)


def test_former_terms_stay_reserved_until_the_broker_confirms_the_new_ones() -> None:
    # Ten were ordered and six of them filled before the broker heard that there should be four.
    less = sale(quantity=D(4), revision=2)
    part = fill("6")
    held = applied(less, report(part))
    assert (held.status, held.reserved_quantity, held.remaining_quantity) == (Status.PARTIALLY_FILLED, D(4), D(0))
    late = applied(held, report(part, status=BrokerStatus.FILLED), SHARE, (known(part),))
    assert (late.status, late.quantity, late.reserved_quantity) == (Status.FILLED, D(6), D(0))
    # Or it heard of it in time.
    taken = applied(sale(quantity=D(8), revision=2), report(part, revision=2))
    assert (taken.status, taken.reserved_quantity, taken.sent_revision) == (Status.PARTIALLY_FILLED, D(2), 2)


def test_a_purchase_that_was_reduced_keeps_its_cash_until_that_is_confirmed() -> None:
    found = cash_to_reserve(SHARE, OrderKind.MARKET, D(1000))
    less = order(quantity=D(4), notional=D(400), revision=2, reserved_cash=found)
    part = fill("3")
    (new,) = costed(less, SHARE, [part])
    held = applied(less, report(part))
    assert held.reserved_cash == found - new.cash
    confirmed = applied(held, report(part, revision=2), SHARE, (known(part),))
    assert confirmed.reserved_cash == cash_to_reserve(SHARE, OrderKind.MARKET, D(100), D(300))
    assert confirmed.reserved_cash < held.reserved_cash


def test_an_amount_that_was_raised_too_late_takes_what_the_broker_took() -> None:
    raised = order(
        instrument_id=FUND.id, quantity=None, amount=D(2000), reserved_cash=D(2000), notional=D(2000), revision=2
    )
    units = units_for(Side.BUY, D(1000), D(50), "INR")
    (new,) = costed(raised, FUND, [fill(str(units), "50", amount=D(1000))])
    assert (new.cash, new.charges.total) == (D(1000), D("0.05"))
    done = applied(raised, report(new.fill, status=BrokerStatus.FILLED), FUND)
    assert (done.status, done.amount, done.reserved_cash) == (Status.FILLED, D(1000), D(0))


def test_an_amount_that_was_lowered_frees_the_rest_when_that_is_confirmed() -> None:
    lowered = order(
        instrument_id=FUND.id, quantity=None, amount=D(500), reserved_cash=D(2000), notional=D(500), revision=2
    )
    assert applied(lowered, report()).reserved_cash == 2000
    assert applied(lowered, report(revision=2)).reserved_cash == 500


# What a broker says.

BY_CASH = {"instrument_id": FUND.id, "quantity": None, "amount": D(1000), "reserved_cash": D(1000)}
BAD: list[tuple[dict[str, Any], Report]] = [
    ({}, msgspec.structs.replace(report(), order_id=UUID(int=9))),
    ({}, report(revision=2)),
    ({}, report(revision=-1)),
    ({}, report(fill("0"))),
    ({}, report(fill("-1"))),
    ({}, report(fill("1", "-100"))),
    ({}, report(fill("1", "0"))),
    ({}, report(fill("NaN"))),
    ({}, report(fill("1", "Infinity"))),
    ({}, report(fill("1e-11"))),
    ({}, report(fill("1", "1e14"))),
    ({}, report(fill("1", name=""))),
    ({}, report(fill("1", name="a\x00b"))),
    ({}, report(fill("1", name="x" * 101))),
    ({}, report(fill("1", traded_on=NOW.date() + timedelta(days=2)))),
    ({}, report(fill("1", traded_on=NOW.date() - timedelta(days=2)))),
    ({}, report(fill("1", filled_at=NOW.replace(tzinfo=None)))),
    ({}, report(fill("1"), fill("1"))),
    ({}, report(fill("11"))),
    ({}, report(fill("6"), fill("6", name="F2"))),
    ({}, report(status=BrokerStatus.FILLED)),
    ({}, report(fill("9"), status=BrokerStatus.FILLED)),
    ({}, report(fill("9"), status=BrokerStatus.REJECTED)),
    ({"filled_quantity": D(9)}, report(fill("2"))),
    ({"filled_quantity": D(9)}, report(status=BrokerStatus.REJECTED)),
    # The broker has confirmed the second revision; a report by the first ends nothing.
    ({"revision": 2, "sent_revision": 2, "quantity": D(20)}, report(fill("10"), status=BrokerStatus.FILLED)),
    # A sale sells no more than is held back for it, by whichever revision.
    ({**SELL, "reserved_quantity": D(10), "revision": 2}, report(fill("11"))),
    (BY_CASH, report(fill("20"))),
    (BY_CASH, report(fill("20", "50", amount=D(0)))),
    (BY_CASH, report(fill("20", "50", amount=D(2000)))),
    (BY_CASH, report(fill("40", "50", amount=D(2000)))),
    (BY_CASH, report(fill("20", "50", amount=D(1000)), fill("20", "50", "F2", amount=D(1000)))),
]


@pytest.mark.parametrize(("given", "said"), BAD)
def test_a_report_that_cannot_be_true_is_told(given: dict[str, Any], said: Report) -> None:
    assert wrong(order(**given), said, [], NOW) is not None


def test_a_fill_that_was_booked_does_not_change() -> None:
    half = order(filled_quantity=D(5), filled_value=D(500))
    booked = [known(fill("5"))]
    assert wrong(half, report(fill("5"), fill("5", name="F2")), booked, NOW) is None
    for other in (fill("4"), fill("5", "101")):
        assert wrong(half, report(other), booked, NOW) == "The broker has changed a fill that it had stated before."


@pytest.mark.parametrize("status", [BrokerStatus.WORKING, BrokerStatus.CANCELLED])
def test_what_was_filled_as_a_whole_is_filled_whatever_it_is_called(status: BrokerStatus) -> None:
    done = applied(order(ending=Status.CANCELLED), report(fill(), status=status))
    assert (done.status, done.filled_quantity, done.reserved_cash, done.ending) == (Status.FILLED, D(10), D(0), None)


def test_a_late_report_takes_nothing_back() -> None:
    part = fill("4")
    held = order(status=Status.PARTIALLY_FILLED, filled_quantity=D(4), filled_value=D(400))
    after = applied(held, report(), SHARE, (known(part),))
    assert (after.status, after.filled_quantity, after.filled_value) == (Status.PARTIALLY_FILLED, D(4), D(400))


def test_a_good_report_ends_the_doubt_and_keeps_what_the_broker_says_in_plain_words() -> None:
    doubted = order(attention=Attention.NO_ANSWER, reason="The broker has not answered; it is asked again.")
    assert applied(doubted, report()).attention is None
    assert applied(doubted, report()).reason is None
    said = msgspec.structs.replace(report(status=BrokerStatus.REJECTED), reason="No\x00 such\n thing. " + "x" * 999)
    ended = applied(doubted, said)
    assert ended.status is Status.REJECTED
    assert ended.reason
    assert ended.reason.startswith("No such thing. xx")
    assert len(ended.reason) == 500


# Time.


def test_an_order_ends_with_its_session_or_within_a_year() -> None:
    exchange = EXCHANGES["XNSE"]
    calendar = Calendar(exchange, asyncio.run(ordinary(exchange.calendar)), ())
    tuesday_close = datetime(2026, 1, 6, 10, 0, tzinfo=UTC)
    assert expiry(seen(), calendar, NOW) == tuesday_close
    assert expiry(seen(), calendar, tuesday_close) == tuesday_close + timedelta(days=1)
    friday_evening = datetime(2026, 1, 9, 18, 0, tzinfo=UTC)
    assert expiry(seen(), calendar, friday_evening) == datetime(2026, 1, 12, 10, 0, tzinfo=UTC)
    lasting = expiry(seen(time_in_force=TimeInForce.GTC), calendar, NOW)
    assert timedelta(days=365) <= lasting - NOW < timedelta(days=370)
    # A fund's order outlives the session: its value is stated after the close, five sessions later at the latest.
    assert expiry(seen(**BY_AMOUNT, amount=D(1)), calendar, NOW) == datetime(2026, 1, 13, 10, 0, tzinfo=UTC)


def test_amounts_reserved_can_be_stored() -> None:
    reserved = cash_to_reserve(SHARE, OrderKind.LIMIT, D("1000.0049"), D("33.3333"))
    assert reserved == reserved.quantize(AMOUNT)
