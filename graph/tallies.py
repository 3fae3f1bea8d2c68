"""Counters and histograms of what every request does, told to Prometheus when it reads them.

The library's own take a lock and a handful of calls for each count, which together cost a tenth of a small query. These
are counted by the loop's thread alone, and read by any.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


def add(seen: list[float], bounds: Sequence[float], value: float) -> None:
    """Note a value in what a `Spread` of these bounds has seen."""
    seen[0] += value
    seen[bisect_left(bounds, value) + 1] += 1


class Tally(Collector):
    """A counter, by its labels' values; one without labels is there from the first on."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, *labels: str) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        # One count each, in a list so that it can be kept and counted on.
        self._counts: dict[Labels, list[int]] = {} if labels else {(): [0]}
        registry.register(self)

    def inc(self, *labels: str) -> None:
        """Count one."""
        self.count(*labels)[0] += 1

    def count(self, *labels: str) -> list[int]:
        """The count of these labels, which stays the same list: for who adds to it each time."""
        return self._counts.get(labels) or self._counts.setdefault(labels, [0])

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts, as the library tells them."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, (count,) in list(self._counts.items()):
            family.add_metric(labels, count)
        yield family


class Spread(Collector):
    """A histogram, by its labels' values; one without labels is there from the first on."""

    def __init__(
        self, registry: CollectorRegistry, name: str, text: str, bounds: Sequence[float], *labels: str
    ) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = tuple(bounds)
        self._shown = [*map(floatToGoString, self._bounds), "+Inf"]
        # The sum of what was observed; then how many were in each bucket, and above the last.
        self._seen: dict[Labels, list[float]] = {} if labels else {(): self._nothing()}
        registry.register(self)

    def _nothing(self) -> list[float]:
        return [0.0] * (len(self._bounds) + 2)

    def observe(self, value: float, *labels: str) -> None:
        """Note a value, in the unit of the bounds."""
        add(self.seen(*labels), self._bounds, value)

    def seen(self, *labels: str) -> list[float]:
        """What was seen under these labels, which stays the same list: for who adds to it each time."""
        return self._seen.get(labels) or self._seen.setdefault(labels, self._nothing())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What was seen, as the library tells it: each bucket with all that are below it."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, (total, *counts) in list(self._seen.items()):
            family.add_metric(labels, list(zip(self._shown, accumulate(counts), strict=True)), total)
        yield family
