"""Rows around clients: households, the persons behind a client, and what users are told."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from domain.books import Book
from domain.clients import Client
from domain.households import Household
from domain.identity import User
from domain.notifications import Notification, NotificationKind
from domain.parties import Party, PartyRole
from domain.text import fold
from persistence import clients, households, notifications
from tests.factories.firm import Make


async def household(make: Make, book: Book, **given: Any) -> Household:
    """An empty household in a book."""
    name = given.pop("name", f"Household {next(make.numbers)}")
    made = msgspec.structs.replace(Household(make.new_id(), book.id, name, fold(name), "INR", 1), **given)
    await make.add(households.households, made)
    return made


async def party(make: Make, client: Client, **given: Any) -> Party:
    """A nominee with the whole of a client's assets."""
    made = Party(
        id=make.new_id(),
        client_id=client.id,
        role=PartyRole.NOMINEE,
        name=f"Party {next(make.numbers)}",
        date_of_birth=date(1990, 5, 5),
        relationship="daughter",
        share=Decimal(100),
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(clients.client_parties, made)
    return made


async def notification(make: Make, user: User, **given: Any) -> Notification:
    """A notification of nothing in particular, past the event log."""
    made = Notification(
        id=make.new_id(),
        user_id=user.id,
        seq=next(make.numbers),
        kind=NotificationKind.KYC_CHANGED,
        occurred_at=make.now,
        actor_id=None,
        book_id=None,
        client_id=None,
        portfolio_id=None,
        transaction_id=None,
        order_id=None,
        glass_access_id=None,
        announcement_id=None,
        amount=None,
        currency=None,
        read_at=None,
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(notifications.notifications, made)
    return made
