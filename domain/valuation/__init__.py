"""What portfolios are worth: on a day, and over time."""

from domain.valuation.portfolio import (
    AssetClass,
    Classified,
    Held,
    PortfolioValuation,
    PositionValuation,
    Slice,
    value,
)
from domain.valuation.quotes import PIVOT, Action, FxQuote, Quote, Rate, actions_of, rate_between, restated
from domain.valuation.series import series

__all__ = [
    "PIVOT",
    "Action",
    "AssetClass",
    "Classified",
    "FxQuote",
    "Held",
    "PortfolioValuation",
    "PositionValuation",
    "Quote",
    "Rate",
    "Slice",
    "actions_of",
    "rate_between",
    "restated",
    "series",
    "value",
]
