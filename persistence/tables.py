"""All tables, gathered for whoever needs the whole schema: migrations, checks, the demo's loader."""

from persistence import (
    audit,
    books,
    clients,
    events,
    households,
    identity,
    instruments,
    notifications,
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
    events,
    households,
    identity,
    instruments,
    notifications,
    portfolios,
    positions,
    receipts,
    transactions,
    vault,
)

__all__ = ["CONTEXTS", "metadata"]
