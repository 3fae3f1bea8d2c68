"""Orders: from the ticket through the checks, the approval and the broker to the ledger."""

from domain.orders.amending import Amendment, amend
from domain.orders.entities import (
    FINAL,
    NEXT,
    OPEN,
    WORKING,
    Attention,
    AwaitingFilter,
    Blotter,
    BlotterTotal,
    Executed,
    Fill,
    Order,
    OrderFilter,
    OrderKind,
    OrderStatus,
    Side,
    TimeInForce,
)
from domain.orders.preview import Preview, preview
from domain.orders.storage import Orders
from domain.orders.terms import Ticket
from domain.orders.verbs import approve, cancel, decline, draft, place, submit

__all__ = [
    "FINAL",
    "NEXT",
    "OPEN",
    "WORKING",
    "Amendment",
    "Attention",
    "AwaitingFilter",
    "Blotter",
    "BlotterTotal",
    "Executed",
    "Fill",
    "Order",
    "OrderFilter",
    "OrderKind",
    "OrderStatus",
    "Orders",
    "Preview",
    "Side",
    "Ticket",
    "TimeInForce",
    "amend",
    "approve",
    "cancel",
    "decline",
    "draft",
    "place",
    "preview",
    "submit",
]
