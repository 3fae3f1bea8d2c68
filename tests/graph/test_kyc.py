import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import kyc
from domain.access import SYSTEM, Role
from domain.clients import Client, ClientStatus, KycStatus
from domain.jobs import Job
from domain.kyc import Ending
from domain.work import Work
from graph.app import open_services
from graph.context import Services
from graph.ids import id_of
from graph.settings import Settings
from persistence.embedded import EmbeddedServer
from tests.factories.firm import Make, SignedIn
from tests.support.clock import moved
from tests.support.gql import Gql
from tests.support.worker import drained

DAY = timedelta(days=1)
TOLD = "{ notifications { nodes { kind client { name kycStatus } book { id } actor { name } } } }"


async def run(services: Services, *jobs: Job) -> None:
    """Run jobs as the schedule does, and all that waits."""

    async def enqueue(work: Work, *_: Any) -> None:
        for job in jobs:
            work.enqueue(job)

    await services.doors.write(SYSTEM, "test", enqueue)
    await drained(services)


def by(gql: Gql, user: SignedIn) -> Gql:
    """GraphQL as a user, with a token of the present moment: days go by in these tests."""
    token, _ = gql.services.tokens.access(user.user.id, user.session.id, gql.services.doors.clock())
    return Gql(gql.client, gql.services, token)


async def told(gql: Gql, user: SignedIn) -> list[tuple[str, str | None]]:
    """What a user was told, and of whom, the latest first."""
    nodes = (await by(gql, user).run(TOLD))["notifications"]["nodes"]
    assert {node["actor"] and node["actor"]["name"] for node in nodes} <= {None}
    return [(node["kind"], node["client"] and node["client"]["name"]) for node in nodes]


class Desk:
    """An advisor with a book, its supervisor, and a stranger."""

    def __init__(self, make: Make, advisor: SignedIn, supervisor: SignedIn, stranger: SignedIn) -> None:
        self.make, self.advisor, self.supervisor, self.stranger = make, advisor, supervisor, stranger

    @property
    def today(self) -> date:
        """The day in UTC, by which the firm itself counts."""
        return self.make.services.doors.clock().date()

    async def client(self, ends: int, name: str = "Asha Rao", **given: Any) -> Client:
        """A client whose verification ends so many days from today."""
        assert self.advisor.book
        return await self.make.client(self.advisor.book, name=name, kyc_expires_on=self.today + ends * DAY, **given)


@pytest.fixture
async def desk(make: Make) -> Desk:
    team = await make.team()
    advisor = await make.advisor(team=team)
    return Desk(make, advisor, await make.user(Role.SUPERVISOR, team), await make.advisor())


async def test_those_who_look_after_a_client_are_told_before_its_kyc_ends(
    desk: Desk, gql: Gql, services: Services
) -> None:
    for ends, name in ((0, "Today"), (30, "Thirty"), (31, "Later"), (-1, "Over")):
        await desk.client(ends, name)
    await desk.client(5, "Unverified", kyc_status=KycStatus.PENDING)
    await desk.client(5, "Gone", status=ClientStatus.ARCHIVED)
    await run(services, kyc.tell_ending)
    expected = [("KYC_EXPIRING", "Thirty"), ("KYC_EXPIRING", "Today")]
    assert await told(gql, desk.advisor) == await told(gql, desk.supervisor) == expected
    assert await told(gql, desk.stranger) == []


async def test_how_long_before_is_for_the_firm_to_set(
    desk: Desk, gql: Gql, settings: Settings, database_url: str, cluster: EmbeddedServer
) -> None:
    for ends in (6, 7, 8):
        await desk.client(ends, f"In {ends}")
    week = settings.model_copy(update={"kyc_notice_days": 7})
    async with open_services(week, database_url, Path(cluster.home)) as services:
        await run(services, kyc.tell_ending)
    assert await told(gql, desk.advisor) == [("KYC_EXPIRING", "In 7"), ("KYC_EXPIRING", "In 6")]


async def test_they_are_told_once_for_each_end(desk: Desk, gql: Gql, services: Services) -> None:
    clock = moved(services)
    client = await desk.client(10)
    for _ in range(3):
        await run(services, kyc.tell_ending, kyc.tell_ending)
        clock.move(days=1)
    assert await told(gql, desk.advisor) == [("KYC_EXPIRING", "Asha Rao")]
    details = {"kycExpiresOn": str(desk.today + 20 * DAY)}
    renewed = await by(gql, desk.advisor).change(
        "updateClient", "client { id }", clientId=id_of(client), version=1, details=details
    )
    assert renewed["userErrors"] == []
    await run(services, kyc.tell_ending)
    assert await told(gql, desk.advisor) == [("KYC_EXPIRING", "Asha Rao")] * 2


async def test_they_are_told_once_however_many_tell_them_at_once(desk: Desk, gql: Gql, services: Services) -> None:
    client = await desk.client(10)
    due = Ending(client.id, desk.today + 10 * DAY)
    await asyncio.gather(*(services.doors.write(SYSTEM, "test", kyc.remind, SYSTEM, due) for _ in range(8)))
    assert await told(gql, desk.advisor) == [("KYC_EXPIRING", "Asha Rao")]


async def test_nobody_is_told_of_an_end_that_was_put_off_meanwhile(desk: Desk, gql: Gql, services: Services) -> None:
    client = await desk.client(10)
    for ends in (9, 11):
        due = Ending(client.id, desk.today + ends * DAY)
        await services.doors.write(SYSTEM, "test", kyc.remind, SYSTEM, due)
    assert await told(gql, desk.advisor) == []


async def test_whoever_comes_to_look_after_a_book_is_told_where_nobody_was(
    desk: Desk, gql: Gql, services: Services
) -> None:
    book = await desk.make.book()
    await desk.make.client(book, name="Ravi", kyc_expires_on=desk.today + 3 * DAY)
    await run(services, kyc.tell_ending)
    await desk.make.membership(book, desk.stranger.user)
    await run(services, kyc.tell_ending)
    await run(services, kyc.tell_ending)
    stranger = await desk.make.session(desk.stranger.user)
    assert await told(gql, stranger) == [("KYC_EXPIRING", "Ravi")]


CLIENT = """
query ($id: ID!) { node(id: $id) { ... on Client { kycStatus kycExpiresOn version } } }
"""


async def test_a_verification_runs_out_when_its_last_day_is_over_everywhere(
    desk: Desk, gql: Gql, services: Services, make: Make
) -> None:
    clock = moved(services)
    # To the noon of a day in UTC, at which the day before it ends where the clock lags most.
    now = clock()
    clock.move(seconds=(timedelta(hours=36) - (now - now.replace(hour=0, minute=0, second=0))).total_seconds())
    over, last = await desk.client(-1, "Over"), await desk.client(0, "Last")
    await desk.client(-9, "Gone", status=ClientStatus.ARCHIVED)
    clock.move(minutes=-1)
    await run(services, kyc.expire_ended)
    assert await told(gql, desk.advisor) == []
    clock.move(minutes=2)
    for _ in range(2):
        await run(services, kyc.expire_ended)
    assert await told(gql, desk.advisor) == await told(gql, desk.supervisor) == [("KYC_CHANGED", "Over")]
    seen = [(await by(gql, desk.advisor).run(CLIENT, id=id_of(client)))["node"] for client in (over, last)]
    assert [(node["kycStatus"], node["version"]) for node in seen] == [("EXPIRED", 2), ("VERIFIED", 1)]
    audited = await make.connection.fetch(
        "select actor_id, action, before ->> 'kyc_status' before, after ->> 'kyc_status' after"
        " from audit_events where object_id = $1",
        over.id,
    )
    assert [tuple(row) for row in audited] == [(None, "kyc.expire", "VERIFIED", "EXPIRED")]


async def test_one_client_whose_change_is_refused_keeps_no_other_from_expiring(
    desk: Desk, gql: Gql, services: Services
) -> None:
    # What the rules decline today, they may have taken in years ago.
    wrong = await desk.client(-5, "Wrong", phone="none")
    right = await desk.client(-4, "Right")
    await run(services, kyc.expire_ended)
    seen = [(await by(gql, desk.advisor).run(CLIENT, id=id_of(client)))["node"] for client in (wrong, right)]
    assert [node["kycStatus"] for node in seen] == ["VERIFIED", "EXPIRED"]


async def test_a_client_that_was_told_of_can_still_be_deleted(desk: Desk, gql: Gql, services: Services) -> None:
    client = await desk.client(10)
    await run(services, kyc.tell_ending)
    payload = await by(gql, desk.advisor).change("deleteClient", "deletedId", clientId=id_of(client))
    assert payload["userErrors"] == []
    assert await told(gql, desk.advisor) == [("KYC_EXPIRING", None)]
