"""The one schema: every context's queries, mutations and subscriptions."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.books import BookMutations, BookQueries
from graph.clients import ClientMutations, ClientQueries
from graph.households import HouseholdMutations, HouseholdQueries
from graph.http.schema import Schema
from graph.identity import IdentityMutations, IdentityQueries
from graph.instruments import InstrumentQueries
from graph.jobs import JobMutations, JobQueries
from graph.limits import Limits
from graph.markets import MarketMutations, MarketQueries
from graph.node_queries import NodeQueries
from graph.notifications import NotificationMutations, NotificationQueries, NotificationSubscriptions
from graph.orders import OrderMutations, OrderQueries, OrderSubscriptions, PreviewQueries
from graph.portfolios import PortfolioMutations, PortfolioQueries
from graph.scalars import SCALARS
from graph.transactions import TransactionMutations


@strawberry.type(description="What can be read. Every list is cut to what the viewer sees.")
class Query(
    IdentityQueries,
    NodeQueries,
    BookQueries,
    ClientQueries,
    HouseholdQueries,
    PortfolioQueries,
    InstrumentQueries,
    JobQueries,
    MarketQueries,
    NotificationQueries,
    OrderQueries,
    PreviewQueries,
):
    """All queries."""


@strawberry.type(description="What can be changed. Each field takes one input and answers with a payload.")
class Mutation(
    IdentityMutations,
    BookMutations,
    ClientMutations,
    HouseholdMutations,
    PortfolioMutations,
    TransactionMutations,
    MarketMutations,
    JobMutations,
    OrderMutations,
    NotificationMutations,
):
    """All mutations."""


@strawberry.type(description="What can be followed live, over graphql-transport-ws or server-sent events.")
class Subscription(NotificationSubscriptions, OrderSubscriptions):
    """All subscriptions."""


def make_schema(limits: Limits | None = None, *, open_schema: bool = False, for_print: bool = False) -> Schema:
    """The schema; `open_schema` lets the anonymous read it, as GraphiQL does before anybody has signed in.

    Only `for_print` is it sorted: sorting makes plain enums of Strawberry's, whose input would be text, not values.
    """
    config = StrawberryConfig(scalar_map=SCALARS, sort_schema=for_print)
    return Schema(Query, Mutation, Subscription, config=config, limits=limits, open_schema=open_schema)


def schema_text() -> str:
    """The schema in GraphQL's own language, as `schema.graphql` holds it."""
    return make_schema(for_print=True).as_str() + "\n"
