"""What is aimed at: how much less a request costs than elsewhere, on the same core in the same run."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tests.benchmarks.measured import Round, ratio
from tests.benchmarks.workloads import BARE, FLOOR, MERCURIUS, ORM, POSTGRAPHILE, STEWARD

# Requests in flight that the targets are for.
IN_FLIGHT: Final = 16


class Claim(msgspec.Struct, frozen=True):
    """How many times what Steward takes another has to take, in server CPU a request or in peak memory."""

    workload: str
    rival: str
    least: float
    aim: float
    measure: str = "cpu"

    def said(self, rounds: Mapping[str, Sequence[Round]]) -> str | None:
        """One line on what was measured; none without the rival, or where the machine does not tell."""
        found = ratio(rounds[self.rival], rounds[STEWARD], self.measure) if self.rival in rounds else None
        if found is None:
            return None
        met = "aim reached" if found >= self.aim else "met" if found >= self.least else "MISSED"
        of = "peak memory" if self.measure == "memory" else "server CPU"
        return f"{self.rival + ', ' + of:<42} {found:>7.2f}  at least {self.least:<5g} aim {self.aim:<5g} {met}"


CLAIMS: Final = (
    Claim("point", FLOOR, 0.5, 0.75),
    Claim("page", FLOOR, 0.5, 0.75),
    Claim("page", POSTGRAPHILE, 1.4, 1.8),
    Claim("tree", FLOOR, 0.5, 0.75),
    # Of a Strawberry whose collector runs as it comes: that was measured when the target was set.
    Claim("tree", ORM, 35, 50),
    Claim("tree", MERCURIUS, 1.4, 2.1),
    Claim("tree", POSTGRAPHILE, 1.4, 1.8),
    Claim("tree", ORM, 1, 2, "memory"),
    Claim("orders", MERCURIUS, 1.6, 2),
    Claim("orders", POSTGRAPHILE, 1.4, 1.8),
    Claim("place", BARE, 0.6, 0.75),
)
