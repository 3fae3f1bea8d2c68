"""What is counted at each request is told as Prometheus's own library tells it."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from graph.tallies import Spread, Tally

BOUNDS = (0.0, 0.005, 0.1, 1.0, 2.5)
LABELS = st.sampled_from(["GET", "POST", 'a "quoted"\nline'])
VALUES = st.sampled_from([-1.0, 0.0, 0.005, 0.0050001, 2.5, 3.0]) | st.floats(0, 10)


def lines(registry: CollectorRegistry) -> list[str]:
    """What is told, but for when the library's own began to count."""
    told = generate_latest(registry).decode().splitlines()
    return sorted(line for line in told if "_created" not in line)


@given(st.lists(LABELS))
def test_a_tally_is_a_counter(labels: list[str]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally(ours, "asked", "How often.", "method")
    counter = Counter("asked", "How often.", ["method"], registry=theirs)
    for label in labels:
        tally.inc(label)
        counter.labels(label).inc()
    assert lines(ours) == lines(theirs)


@given(st.lists(st.tuples(LABELS, VALUES)))
def test_a_spread_is_a_histogram(seen: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Spread(ours, "seconds", "How long.", BOUNDS, "method")
    histogram = Histogram("seconds", "How long.", ["method"], registry=theirs, buckets=BOUNDS)
    for label, value in seen:
        spread.observe(value, label)
        histogram.labels(label).observe(value)
    assert lines(ours) == lines(theirs)


def test_without_labels_they_are_there_from_the_first_on() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Tally(ours, "asked", "How often.")
    Spread(ours, "seconds", "How long.", BOUNDS)
    Counter("asked", "How often.", registry=theirs)
    Histogram("seconds", "How long.", registry=theirs, buckets=BOUNDS)
    assert lines(ours) == lines(theirs)
