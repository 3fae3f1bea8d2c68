from datetime import UTC, datetime, timedelta

import pytest

from domain.identity import Limits
from domain.identity.attempts import LONGEST_WAIT, Attempts, failed, of_address, wait_after
from domain.origin import Origin

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def attempts(failures: int, ago: timedelta = timedelta(0)) -> Attempts:
    return Attempts("account:x", failures, NOW - ago, NOW - ago)


def test_waits_begin_after_the_free_failures_and_double_up_to_a_quarter_of_an_hour() -> None:
    waits = [wait_after(failures, 5).total_seconds() for failures in range(1, 17)]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert wait_after(10**9, 5) == LONGEST_WAIT


def test_each_failure_counts_and_blocks_for_its_wait() -> None:
    after = failed(attempts(6), 5, NOW)
    assert (after.failures, after.last_failed_at, after.blocked_until) == (7, NOW, NOW + timedelta(seconds=4))
    assert failed(attempts(3), 5, NOW).blocked_until == NOW


@pytest.mark.parametrize(
    ("ago", "kept"),
    [(timedelta(minutes=59), 12), (timedelta(hours=1), 11), (timedelta(hours=5), 7), (timedelta(hours=24), 0)],
    ids=str,
)
def test_failures_are_forgotten_by_the_hour_and_all_after_a_quiet_day(ago: timedelta, kept: int) -> None:
    assert failed(attempts(12, ago), 5, NOW).failures == kept + 1
    assert failed(attempts(40, timedelta(days=1)), 30, NOW).failures == 1


def test_failures_do_not_pile_up_beyond_the_longest_wait() -> None:
    state = attempts(0)
    for _ in range(100):
        state = failed(state, 5, NOW)
    assert state.failures == 15
    assert state.blocked_until - NOW == LONGEST_WAIT


def test_a_moment_that_is_no_wait_blocks_nobody_who_began_before_it() -> None:
    began = NOW - timedelta(milliseconds=5)
    assert failed(attempts(1), 5, NOW).left(began) == timedelta(0)
    assert failed(attempts(5), 5, NOW).left(began) == timedelta(seconds=2, milliseconds=5)
    assert failed(attempts(5), 5, NOW).left(NOW + timedelta(seconds=2)) == timedelta(0)


def key(address: str) -> str:
    return of_address(Origin("r", address), Limits()).text


def test_an_address_is_counted_by_what_its_client_cannot_choose() -> None:
    assert key("192.0.2.7") != key("192.0.2.8")
    assert key("2001:db8:1:2:aaaa::1") == key("2001:db8:1:2:ffff:1:2:3") != key("2001:db8:1:3::1")
    assert key("::ffff:192.0.2.7") == key("192.0.2.7")
    assert key("fe80::1%eth0") == key("fe80::2%eth1")
    assert key("") == "address:"
