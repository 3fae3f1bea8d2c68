"""What people have been told of lately: of Rajesh Kumar's book, and of the orders of their clients."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from domain.demo.days import LAST, OPENING
from domain.demo.firm import Firm, Piece
from domain.demo.ids import named_id
from domain.demo.orders import OrderStory, Step
from domain.demo.people import PRIYA
from domain.demo.script import FORMER, MOVED, MOVED_ON
from domain.ledger import TransactionKind
from domain.notifications import Notification, NotificationKind
from domain.orders.entities import OrderStatus
from domain.orders.execution import NOTICED

_ADVISOR: Final = "Asha Mehta"
_SUPERVISOR: Final = "Meera Joshi"
_NEAR: Final = (_ADVISOR, _SUPERVISOR, "Rohan Deshpande", "Karthik Subramanian")
_FORMER: Final = ("Neha Kapoor", "Harish Bhatia")
_KNOWN: Final = MOVED_ON + 1
_TOLD_SINCE: Final = LAST - 14  # of orders
_READ_BEFORE: Final = LAST - 5


class News(msgspec.Struct, frozen=True):
    """Something that happened, and who is told."""

    kind: NotificationKind
    occurred_at: datetime
    actor_id: UUID | None
    told: tuple[UUID, ...]
    client_id: UUID
    book_id: UUID
    portfolio_id: UUID | None = None
    transaction_id: UUID | None = None
    order_id: UUID | None = None
    amount: Decimal | None = None
    currency: str | None = None


def notices(firm: Firm, news: Iterable[News]) -> list[Notification]:
    """A notification for each who was told, in order of time, each user's numbered without gaps."""
    names = {user.id: user.name for user in firm.organisation.users}
    read_before, read_at = firm.days.moment(_READ_BEFORE), firm.days.moment(LAST)
    last: dict[UUID, int] = {}
    made = []
    for each in sorted(news, key=lambda each: each.occurred_at):
        for user_id in each.told:
            last[user_id] = seq = last.get(user_id, 0) + 1
            notification_id = named_id("notification", f"{names[user_id]}:{seq}", LAST, OPENING + seq)
            read = read_at if each.occurred_at < read_before else None
            made.append(_notification(each, notification_id, user_id, seq, read))
    return made


def _notification(news: News, notification_id: UUID, user_id: UUID, seq: int, read_at: datetime | None) -> Notification:
    return Notification(
        id=notification_id,
        user_id=user_id,
        seq=seq,
        kind=news.kind,
        occurred_at=news.occurred_at,
        actor_id=news.actor_id,
        book_id=news.book_id,
        client_id=news.client_id,
        portfolio_id=news.portfolio_id,
        transaction_id=news.transaction_id,
        order_id=news.order_id,
        glass_access_id=None,
        announcement_id=None,
        amount=news.amount,
        currency=news.currency,
        read_at=read_at,
    )


def guide_news(firm: Firm, first: Piece) -> Iterator[News]:
    """What happened around Rajesh Kumar's book; `first` is the first group of clients."""
    organisation = firm.organisation
    near = tuple(organisation.user(name).id for name in _NEAR)
    former = tuple(organisation.user(name).id for name in _FORMER)
    book = organisation.book(0).id
    supervisor, advisor = organisation.user(_SUPERVISOR).id, organisation.user(_ADVISOR).id
    clients = [dossier.client.id for dossier in first.dossiers]
    moved = firm.days.moment(MOVED_ON)
    left = organisation.book(FORMER).id
    yield News(NotificationKind.CLIENT_LEFT, moved, supervisor, former, clients[MOVED], left)
    yield News(NotificationKind.CLIENT_ARRIVED, moved, supervisor, near, clients[MOVED], book)
    yield News(NotificationKind.KYC_CHANGED, firm.days.moment(_KNOWN), advisor, near, clients[PRIYA], book)
    for kind, wanted in (
        (NotificationKind.ENTRY_REVERSED, TransactionKind.REVERSAL),
        (NotificationKind.LARGE_DEPOSIT, TransactionKind.DEPOSIT),
    ):
        entry = [entry for entry in first.accounts[0].entries if entry.kind is wanted][-1]
        yield News(
            kind,
            entry.recorded_at,
            entry.recorded_by,
            near,
            entry.client_id,
            book,
            portfolio_id=entry.portfolio_id,
            transaction_id=entry.id,
            amount=entry.amount,
            currency=entry.currency,
        )


def order_news(firm: Firm, piece: Piece) -> Iterator[News]:
    """What people were told of the orders of some clients in the last weeks."""
    since = firm.days.moment(_TOLD_SINCE)
    for account in piece.accounts:
        for story in account.orders:
            before: OrderStatus | None = None
            for step in story.steps:
                if step.at >= since and step.status is not before:
                    yield from _news_of(firm, story, step, before)
                before = step.status


def _news_of(firm: Firm, story: OrderStory, step: Step, before: OrderStatus | None) -> Iterator[News]:
    """What a step is told as: a decision to whoever placed the order, what the broker does to all of the book."""
    order, staff = story.order, story.staff
    waited = before is OrderStatus.PENDING_APPROVAL
    if step.status is OrderStatus.PENDING_APPROVAL:
        yield _news(NotificationKind.APPROVAL_WANTED, story, step, (staff.supervisor, staff.manager), staff.advisor)
    elif waited and step.status is OrderStatus.SUBMITTED:
        yield _news(NotificationKind.ORDER_APPROVED, story, step, (order.placed_by,), staff.supervisor)
    elif waited and step.status is OrderStatus.REJECTED:
        yield _news(NotificationKind.ORDER_REJECTED, story, step, (order.placed_by,), staff.supervisor)
    elif step.status in NOTICED and step.status is not OrderStatus.CANCELLED:  # all of them were asked for
        told = firm.organisation.audience(staff.book_id, step.at.date()) | {order.placed_by}
        yield _news(NOTICED[step.status], story, step, tuple(sorted(told)), None)


def _news(kind: NotificationKind, story: OrderStory, step: Step, told: tuple[UUID, ...], actor_id: UUID | None) -> News:
    order = story.order
    return News(
        kind,
        step.at,
        actor_id,
        told,
        order.client_id,
        story.staff.book_id,
        portfolio_id=order.portfolio_id,
        order_id=order.id,
        amount=step.filled_value or order.notional,
        currency=order.currency,
    )
