"""Orders: placed, approved, watched and listed."""

from graph.orders.lists import ORDERS, OrderQueries
from graph.orders.live import OrderSubscriptions, orders_cursor
from graph.orders.mutations import OrderMutations
from graph.orders.preview import PreviewQueries
from graph.orders.types import Fill, Order

__all__ = [
    "ORDERS",
    "Fill",
    "Order",
    "OrderMutations",
    "OrderQueries",
    "OrderSubscriptions",
    "PreviewQueries",
    "orders_cursor",
]
