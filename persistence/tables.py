"""All tables, gathered for whoever needs the whole schema: migrations, checks, the demo's loader."""

from persistence import (
    audit,
    books,
    break_glass,
    clients,
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
    receipts,
    service_accounts,
    transactions,
    vault,
)
from persistence.metadata import metadata

CONTEXTS = (
    audit,
    books,
    break_glass,
    clients,
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
    receipts,
    service_accounts,
    transactions,
    vault,
)

__all__ = ["CONTEXTS", "metadata"]
