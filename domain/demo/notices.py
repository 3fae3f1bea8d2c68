"""What the people around Rajesh Kumar's book have been told of lately; some of it they have read."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from domain.demo.days import LAST, OPENING
from domain.demo.firm import Firm, Piece
from domain.demo.ids import named_id
from domain.demo.people import PRIYA
from domain.ledger import Transaction, TransactionKind
from domain.notifications import Notification, NotificationKind

_ADVISOR: Final = "Asha Mehta"
_SUPERVISOR: Final = "Meera Joshi"
_ASSISTANT: Final = "Rohan Deshpande"
_ANALYST: Final = "Karthik Subramanian"
_FORMER: Final = ("Neha Kapoor", "Harish Bhatia")
# How many of the first ones have been read.
_READ: Final[Mapping[str, int]] = {_ADVISOR: 2, _SUPERVISOR: 3}
_MOVED, _KNOWN = LAST - 12, LAST - 11
_ARRIVED: Final = 5  # the client who came from another book


class News(msgspec.Struct, frozen=True):
    """Something that happened, and who is told."""

    kind: NotificationKind
    occurred_at: datetime
    actor_id: UUID
    told: tuple[str, ...]
    client_id: UUID
    book_id: UUID
    entry: Transaction | None = None


def notices(firm: Firm, first: Piece) -> list[Notification]:
    """A handful of notifications, each user's numbered without gaps; `first` is the first group of clients."""
    last: dict[str, int] = {}
    made = []
    for news in _news(firm, first):
        for name in news.told:
            last[name] = last.get(name, 0) + 1
            made.append(_notification(firm, news, name, last[name]))
    return made


def _news(firm: Firm, first: Piece) -> Iterator[News]:
    """In the order in which it happened."""
    organisation = firm.organisation
    supervisor = organisation.user(_SUPERVISOR).id
    book, former = organisation.book(0).id, organisation.book(4).id
    clients = [dossier.client.id for dossier in first.dossiers]
    near = (_ADVISOR, _SUPERVISOR, _ASSISTANT, _ANALYST)
    moved = firm.days.moment(_MOVED)
    yield News(NotificationKind.CLIENT_LEFT, moved, supervisor, _FORMER, clients[_ARRIVED], former)
    yield News(NotificationKind.CLIENT_ARRIVED, moved, supervisor, near, clients[_ARRIVED], book)
    known = firm.days.moment(_KNOWN)
    yield News(NotificationKind.KYC_CHANGED, known, organisation.user(_ADVISOR).id, near, clients[PRIYA], book)
    for kind, wanted in (
        (NotificationKind.ENTRY_REVERSED, TransactionKind.REVERSAL),
        (NotificationKind.LARGE_DEPOSIT, TransactionKind.DEPOSIT),
    ):
        entry = [entry for entry in first.accounts[0].entries if entry.kind is wanted][-1]
        yield News(kind, entry.recorded_at, entry.recorded_by, near, entry.client_id, book, entry)


def _notification(firm: Firm, news: News, name: str, seq: int) -> Notification:
    entry = news.entry
    return Notification(
        id=named_id("notification", f"{name}:{seq}", LAST, OPENING + seq),
        user_id=firm.organisation.user(name).id,
        seq=seq,
        kind=news.kind,
        occurred_at=news.occurred_at,
        actor_id=news.actor_id,
        book_id=news.book_id,
        client_id=news.client_id,
        portfolio_id=entry.portfolio_id if entry else None,
        transaction_id=entry.id if entry else None,
        amount=entry.amount if entry else None,
        currency=entry.currency if entry else None,
        read_at=firm.days.moment(LAST) if seq <= _READ.get(name, 0) else None,
    )
