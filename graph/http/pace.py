"""How fast messages may come: a bucket that fills with time."""

from collections.abc import Callable


class Pace:
    """So many a second, and `at_once` if there were none for a while; `time` tells seconds."""

    def __init__(self, per_second: float, at_once: int, time: Callable[[], float]) -> None:
        self._per_second = per_second
        self._most = float(at_once)
        self._left = self._most
        self._time = time
        self._at = time()

    def allows(self) -> bool:
        """Whether one more comes in time, which uses it up."""
        now = self._time()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
