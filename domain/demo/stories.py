"""What happens in a portfolio: an opening, then episodes until it has its number of entries, and for some an end."""

from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Final

from domain.demo.accounts import Plan, Purse
from domain.demo.bookkeeping import Bookkeeper
from domain.demo.chance import chance
from domain.demo.market import CorporateAction

_LATE_ONE_IN: Final = 50
_TRANSFERS: Final = 0.07
_DEDUCTED_FROM: Final = 500_000  # hundredths of a rupee
_ROUND: Final = 100_000  # hundredths

Episode = Callable[["Story"], bool]


class Story:
    """Tells one portfolio's story to its bookkeeper."""

    def __init__(self, plan: Plan, keeper: Bookkeeper) -> None:
        self.keeper = keeper
        self.draws: Random = chance("story", plan.number)
        self._plan = plan
        symbols = [symbol for purse in plan.purses for symbol, _ in purse.shares]
        actions = [keeper.market.actions[symbol] for symbol in symbols if symbol in keeper.market.actions]
        # What is held is split, also where its owner has done nothing for a year.
        self._due = sorted((action for action in actions if action.day > plan.opened), key=lambda action: action.day)

    @property
    def room(self) -> int:
        """How many entries there is room for, beside those that are sure to come."""
        room = self._plan.entries - len(self.keeper.entries) - len(self._due)
        if self._plan.closes:
            # A sale of each holding, and the payment.
            room -= 1 + sum(quantity > 0 for quantity in self.keeper.held.values())
        return room

    def tell(self) -> None:
        """The whole story."""
        self._open()
        while self.room > 0:
            self.go(self._next_day())
            self._episode()
        for action in self._due[:]:
            self.go(action.day)
            self._fill()
        if self._plan.closes:
            self._close()

    def go(self, day: int) -> None:
        """Go on to a day, past the splits and bonuses of what is held."""
        while self._due and self._due[0].day <= day:
            action = self._due.pop(0)
            self._act(action)
        self.keeper.day = day

    def _act(self, action: CorporateAction) -> None:
        if self.keeper.held.get(action.symbol):
            self.keeper.day = action.day
            self.keeper.act(action)

    def _fill(self) -> None:
        """Something for the place of a split that did not happen, for nothing was held."""
        while self.room > 0:
            self._episode()

    def _next_day(self) -> int:
        """So far ahead that the rest of the entries, nearly two at a time, reach the last day."""
        day = self.keeper.day
        left = max(self._plan.last - day, 0)
        step = int(left * 1.7 / (self.room + 1) * self.draws.uniform(0.5, 1.5))
        return max(day, min(day + max(step, 1), self._plan.last))

    def _open(self) -> None:
        draws, keeper = self.draws, self.keeper
        self.go(self._plan.opened)
        for purse in self._plan.purses:
            keeper.deposit(purse.currency, purse.deposit)
            if not self._plan.closes and draws.random() < _TRANSFERS and purse.shares:
                symbol = draws.choice(purse.shares)[0]
                keeper.transfer_in(symbol, draws.randint(1, 40) * 10, draws.randint(5, 50), draws.randint(40, 1500))
            for symbol, weight in purse.shares:
                if draws.randrange(3) == 0:
                    self.go(keeper.day + 1)
                # One place for what is bought, and in a portfolio that will be emptied one more for its sale.
                if self.room > 1:
                    keeper.buy(symbol, int(purse.deposit * weight))

    def _episode(self) -> None:
        """One thing that happens; a deposit, where what was drawn cannot be."""
        # Towards its end, nothing begins that would need a sale of its own.
        ending = self._plan.closes and self.room <= 3  # noqa: PLR2004 - the most that an episode takes
        episode = _interest if ending else self.draws.choices(_EPISODES, cum_weights=_WEIGHTS)[0]
        if not episode(self):
            purse = self.purse()
            self.keeper.deposit(purse.currency, self.amount(purse))

    def _close(self) -> None:
        """Sell what is left, and pay all out."""
        keeper = self.keeper
        for symbol, quantity in list(keeper.held.items()):
            if quantity:
                keeper.sell(symbol, quantity)
        for currency, amount in list(keeper.cash.items()):
            keeper.withdraw(currency, amount)

    def purse(self) -> Purse:
        """The currency in question: mostly the first."""
        purses = self._plan.purses
        return purses[-1] if len(purses) > 1 and self.draws.randrange(6) == 0 else purses[0]

    def amount(self, purse: Purse) -> int:
        """A further deposit: the same each time for those who save by plan."""
        part = 0.04 if self._plan.systematic else self.draws.uniform(0.02, 0.12)
        return max(round(purse.deposit * part / _ROUND), 1) * _ROUND

    def share(self, purse: Purse) -> str:
        """What to buy, by weight."""
        return self.draws.choices([symbol for symbol, _ in purse.shares], [weight for _, weight in purse.shares])[0]

    def holding(self) -> str | None:
        """One of the holdings, if there is any."""
        symbols = [symbol for symbol, quantity in self.keeper.held.items() if quantity]
        return self.draws.choice(symbols) if symbols else None

    def late(self) -> int:
        """How many days late a report comes: mostly none."""
        days = self.draws.randint(15, 40)
        in_time = self.draws.randrange(_LATE_ONE_IN) or self.keeper.day + days > self._plan.last
        return 0 if in_time else days


def _top_up(story: Story) -> bool:
    """A deposit, and what is bought for it."""
    purse = story.purse()
    amount = story.amount(purse)
    story.keeper.deposit(purse.currency, amount)
    for _ in range(story.draws.randint(1, 2)):
        if story.room > 1:
            story.keeper.buy(story.share(purse), amount * story.draws.randint(45, 100) // 100)
    return True


def _buy(story: Story) -> bool:
    purse = story.purse()
    cash = story.keeper.cash[purse.currency]
    if cash < purse.deposit // 50 or story.room < 2:  # noqa: PLR2004 - the purchase, and its sale one day
        return False
    return story.keeper.buy(story.share(purse), cash * story.draws.randint(40, 90) // 100, story.late())


def _sell(story: Story) -> bool:
    symbol = story.holding()
    if symbol is None:
        return False
    held = story.keeper.held[symbol]
    return story.keeper.sell(
        symbol, held if story.draws.randrange(7) == 0 else held * story.draws.randint(15, 60) // 100
    )


def _switch(story: Story) -> bool:
    """A sale, and another purchase for its proceeds."""
    symbol = story.holding()
    if story.room < 3 or symbol is None:  # noqa: PLR2004 - the sale, the purchase, and its sale one day
        return False
    purse = story.purse()
    before = story.keeper.cash.get(purse.currency, 0)
    other = story.share(purse)
    if other == symbol or not story.keeper.sell(symbol, story.keeper.held[symbol] * story.draws.randint(20, 50) // 100):
        return False
    story.keeper.buy(other, story.keeper.cash.get(purse.currency, 0) - before)
    return True


def _dividend(story: Story) -> bool:
    """A dividend, and in India the tax that is deducted from a large one."""
    symbol = story.holding()
    if symbol is None:
        return False
    amount = story.keeper.dividend(symbol, story.late())
    indian = story.keeper.market.listings[symbol].instrument.currency == "INR"
    if indian and amount > _DEDUCTED_FROM and story.room > 0:
        story.keeper.tax(symbol, amount // 10)
    return amount > 0


def _interest(story: Story) -> bool:
    """A quarter's interest, of three percent a year."""
    purse = story.purse()
    amount = story.keeper.cash[purse.currency] * 3 // 400
    if amount < 100:  # noqa: PLR2004 - hundredths: nobody books less than one unit
        return False
    story.keeper.interest(purse.currency, amount)
    return True


def _fee(story: Story) -> bool:
    """A quarter's fee."""
    purse = story.purse()
    amount = max(purse.deposit // 800, 5_000)
    if story.keeper.cash[purse.currency] < amount:
        return False
    story.keeper.fee(purse.currency, amount)
    return True


def _withdraw(story: Story) -> bool:
    purse = story.purse()
    amount = story.keeper.cash[purse.currency] * story.draws.randint(25, 70) // 100 // _ROUND * _ROUND
    if amount < purse.deposit // 100:
        return False
    story.keeper.withdraw(purse.currency, max(amount, _ROUND))
    return True


def _transfer_out(story: Story) -> bool:
    symbol = story.holding()
    if symbol is None:
        return False
    story.keeper.transfer_out(symbol)
    return True


def _mistake(story: Story) -> bool:
    """A deposit with a zero too many, taken back the next day, and the right one."""
    if story.room < 3:  # noqa: PLR2004 - the wrong one, its reversal, the right one
        return False
    purse = story.purse()
    amount = story.amount(purse)
    story.keeper.deposit(purse.currency, amount * 10)
    story.keeper.reverse(story.keeper.entries[-1], 1, "The amount had a zero too many.")
    story.keeper.deposit(purse.currency, amount)
    return True


_WEIGHED: Final[tuple[tuple[int, Episode], ...]] = (
    (34, _top_up),
    (14, _buy),
    (20, _dividend),
    (7, _interest),
    (9, _fee),
    (7, _sell),
    (5, _switch),
    (4, _withdraw),
    (1, _transfer_out),
    (1, _mistake),
)
_EPISODES: Final = [episode for _, episode in _WEIGHED]
_WEIGHTS: Final = list(accumulate(weight for weight, _ in _WEIGHED))
