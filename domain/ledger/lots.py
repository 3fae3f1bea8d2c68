"""The lots of one holding, first in, first out."""

from collections import deque
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from domain.money import AMOUNT, NUMBER, ZERO, arithmetic


class Lot(msgspec.Struct, frozen=True, gc=False):
    """What is left of one acquisition; `cost` is the total of what is left, in the instrument's currency.

    `transaction_id` is the entry that opened it, and no other lot has it. `opened_on` is the acquisition date,
    which for securities transferred in lies before the transfer.
    """

    transaction_id: UUID
    opened_on: date
    quantity: Decimal
    cost: Decimal


class Holding(msgspec.Struct, frozen=True, gc=False):
    """What is held of one instrument, all in its currency; `total_cost` is the exact sum of the lots' costs."""

    instrument_id: UUID
    quantity: Decimal
    total_cost: Decimal
    realised_gain: Decimal
    dividends: Decimal
    lots: tuple[Lot, ...]

    @property
    def average_cost(self) -> Decimal | None:
        """Cost of one unit, unrounded; none when nothing is held."""
        return average_cost(self.total_cost, self.quantity)


def average_cost(total_cost: Decimal, quantity: Decimal) -> Decimal | None:
    """Cost of one unit, unrounded; none when nothing is held."""
    if not quantity:
        return None
    with arithmetic():
        return total_cost / quantity


class LotBook:
    """The lots of one instrument while entries are played; the caller has entered `arithmetic`."""

    __slots__ = ("_lots", "dividends", "quantity", "realised_gain")

    def __init__(self) -> None:
        self._lots: deque[Lot] = deque()
        self.quantity = ZERO
        self.realised_gain = ZERO
        self.dividends = ZERO

    def add(self, transaction_id: UUID, opened_on: date, quantity: Decimal, cost: Decimal) -> None:
        """A new lot, after those of its date or before."""
        lot = Lot(transaction_id, opened_on, quantity, cost)
        self.quantity += quantity
        later = 0
        # Entries come by date, so only a lot transferred in with an old date looks further than the last one.
        for other in reversed(self._lots):
            if other.opened_on <= opened_on:
                break
            later += 1
        if later:
            self._lots.insert(len(self._lots) - later, lot)
        else:
            self._lots.append(lot)

    def take(self, wanted: Decimal) -> Decimal:
        """Take a quantity, at most what is held, from the oldest lots; its cost.

        A part of a lot takes its share of the cost, rounded to the 4 places of storage, and leaves the rest, so
        that nothing is lost however often a lot is cut.
        """
        lots = self._lots
        cost = ZERO
        self.quantity -= wanted
        while wanted:
            lot = lots[0]
            if lot.quantity > wanted:
                share = (lot.cost * wanted / lot.quantity).quantize(AMOUNT)
                lots[0] = Lot(lot.transaction_id, lot.opened_on, lot.quantity - wanted, lot.cost - share)
                return cost + share
            lots.popleft()
            cost += lot.cost
            wanted -= lot.quantity
        return cost

    def split(self, new: int, old: int) -> bool:
        """Make `new` units of each `old` ones; cost and dates stay. Tells whether every lot still has a quantity.

        The holding as a whole is rounded to the 10 places of storage, and its lots so that they add up to it:
        three lots of one unit make one unit at 1 for 3, not 0.9999999999.
        """
        before = after = ZERO
        lots: deque[Lot] = deque()
        for lot in self._lots:
            before += lot.quantity
            total = (before * new / old).quantize(NUMBER)
            lots.append(Lot(lot.transaction_id, lot.opened_on, total - after, lot.cost))
            after = total
        self._lots = lots
        self.quantity = after
        return all(lot.quantity for lot in lots)

    def holding(self, instrument_id: UUID) -> Holding:
        """What is held now."""
        cost = sum((lot.cost for lot in self._lots), ZERO)
        return Holding(instrument_id, self.quantity, cost, self.realised_gain, self.dividends, tuple(self._lots))
