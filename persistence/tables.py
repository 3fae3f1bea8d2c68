"""All tables, gathered for whoever needs the whole schema: migrations, checks, the demo's loader."""

from persistence import (
    audit,
    books,
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
    transactions,
    vault,
)
from persistence.metadata import metadata

CONTEXTS = (
    audit,
    books,
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
    transactions,
    vault,
)

__all__ = ["CONTEXTS", "metadata"]
