"""How far a portfolio has drifted from what it aims at."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from domain.money import ZERO
from domain.valuation.portfolio import AssetClass, PortfolioValuation


class Drift(msgspec.Struct, frozen=True, gc=False):
    """Weight, target and weight minus target of an asset class, as fractions; null if the weight is unknown."""

    asset_class: AssetClass
    weight: Decimal | None
    target: Decimal
    drift: Decimal | None


def drifts(valuation: PortfolioValuation, target: Mapping[AssetClass, Decimal]) -> list[Drift]:
    """The drift of each class that is held or aimed at."""
    weights = {part.key: part.weight for part in valuation.by_asset_class}
    return [
        # A class that is not held has the weight zero wherever there are weights at all.
        Drift(key, None if drift is None else weights.get(key, ZERO), target.get(key, ZERO), drift)
        for key, drift in valuation.drift(target).items()
    ]
