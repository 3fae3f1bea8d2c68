"""What the background does: all jobs by name, and those among them that run by the clock."""

from typing import Final

from domain import announcements, kyc
from domain.conversations import runs, titles
from domain.identity import letters
from domain.jobs import Job, Schedule
from domain.markets import publishing
from domain.orders import execution, redating
from domain.valuation import days

# A job that is not named here is never run: what enqueues it says so in its test.
JOBS: Final[tuple[Job, ...]] = (
    announcements.tell_audience,
    days.fill,
    days.rewrite,
    execution.end,
    execution.expire,
    execution.follow_up,
    execution.expire_order,
    execution.reconcile,
    execution.resolve,
    execution.send,
    redating.redate,
    kyc.expire_ended,
    kyc.tell_ending,
    letters.address_changed,
    letters.disabled,
    letters.enabled,
    letters.password_changed,
    letters.place_changed,
    letters.send_link,
    publishing.publish,
    runs.revive,
)

# Carried out by a worker of their own, in each process: they take long, and people wait for them.
RUNS: Final[tuple[Job, ...]] = (runs.carry_out, runs.seat_next, titles.improve)

SCHEDULES: Final[tuple[Schedule, ...]] = (
    # After the end of the day in UTC; at all other hours, for a night that was missed.
    Schedule(days.fill, "20 * * * *"),
    # At noon in UTC a day is over everywhere; at midnight, for a noon that was missed.
    Schedule(kyc.expire_ended, "5 0,12 * * *"),
    Schedule(kyc.tell_ending, "30 2,14 * * *"),
    # Orders end with their session, and what the broker does by itself is heard of within a minute or two.
    Schedule(execution.expire, "* * * * *"),
    Schedule(execution.follow_up, "* * * * *"),
    # An exchange announces a special day long before it; an order for that day is brought to it soon.
    Schedule(redating.redate, "*/5 * * * *"),
    # Each minute, whatever has become of their jobs; with no run under way it costs one statement.
    Schedule(runs.revive, "* * * * *"),
    # Exchanges close all around the day; a run that finds nothing to ask for costs three statements.
    Schedule(publishing.publish, "*/10 * * * *"),
)
