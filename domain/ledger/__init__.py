"""The ledger of a portfolio: its entries, what it takes, and the fold that tells what they amount to."""

from domain.ledger.checks import RATIO_LIMIT, check_entry, check_reversible
from domain.ledger.entries import (
    TRADES,
    Entry,
    Transaction,
    TransactionKind,
    booked,
    reversal,
    settlement_day,
    signed_amount,
)
from domain.ledger.holdings import (
    QUANTITY_FIELD,
    FieldPath,
    Holdings,
    RunningHoldings,
    fold,
    in_order,
    live,
    lowest_cash,
)
from domain.ledger.lots import Holding, Lot, average_cost

__all__ = [
    "QUANTITY_FIELD",
    "RATIO_LIMIT",
    "TRADES",
    "Entry",
    "FieldPath",
    "Holding",
    "Holdings",
    "Lot",
    "RunningHoldings",
    "Transaction",
    "TransactionKind",
    "average_cost",
    "booked",
    "check_entry",
    "check_reversible",
    "fold",
    "in_order",
    "live",
    "lowest_cash",
    "reversal",
    "settlement_day",
    "signed_amount",
]
