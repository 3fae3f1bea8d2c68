from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.valuation import Interval, chart_days
from tests.strategies import STEADY

DAYS = st.dates(date(2019, 1, 1), date(2026, 12, 31))
LONGEST = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 31}


@STEADY
@given(DAYS, st.integers(0, 500), st.sampled_from(Interval))
def test_a_chart_has_both_ends_and_no_gap_longer_than_its_interval(
    first: date, length: int, interval: Interval
) -> None:
    last = first + timedelta(days=length)
    days = list(chart_days(first, last, interval))
    assert (days[0], days[-1]) == (first, last)
    assert all(0 < (later - earlier).days <= LONGEST[interval] for earlier, later in pairwise(days))


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval.WEEK, ["2024-02-27", "2024-03-01", "2024-03-08", "2024-03-09"]),
        (Interval.MONTH, ["2024-02-27", "2024-02-29", "2024-03-09"]),
    ],
)
def test_between_its_ends_a_chart_has_the_ends_of_weeks_and_months(interval: Interval, expected: list[str]) -> None:
    assert [str(day) for day in chart_days(date(2024, 2, 27), date(2024, 3, 9), interval)] == expected
