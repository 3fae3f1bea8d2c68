"""The demo's orders: by the rules of orders, true to the ledger, and never for more than there is."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.clients import Client
from domain.demo.days import LAST, Days
from domain.demo.firm import Account, Firm, Piece
from domain.demo.notices import guide_news, notices, order_news
from domain.demo.orders import APPROVAL, SINCE, OrderStory
from domain.demo.trades import RETRIED
from domain.instruments import ClosingPrice, InstrumentKind
from domain.ledger import Transaction
from domain.notifications import NotificationKind
from domain.orders import NEXT, OPEN, WORKING, Order, OrderKind, OrderStatus, Side, TimeInForce
from domain.orders.terms import Situation, check, estimate
from domain.orders.verbs import ticket_of
from graph.ids import encode
from graph.settings import Settings

SATURDAY = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LATER = datetime(2027, 3, 3, 23, 30, tzinfo=UTC)
AT_THE_CLOSE = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
FIRM = Firm(600, Days(SATURDAY))
PENDING = "order_0186870f2c7974b886367e1d8919a56a"
RETRIED_ORDER = "order_0186775df40a70b4afef221373d0f721"


def pieces(clients: int, now: datetime = SATURDAY) -> list[Piece]:
    return list(Firm(clients, Days(now)).pieces())


@pytest.fixture(scope="module")
def whole() -> list[Piece]:
    """The firm of 600 clients."""
    return list(FIRM.pieces())


def accounts(made: Sequence[Piece]) -> list[Account]:
    return [account for piece in made for account in piece.accounts]


def stories(made: Sequence[Piece]) -> list[OrderStory]:
    return [story for account in accounts(made) for story in account.orders]


def with_clients(made: Sequence[Piece]) -> Iterator[tuple[Client, Account]]:
    for piece in made:
        clients = {dossier.client.id: dossier.client for dossier in piece.dossiers}
        for account in piece.accounts:
            yield clients[account.portfolio.client_id], account


def test_orders_are_the_same_each_time() -> None:
    assert stories(pieces(40)) == stories(pieces(40))
    assert stories(pieces(60))[: len(stories(pieces(24)))] == stories(pieces(24))


def test_the_day_it_is_made_changes_dates_alone() -> None:
    def undated(made: Sequence[Piece]) -> list[Any]:
        return [
            (
                [getattr(story.order, name) for name in ("id", "side", "kind", "quantity", "amount", "limit_price")],
                (story.order.status, story.order.version, story.order.placed_by, story.order.reserved_cash),
                [(fill.transaction_id, fill.quantity, fill.price, fill.charges) for fill in story.fills],
                [(step.status, step.version) for step in story.steps],
            )
            for story in stories(made)
        ]

    assert undated(pieces(60)) == undated(pieces(60, LATER)) == undated(pieces(60, AT_THE_CLOSE))


def test_there_are_orders_in_every_state(whole: list[Piece]) -> None:
    found = Counter(story.order.status for story in stories(whole))
    assert 1500 <= found.total() <= 3000
    assert found[OrderStatus.FILLED] > found.total() / 2
    assert set(found) == set(Counter(story.order.status for story in stories(pieces(40)))) == set(OrderStatus)
    terms = {(story.order.kind, story.order.time_in_force) for story in stories(whole)}
    assert terms == {(kind, time) for kind in OrderKind for time in TimeInForce}
    by_amount = {story.order.status for story in stories(whole) if story.order.amount is not None}
    assert by_amount >= {OrderStatus.SUBMITTED, OrderStatus.CANCELLED}


def test_the_guide_can_print_these_ids() -> None:
    pending = [story.order for story in stories(pieces(6)) if story.order.status is OrderStatus.PENDING_APPROVAL]
    named = {encode("order", order.id): order for order in pending}
    placed_by = {FIRM.organisation.user("Asha Mehta").id}
    assert len(named) >= 3
    assert {order.placed_by for order in named.values()} == placed_by
    assert named[PENDING].side is Side.BUY


def entries_of(account: Account) -> dict[UUID, Transaction]:
    return {entry.id: entry for entry in account.entries}


def test_each_fill_is_an_entry_of_the_ledger(whole: list[Piece]) -> None:
    for account in accounts(whole):
        entries = entries_of(account)
        booked = [fill.transaction_id for story in account.orders for fill in story.fills]
        assert len(booked) == len(set(booked))
        assert not {entries[key].id for key in booked} & {entry.reverses_id for entry in account.entries}
        for story in account.orders:
            for number, fill in enumerate(story.fills, 1):
                is_true_to(entries[fill.transaction_id], story.order, fill)
                assert fill.broker_fill_id == f"PAPER-{story.order.id.hex}-{number}"


def is_true_to(entry: Transaction, order: Order, fill: Any) -> None:
    assert entry.kind.value == order.side.value
    assert (entry.portfolio_id, entry.instrument_id) == (order.portfolio_id, order.instrument_id)
    assert (entry.quantity, entry.price, entry.currency) == (fill.quantity, fill.price, fill.currency)
    charges = entry.brokerage + entry.transaction_tax + entry.stamp_duty + entry.other_charges
    assert fill.charges == charges
    assert fill.filled_at.date() == entry.traded_on
    assert order.placed_at < fill.filled_at < entry.recorded_at
    if order.limit_price is not None:
        within = entry.price <= order.limit_price if order.side is Side.BUY else entry.price >= order.limit_price  # type: ignore[operator]
        assert within


def test_an_order_is_filled_as_far_as_its_fills_go(whole: list[Piece]) -> None:
    for story in stories(whole):
        order, quantity = story.order, sum((fill.quantity for fill in story.fills), Decimal(0))
        assert order.filled_quantity == quantity
        assert order.filled_value == sum((fill.quantity * fill.price for fill in story.fills), Decimal(0))
        if order.status is OrderStatus.FILLED:
            assert order.quantity == quantity
        if story.fills and order.status is not OrderStatus.FILLED:
            assert order.quantity is not None
            assert quantity < order.quantity


def test_each_step_is_one_that_an_order_may_take(whole: list[Piece]) -> None:
    for story in stories(whole):
        order = story.order
        states = [step.status for step in story.steps]
        assert states[-1] is order.status
        for before, after in zip([OrderStatus.DRAFT, *states], states, strict=False):
            assert after is before or after in NEXT[before]
        versions = [step.version for step in story.steps]
        assert versions == sorted(set(versions))
        assert order.version - versions[-1] in {0, 1}
        moments = [order.placed_at, *(step.at for step in story.steps)]
        assert moments == sorted(moments)
        assert (order.closed_at is None) == bool(NEXT[order.status])


def test_large_orders_were_approved_by_somebody_else(whole: list[Piece]) -> None:
    assert Settings.model_fields["approval_limits"].default == APPROVAL.limits
    approved = 0
    for story in stories(whole):
        order, first = story.order, story.steps[0].status
        large = APPROVAL.reached(order.currency, order.notional)
        if order.status is not OrderStatus.DRAFT:
            assert large == (first is OrderStatus.PENDING_APPROVAL)
        if order.approved_by is not None:
            approved += 1
            assert order.approved_by == story.staff.supervisor != order.placed_by
            assert order.approved_at
            assert order.approved_at >= order.placed_at
    assert approved > 50


def situation(client: Client, account: Account, order: Order, now: datetime) -> Situation:
    """How an open order stands today, its own reservation being free for it."""
    others = [story.order for story in account.orders if story.order.id != order.id]
    cash = {balance.currency: balance.amount for balance in account.cash}
    held = {position.instrument_id: position.quantity for position in account.positions}
    instrument = FIRM.market.by_id[order.instrument_id]
    price = FIRM.market.price(instrument.symbol, LAST)
    return Situation(
        ticket=ticket_of(order),
        client=client,
        instrument=instrument,
        price=ClosingPrice(instrument.id, FIRM.days.dates[LAST], price, order.currency),
        cash=cash.get(order.currency, Decimal(0))
        - sum(other.reserved_cash for other in others if other.currency == order.currency),
        held=held.get(instrument.id, Decimal(0))
        - sum(other.reserved_quantity for other in others if other.instrument_id == instrument.id),
        today=now.date(),
        filled=order.filled_quantity,
        filled_value=order.filled_value,
    )


def test_open_orders_would_be_accepted_today_and_reserve_what_the_terms_say(whole: list[Piece]) -> None:
    found = 0
    for client, account in with_clients(whole):
        for order in (story.order for story in account.orders if story.order.status in OPEN):
            found += 1
            seen = situation(client, account, order, SATURDAY)
            check(seen)
            reserves_exactly(seen, order)
    assert found > 50


def reserves_exactly(seen: Situation, order: Order) -> None:
    """Hold a reservation against what its terms may still take, by the price of the day on which it was placed."""
    day = FIRM.days.number_of.get(order.placed_at.date(), LAST + 1)
    placed = estimate(
        msgspec.structs.replace(seen, price=quoted(seen, FIRM.market.price(seen.instrument.symbol, day - 1)))
    )
    assert placed
    assert (order.reserved_cash, order.reserved_quantity) == (placed.reserved_cash, placed.reserved_quantity)
    assert order.filled_quantity or order.notional == placed.notional


def quoted(seen: Situation, price: Decimal) -> ClosingPrice:
    assert seen.price
    return msgspec.structs.replace(seen.price, price=price)


def test_nothing_is_reserved_that_is_not_there(whole: list[Piece]) -> None:
    for account in accounts(whole):
        cash: defaultdict[str, Decimal] = defaultdict(Decimal)
        units: defaultdict[UUID, Decimal] = defaultdict(Decimal)
        for order in (story.order for story in account.orders):
            cash[order.currency] += order.reserved_cash
            units[order.instrument_id] += order.reserved_quantity
            assert order.status in OPEN or not (order.reserved_cash or order.reserved_quantity)
        has = {balance.currency: balance.amount for balance in account.cash}
        holds = {position.instrument_id: position.quantity for position in account.positions}
        assert all(has.get(currency, 0) >= reserved for currency, reserved in cash.items())
        assert all(holds.get(key, 0) >= reserved for key, reserved in units.items())


def test_what_works_is_out_of_reach_and_has_time(whole: list[Piece]) -> None:
    funds = 0
    for order in (story.order for story in stories(whole) if story.order.status in WORKING):
        instrument = FIRM.market.by_id[order.instrument_id]
        assert order.expires_at > SATURDAY
        if instrument.kind is InstrumentKind.FUND:
            funds += 1
            assert order.amount
            assert order.trades_on > FIRM.days.dates[LAST]
            continue
        price = FIRM.market.price(instrument.symbol, LAST)
        assert order.limit_price
        assert order.time_in_force is TimeInForce.GTC
        away = price / order.limit_price if order.side is Side.BUY else order.limit_price / price
        assert away > Decimal("1.03")
    assert funds


@pytest.mark.parametrize("now", [SATURDAY, LATER, MIDNIGHT, AT_THE_CLOSE])
def test_all_of_it_has_happened_and_what_waits_still_can(now: datetime) -> None:
    since = Days(now).dates[SINCE]
    for story in stories(pieces(40, now)):
        order = story.order
        assert all(step.at <= now for step in story.steps)
        assert all(each is None or each <= now for each in (order.placed_at, order.closed_at, order.checked_at))
        assert order.placed_at.date() >= since - timedelta(days=10)
        assert order.status not in OPEN or order.expires_at > now
        if order.status is OrderStatus.PENDING_APPROVAL:
            assert order.expires_at > now + timedelta(days=300)


def test_one_order_was_retried_and_says_so(whole: list[Piece]) -> None:
    (retried,) = [story for story in stories(whole) if story.order.reason == RETRIED]
    assert encode("order", retried.order.id) == RETRIED_ORDER
    assert retried in accounts(whole)[0].orders
    assert (retried.order.status, retried.order.attention) == (OrderStatus.FILLED, None)
    assert [step.status for step in retried.steps] == [
        OrderStatus.SUBMITTED,
        OrderStatus.SUBMITTED,
        OrderStatus.FILLED,
    ]


def test_the_orders_of_a_client_who_came_were_placed_by_the_former_advisor() -> None:
    organisation = FIRM.organisation
    orders = [story.order for account in accounts(pieces(6))[8:] for story in account.orders]
    moved = FIRM.days.moment(LAST - 12)
    assert {order.placed_by for order in orders if order.placed_at < moved} == {organisation.user("Neha Kapoor").id}
    assert {order.placed_by for order in orders if order.placed_at > moved} == {organisation.user("Asha Mehta").id}


def test_people_are_told_of_the_orders_of_their_books(whole: list[Piece]) -> None:
    news = [each for piece in whole for each in order_news(FIRM, piece)]
    made = notices(FIRM, [*guide_news(FIRM, whole[0]), *news])
    seqs: defaultdict[UUID, list[int]] = defaultdict(list)
    for notification in made:
        seqs[notification.user_id].append(notification.seq)
        assert notification.occurred_at <= SATURDAY
        assert notification.order_id is None or notification.actor_id != notification.user_id
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())
    assert {each.kind for each in news} == {
        NotificationKind.APPROVAL_WANTED,
        NotificationKind.ORDER_APPROVED,
        NotificationKind.ORDER_EXPIRED,
        NotificationKind.ORDER_FILLED,
        NotificationKind.ORDER_PARTLY_FILLED,
        NotificationKind.ORDER_REJECTED,
    }
    supervisor = FIRM.organisation.user("Meera Joshi").id
    wanted = {each.order_id for each in made if each.user_id == supervisor and each.read_at is None}
    pending = [story.order for story in stories(whole) if story.order.status is OrderStatus.PENDING_APPROVAL]
    assert {order.id for order in pending if order.book_id == FIRM.organisation.book(0).id} <= wanted
