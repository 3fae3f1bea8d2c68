"""The ledger of portfolios."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import strawberry
from strawberry import ID, UNSET

from domain import ledger, transactions
from domain.ledger import TransactionKind
from domain.paging import Direction, Order
from domain.portfolios import Portfolio as DomainPortfolio
from graph.batching import batched
from graph.context import Info
from graph.dated import Batch, reading
from graph.described import enum, input_, type_
from graph.identity import User
from graph.inputs import into
from graph.instruments import Instrument
from graph.lists import Lists
from graph.mutations import Payload, mutation
from graph.nodes import Node, OfEntity
from graph.scalars import money
from persistence.identity import Identities
from persistence.instruments import Instruments
from persistence.portfolios import Portfolios
from persistence.transactions import Transactions

if TYPE_CHECKING:
    from graph.portfolios import Portfolio

enum(TransactionKind)

LazyPortfolio = Annotated["Portfolio", strawberry.lazy("graph.portfolios")]
LazyTransaction = Annotated["Transaction", strawberry.lazy("graph.transactions")]
PORTFOLIOS: Final = Batch(reading(Portfolios.by_ids), by="id")


@type_
class Charges(OfEntity):
    """What a trade has cost beside its price; zero for what is no trade."""

    entity = ledger.Transaction

    brokerage = money("brokerage", "currency", "The broker's commission.")
    transaction_tax = money("transaction_tax", "currency", "The tax on the trade itself, such as STT in India.")
    stamp_duty = money("stamp_duty", "currency", "Stamp duty.")
    other_charges = money("other_charges", "currency", "All else, such as exchange fees and the taxes on charges.")


@type_
class Transaction(Node):
    """An entry of a portfolio's ledger. Entries are never changed: a wrong one is reversed by another.

    kind: What the entry records.
    quantity: How many units were traded or transferred; none for what moves cash alone, and for splits and bonuses.
    acquired_on: When securities transferred in were acquired.
    ratio_new: For a split, the units that each `ratioOld` become; for a bonus, those that come on top of them.
    ratio_old: The units that the ratio is for.
    traded_on: The day of the trade or movement.
    settles_on: The day on which the cash moves.
    recorded_at: When it was recorded.
    reference: The custodian's own reference.
    note: What was noted; for a reversal, its reason.
    """

    entity = ledger.Transaction

    kind: TransactionKind
    quantity: Decimal | None
    acquired_on: date | None
    ratio_new: int | None
    ratio_old: int | None
    traded_on: date
    settles_on: date
    recorded_at: datetime
    reference: str | None
    note: str | None
    price = money("price", "currency", "The price of one unit, for a trade.", nullable=True)
    amount = money(
        "amount", "currency", "The effect on cash, charges included: below zero where cash leaves the portfolio."
    )
    cost = money("cost", "currency", "What securities transferred in have cost.", nullable=True)
    portfolio: LazyPortfolio = batched(
        Portfolios.by_ids, key="portfolio_id", by="id", description="The portfolio whose ledger it stands in."
    )
    instrument: Instrument | None = batched(
        Instruments.by_ids, key="instrument_id", by="id", description="The instrument concerned, if there is one."
    )
    recorded_by: User | None = batched(
        Identities.by_ids,
        key="recorded_by",
        by="id",
        description="Whoever recorded it; none if the viewer does not see that user.",
    )
    reverses: LazyTransaction | None = batched(
        Transactions.by_ids, key="reverses_id", by="id", description="The entry that it takes back, for a reversal."
    )
    reversed_by: LazyTransaction | None = batched(
        Transactions.reversals, key="id", by="reverses_id", description="The entry that has taken it back."
    )

    @strawberry.field(description="What the trade has cost beside its price.", graphql_type=Charges)
    def charges(self: ledger.Transaction) -> ledger.Transaction:
        """They are stored with the entry."""
        return self


@enum
class TransactionOrderField(StrEnum):
    """What ledger entries can be ordered by.

    TRADED_ON: The day of the trade or movement.
    RECORDED_AT: When they were recorded.
    """

    TRADED_ON = "TRADED_ON"
    RECORDED_AT = "RECORDED_AT"


@input_
class TransactionOrder:
    """What a list of ledger entries is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: TransactionOrderField
    direction: Direction = Direction.DESC


@input_
class TransactionFilter:
    """Which ledger entries a list holds: those that fit all that is given.

    kinds: Entries of these kinds.
    instrument_id: Entries of this instrument.
    currency: Entries in this currency.
    traded_from: Entries of this day or later.
    traded_to: Entries of this day or earlier.
    """

    kinds: list[TransactionKind] | None = None
    instrument_id: ID | None = None
    currency: str | None = None
    traded_from: date | None = None
    traded_to: date | None = None


TRANSACTIONS = Lists(
    TransactionOrder, Order("TRADED_ON", Direction.DESC), transactions.TransactionFilter, TransactionFilter
)


@input_
class RecordTransactionInput:
    """What a custodian reports. Each kind needs some of the fields, and has no others.

    idempotency_key: A key of 1 to 100 characters: a repeat of the same input under it gives the first result.
    portfolio_id: The portfolio.
    kind: What is recorded: any kind but REVERSAL.
    currency: The currency of all amounts; where there is an instrument, its own.
    traded_on: The day of the trade or movement: not before the portfolio was opened, and not in the future.
    instrument_id: The instrument, for all that moves securities and for dividends.
    quantity: How many units, for trades and transfers; above zero, whichever way they go.
    price: The price of one unit, for trades.
    amount: How much cash moves, for what is no trade; above zero, whichever way it goes.
    brokerage: For trades, the broker's commission.
    transaction_tax: For trades, the tax on the trade itself, such as STT in India.
    stamp_duty: For trades, stamp duty.
    other_charges: For trades, all other charges.
    cost: For securities transferred in, what they have cost.
    acquired_on: For securities transferred in, the day of their acquisition.
    ratio_new: For a split, the units that each `ratioOld` become; for a bonus, those that come on top of them.
    ratio_old: The units that the ratio is for.
    settles_on: The day on which the cash moves; left out, the day on which the instrument's market settles a trade, and
        the same day for all else.
    reference: The custodian's own reference.
    note: Anything worth noting.
    """

    idempotency_key: str
    portfolio_id: ID
    kind: TransactionKind
    currency: str
    traded_on: date
    instrument_id: ID | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    brokerage: Decimal | None = UNSET
    transaction_tax: Decimal | None = UNSET
    stamp_duty: Decimal | None = UNSET
    other_charges: Decimal | None = UNSET
    cost: Decimal | None = None
    acquired_on: date | None = None
    ratio_new: int | None = None
    ratio_old: int | None = None
    settles_on: date | None = None
    reference: str | None = None
    note: str | None = None


@input_
class ReverseTransactionInput:
    """What takes back a wrong entry.

    idempotency_key: A key of 1 to 100 characters: a repeat of the same input under it gives the first result.
    transaction_id: The wrong entry.
    reason: Why it is wrong.
    """

    idempotency_key: str
    transaction_id: ID
    reason: str


@type_
class TransactionPayload(Payload):
    """An entry that was recorded, or the reversal of one.

    transaction: The new entry.
    """

    transaction: ledger.Transaction | None = strawberry.field(default=None, graphql_type=Transaction | None)

    @strawberry.field(description="The portfolio with what the entry has changed.", graphql_type=LazyPortfolio | None)
    async def portfolio(self, info: Info) -> DomainPortfolio | None:
        """Whose ledger the entry stands in."""
        if self.transaction is None:
            return None
        found: DomainPortfolio = await PORTFOLIOS.of(info.context, self.transaction.portfolio_id)
        return found


@strawberry.type
class TransactionMutations:
    """Mutations of the ledger."""

    @mutation
    async def record_transaction(self, info: Info, input: RecordTransactionInput) -> TransactionPayload | None:
        """Record what a custodian reports; positions and cash follow in the same transaction."""
        entry = into(ledger.Entry, input)
        large = info.context.services.large_amounts
        recorded = await info.context.write(transactions.record, large, input.idempotency_key, entry)
        return TransactionPayload(transaction=recorded)

    @mutation
    async def reverse_transaction(self, info: Info, input: ReverseTransactionInput) -> TransactionPayload | None:
        """Take back a wrong entry, as though it had never been recorded; the entry itself stays."""
        wanted = into(transactions.Reversal, input)
        return TransactionPayload(
            transaction=await info.context.write(transactions.reverse, input.idempotency_key, wanted)
        )
