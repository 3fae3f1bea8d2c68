"""All tables, gathered for whoever needs the whole schema: migrations, checks, the demo's loader."""

from persistence import (
    announcements,
    audit,
    books,
    break_glass,
    clients,
    conversations,
    day_values,
    events,
    households,
    identity,
    instruments,
    kyc,
    markets,
    notifications,
    orders,
    paper_broker,
    portfolios,
    positions,
    providers,
    receipts,
    service_accounts,
    transactions,
    vault,
)
from persistence.identity import accounts
from persistence.metadata import metadata

CONTEXTS = (
    accounts,
    announcements,
    audit,
    books,
    break_glass,
    clients,
    conversations,
    day_values,
    events,
    households,
    identity,
    instruments,
    kyc,
    markets,
    notifications,
    orders,
    paper_broker,
    portfolios,
    positions,
    providers,
    receipts,
    service_accounts,
    transactions,
    vault,
)

__all__ = ["CONTEXTS", "metadata"]
