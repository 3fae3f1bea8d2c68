"""What portfolios are worth: on a day, and over time."""

from domain.valuation.basis import Charted, Ledgers, Owner, Stored, ValuePoint, contents_of
from domain.valuation.drift import Drift, drifts
from domain.valuation.intervals import Interval, chart_days
from domain.valuation.portfolio import (
    AssetClass,
    Classified,
    Contents,
    Held,
    Market,
    PortfolioValuation,
    PositionValuation,
    Slice,
    appraise,
    value,
)
from domain.valuation.quotes import (
    PIVOT,
    Action,
    FxQuote,
    Quote,
    Rate,
    action_of,
    actions_of,
    rate_between,
    restated,
)
from domain.valuation.series import series

__all__ = [
    "PIVOT",
    "Action",
    "AssetClass",
    "Charted",
    "Classified",
    "Contents",
    "Drift",
    "FxQuote",
    "Held",
    "Interval",
    "Ledgers",
    "Market",
    "Owner",
    "PortfolioValuation",
    "PositionValuation",
    "Quote",
    "Rate",
    "Slice",
    "Stored",
    "ValuePoint",
    "action_of",
    "actions_of",
    "appraise",
    "chart_days",
    "contents_of",
    "drifts",
    "rate_between",
    "restated",
    "series",
    "value",
]
