"""The demo firm as a whole, made piece by piece: no piece needs another one's memory."""

from collections.abc import Iterator, Sequence

import msgspec

from domain.demo import script, stories
from domain.demo.accounts import Plan, plans
from domain.demo.bookkeeping import Bookkeeper
from domain.demo.days import Days
from domain.demo.groups import SIZE, Group, group
from domain.demo.market import Market
from domain.demo.organisation import Organisation
from domain.demo.people import Dossier, dossiers, household_of
from domain.households import Household
from domain.ledger import Transaction, fold
from domain.portfolios import Portfolio, Target
from domain.positions import CashBalance, Lot, Position
from domain.transactions import cash_balance, folded


class Account(msgspec.Struct, frozen=True):
    """A portfolio with its ledger, and what that folds to."""

    portfolio: Portfolio
    targets: tuple[Target, ...]
    entries: Sequence[Transaction]
    positions: Sequence[Position]
    lots: Sequence[Lot]
    cash: Sequence[CashBalance]


class Piece(msgspec.Struct, frozen=True):
    """A group of clients with all they have."""

    household: Household | None
    dossiers: Sequence[Dossier]
    accounts: Sequence[Account]


class Firm:
    """A firm of so many clients, whose history ends on the last business day before `now`.

    Ids, names and relations are the same whenever it is made; a larger firm begins with the smaller one.
    """

    def __init__(self, clients: int, days: Days) -> None:
        self.clients = clients
        self.days = days
        self.groups = -(-clients // SIZE)
        self.market = Market(days)
        self.organisation = Organisation(days, self.groups)

    def pieces(self) -> Iterator[Piece]:
        """All clients, a group at a time."""
        for number in range(self.groups):
            yield self.piece(number)

    def piece(self, number: int) -> Piece:
        """The clients of one group, with their portfolios and ledgers."""
        drawn = group(number)
        book = self.organisation.book(number)
        household = household_of(drawn, book.id)
        members = list(dossiers(drawn, self.days, book.id, household, self.clients))
        accounts = [self._account(drawn, plan) for plan in plans(drawn, members, self.days)]
        return Piece(household, members, accounts)

    def _account(self, drawn: Group, plan: Plan) -> Account:
        entries = self._ledger(drawn, plan)
        holdings = fold(entries)
        listings = self.market.by_id
        rows = [folded(plan.portfolio, listings[key], holding) for key, holding in holdings.positions.items()]
        return Account(
            portfolio=plan.portfolio,
            targets=plan.targets,
            entries=entries,
            positions=[position for position, _ in rows],
            lots=[lot for _, lots in rows for lot in lots],
            cash=[cash_balance(plan.portfolio, currency, amount) for currency, amount in holdings.cash.items()],
        )

    def _ledger(self, drawn: Group, plan: Plan) -> list[Transaction]:
        keeper = Bookkeeper(
            plan.portfolio,
            plan.number,
            self.market,
            self.days,
            custodian=self.organisation.custodian,
            advisor=self.organisation.user(drawn.desk.advisor).id,
        )
        if plan.number == script.SCRIPTED:
            script.tell(plan, keeper)
        else:
            stories.Story(plan, keeper).tell()
        return keeper.entries
