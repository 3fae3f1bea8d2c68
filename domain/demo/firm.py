"""The demo firm as a whole, made piece by piece: no piece needs another one's memory."""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from domain.demo import script, stories
from domain.demo.accounts import Plan, plans
from domain.demo.bookkeeping import Bookkeeper
from domain.demo.days import Days
from domain.demo.groups import SIZE, Group, group
from domain.demo.market import Market
from domain.demo.orders import File, OrderStory, Pad
from domain.demo.organisation import Organisation, Staff
from domain.demo.people import Dossier, dossiers, household_of
from domain.demo.trades import tell_trades
from domain.demo.wishes import tell_wishes
from domain.households import Household
from domain.ledger import Holdings, Transaction, fold
from domain.portfolios import Portfolio, Target
from domain.positions import CashBalance, Lot, Position
from domain.transactions import cash_balance, folded


class Account(msgspec.Struct, frozen=True):
    """A portfolio with its ledger, what that folds to, and the orders of its last year."""

    portfolio: Portfolio
    targets: tuple[Target, ...]
    entries: Sequence[Transaction]
    positions: Sequence[Position]
    lots: Sequence[Lot]
    cash: Sequence[CashBalance]
    orders: Sequence[OrderStory]


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
        of_client = {member.client.id: member for member in members}
        accounts = [
            self._account(drawn, of_client[plan.portfolio.client_id], plan) for plan in plans(drawn, members, self.days)
        ]
        return Piece(household, members, accounts)

    def _account(self, drawn: Group, dossier: Dossier, plan: Plan) -> Account:
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
            orders=self._orders(drawn, dossier, plan, entries, holdings),
        )

    def _orders(
        self, drawn: Group, dossier: Dossier, plan: Plan, entries: Sequence[Transaction], holdings: Holdings
    ) -> list[OrderStory]:
        held = {key: holding.quantity for key, holding in holdings.positions.items()}
        staff = partial(self._staff, drawn, dossier.number)
        pad = Pad(File(plan, dossier.client, entries, holdings.cash, held, staff), self.market, self.days)
        tell_trades(pad)
        tell_wishes(pad)
        return pad.stories

    def _staff(self, drawn: Group, client: int, day: int) -> Staff:
        """Who looks after a client's book on a day: for one of them, the advisor of another book before."""
        moves = client == script.MOVED and day < script.MOVED_ON
        return self.organisation.staff(script.FORMER if moves else drawn.number)

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
