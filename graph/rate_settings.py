"""The settings of budgets: what an operation may cost, and how much a caller may ask for in a minute and at once."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from graph.http.bounds import HttpLimits
from graph.rates import Allowance


class RateStorage(StrEnum):
    """Where it is counted what callers have used."""

    MEMORY = "memory"
    DATABASE = "database"


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class RateSettings(BaseSettings):
    """Those of the settings that say how much is too much."""

    max_cost: Count = 10_000
    cost_per_minute: Count = Allowance().cost
    requests_per_minute: Count = Allowance().requests
    anonymous_cost_per_minute: Count = Allowance().anonymous_cost
    anonymous_requests_per_minute: Count = Allowance().anonymous_requests
    rate_storage: RateStorage | None = None
    connections_per_address: Count = HttpLimits().connections_per_address
    operations_per_user: Count = HttpLimits().operations_per_user
    socket_idle_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 60
    socket_hours: Annotated[int, Field(ge=1, le=24 * 7)] = 12
    max_connections: Count = 10_000

    @model_validator(mode="after")
    def _check_budgets(self) -> Self:
        if self.max_cost > self.cost_per_minute:
            raise ValueError("MAX_COST: must not be above COST_PER_MINUTE, or there are operations that can never run.")
        return self

    @property
    def allowance(self) -> Allowance:
        """What callers may use in a minute."""
        return Allowance(
            requests=self.requests_per_minute,
            cost=self.cost_per_minute,
            anonymous_requests=self.anonymous_requests_per_minute,
            anonymous_cost=self.anonymous_cost_per_minute,
        )

    @property
    def http_limits(self) -> HttpLimits:
        """What a connection may ask for."""
        return HttpLimits(
            connections_per_address=self.connections_per_address,
            operations_per_user=self.operations_per_user,
            idle_seconds=timedelta(minutes=self.socket_idle_minutes).total_seconds(),
            socket_seconds=timedelta(hours=self.socket_hours).total_seconds(),
        )
