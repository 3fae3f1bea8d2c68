"""The one schema: every context's queries, mutations and subscriptions."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.announcements import AnnouncementMutations, AnnouncementQueries
from graph.audit import AuditQueries
from graph.audited import AuditorReads
from graph.books import BookMutations, BookQueries
from graph.break_glass import GlassMutations, GlassQueries
from graph.clients import ClientMutations, ClientQueries
from graph.conversations import ConversationMutations, ConversationQueries, ConversationSubscriptions
from graph.disclosure import DISCREET, Disclosure
from graph.households import HouseholdMutations, HouseholdQueries
from graph.http.schema import Schema
from graph.identity import (
    AccountMutations,
    FactorMutations,
    IdentityMutations,
    IdentityQueries,
    SessionMutations,
    UserMutations,
    UserQueries,
)
from graph.instruments import InstrumentQueries
from graph.jobs import JobMutations, JobQueries
from graph.limits import Limits
from graph.markets import MarketMutations, MarketQueries
from graph.node_queries import NodeQueries
from graph.notifications import NotificationMutations, NotificationQueries, NotificationSubscriptions
from graph.orders import OrderMutations, OrderQueries, OrderSubscriptions, PreviewQueries
from graph.portfolios import PortfolioMutations, PortfolioQueries
from graph.privacy import PrivacyMutations
from graph.providers import ProviderMutations, ProviderQueries
from graph.scalars import SCALARS
from graph.service_accounts import ServiceAccountMutations, ServiceAccountQueries
from graph.transactions import TransactionMutations


@strawberry.type(description="What can be read. Every list is cut to what the viewer sees.")
class Query(
    IdentityQueries,
    UserQueries,
    ProviderQueries,
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
    ServiceAccountQueries,
    GlassQueries,
    AnnouncementQueries,
    AuditQueries,
    ConversationQueries,
):
    """All queries."""


@strawberry.type(description="What can be changed. Each field takes one input and answers with a payload.")
class Mutation(
    IdentityMutations,
    SessionMutations,
    FactorMutations,
    AccountMutations,
    UserMutations,
    ProviderMutations,
    BookMutations,
    ClientMutations,
    HouseholdMutations,
    PortfolioMutations,
    TransactionMutations,
    MarketMutations,
    JobMutations,
    OrderMutations,
    NotificationMutations,
    ServiceAccountMutations,
    GlassMutations,
    AnnouncementMutations,
    PrivacyMutations,
    ConversationMutations,
):
    """All mutations."""


@strawberry.type(description="What can be followed live, over graphql-transport-ws or server-sent events.")
class Subscription(NotificationSubscriptions, OrderSubscriptions, ConversationSubscriptions):
    """All subscriptions."""


def make_schema(
    limits: Limits | None = None,
    *,
    disclosure: Disclosure = DISCREET,
    planned: bool = True,
    for_print: bool = False,
) -> Schema:
    """The schema; `disclosure` says who may read it, and how much errors tell, `planned` how it is executed.

    Only `for_print` is it sorted: sorting makes plain enums of Strawberry's, whose input would be text, not values.
    """
    config = StrawberryConfig(scalar_map=SCALARS, sort_schema=for_print)
    return Schema(
        Query,
        Mutation,
        Subscription,
        extensions=[AuditorReads],
        config=config,
        limits=limits,
        disclosure=disclosure,
        planned=planned,
    )


def schema_text() -> str:
    """The schema in GraphQL's own language, as `schema.graphql` holds it."""
    return make_schema(for_print=True).as_str() + "\n"
