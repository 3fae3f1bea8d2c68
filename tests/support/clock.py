"""A clock that a test moves."""

from datetime import UTC, datetime, timedelta

from graph.context import Services


class MovedClock:
    """The system's clock, put forward by what a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """The moment that the test has it be."""
        return datetime.now(UTC) + self.ahead

    def move(self, **time: float) -> None:
        """Put it forward, in the words of timedelta."""
        self.ahead += timedelta(**time)


def moved(services: Services) -> MovedClock:
    """Have the services go by a clock of the test's own."""
    clock = MovedClock()
    services.doors.clock = clock
    return clock
