"""A clock that a test moves."""

from datetime import UTC, datetime, timedelta

import msgspec

from graph.context import Services
from tests.factories.firm import SignedIn


class MovedClock:
    """The system's clock, put forward by what a test says."""

    def __init__(self, standing: datetime | None = None) -> None:
        self.standing = standing
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """The moment that the test has it be."""
        return (self.standing or datetime.now(UTC)) + self.ahead

    def move(self, **time: float) -> None:
        """Put it forward, in the words of timedelta."""
        self.ahead += timedelta(**time)


def moved(services: Services) -> MovedClock:
    """Have the services go by a clock of the test's own."""
    clock = MovedClock()
    services.doors.clock = clock
    return clock


def renewed(services: Services, signed_in: SignedIn) -> SignedIn:
    """The same session with an access token of the present moment, as the services have it."""
    token, _ = services.tokens.access(signed_in.user.id, signed_in.session.id, services.doors.clock())
    return msgspec.structs.replace(signed_in, token=token)


def stopped(services: Services) -> MovedClock:
    """Have the services go by a clock that stands still but for what the test moves it."""
    clock = MovedClock(datetime.now(UTC))
    services.doors.clock = clock
    return clock
