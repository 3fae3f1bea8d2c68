from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.access import SYSTEM, Role, Viewer
from domain.jobs import Office
from domain.work import Work
from graph.context import Services
from graph.ids import encode, id_of
from tests.factories import jobs
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.statements import Statements
from tests.support.worker import QUICK, drained

DEAD = """query ($first: Int, $after: String, $names: [String!]) {
    deadJobs(first: $first, after: $after, filter: {names: $names}) {
        totalCount
        pageInfo { endCursor hasNextPage }
        nodes { id name subjects attempts enqueuedAt failedAt error }
    }
}"""
RETRIED = "retried { id name subjects attempts error }"

broken = True
ran: list[UUID] = []


async def fragile(_: Office, subject: UUID) -> None:
    """A job that fails until it is mended."""
    if broken:
        raise ConnectionError("as the user asha at 10.0.0.7")
    ran.append(subject)


async def want(work: Work, _: Viewer, subject: UUID) -> None:
    work.enqueue(fragile, subject)


@pytest.fixture
async def admin(make: Make) -> SignedIn:
    return await make.user(Role.ADMIN)


def seen(job: Any) -> dict[str, Any]:
    return {
        "id": id_of(job),
        "name": job.name,
        "subjects": [str(each) for each in job.subjects],
        "attempts": job.attempts,
        "enqueuedAt": job.enqueued_at.isoformat().replace("+00:00", "Z"),
        "failedAt": job.failed_at.isoformat().replace("+00:00", "Z"),
        "error": job.error,
    }


async def test_an_admin_reads_dead_jobs_the_latest_first_page_by_page(
    gql: Gql, make: Make, admin: SignedIn, statements: Statements
) -> None:
    now = make.now
    ages = [3, 1, 2]
    made = [
        await jobs.dead(make, failed_at=now - timedelta(days=age), subjects=(uuid4(),) * age, name=f"x.{age}")
        for age in ages
    ]
    newest_first = [seen(job) for job in sorted(made, key=lambda job: job.failed_at, reverse=True)]
    with statements.counted() as counted:
        page = (await gql.as_(admin).run(DEAD, first=2))["deadJobs"]
    assert len([text for text in counted if "dead_jobs" in text]) == 2
    assert (page["nodes"], page["totalCount"]) == (newest_first[:2], 3)
    rest = (await gql.as_(admin).run(DEAD, after=page["pageInfo"]["endCursor"]))["deadJobs"]
    assert rest["nodes"] == newest_first[2:]
    some = (await gql.as_(admin).run(DEAD, names=["x.1", "x.3", "x.9"]))["deadJobs"]
    assert [node["name"] for node in some["nodes"]] == ["x.1", "x.3"]
    assert some["totalCount"] == 2


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMIN}))
async def test_others_are_forbidden_them(gql: Gql, make: Make, role: Role) -> None:
    job = await jobs.dead(make)
    user = gql.as_(await make.user(role))
    assert (await user.ask(DEAD)).codes == ["FORBIDDEN"]
    assert (await user.ask("query ($id: ID!) { node(id: $id) { id } }", id=id_of(job))).codes == ["NOT_FOUND"]
    retry = "mutation ($id: ID!) { retryJob(input: {jobId: $id}) { retried { id } } }"
    assert (await user.ask(retry, id=id_of(job))).codes == ["FORBIDDEN"]


async def test_a_dead_job_is_mended_retried_and_done(
    gql: Gql, make: Make, services: Services, admin: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = uuid4()
    await services.doors.write(SYSTEM, "test", want, SYSTEM, subject)
    for _ in range(QUICK.attempts):
        await drained(services, [fragile])
        await make.connection.execute("update queue.pgqueuer set execute_after = now() where status = 'queued'")
    (dead,) = (await gql.as_(admin).run(DEAD))["deadJobs"]["nodes"]
    assert (dead["name"], dead["subjects"], dead["attempts"]) == ("test_jobs.fragile", [str(subject)], 3)
    # What went wrong, and none of the words in it.
    assert dead["error"] == "ConnectionError"
    monkeypatch.setitem(globals(), "broken", None)
    payload = await gql.as_(admin).change("retryJob", RETRIED, jobId=dead["id"])
    assert payload["userErrors"] == []
    assert payload["retried"] == {key: dead[key] for key in ("id", "name", "subjects", "attempts", "error")}
    (row,) = await make.connection.fetch("select * from audit_events")
    assert (row["actor_id"], row["action"], row["object_type"]) == (admin.user.id, "jobs.retry", "DeadJob")
    assert id_of(admin.user) != dead["id"] == encode("job", row["object_id"])
    assert (await gql.as_(admin).run(DEAD))["deadJobs"]["nodes"] == []
    assert await drained(services, [fragile]) == 1
    assert ran == [subject]


async def test_a_job_that_is_no_longer_dead_is_not_retried(gql: Gql, make: Make, admin: SignedIn) -> None:
    job = await jobs.dead(make)
    assert (await gql.as_(admin).change("retryJob", RETRIED, jobId=id_of(job)))["userErrors"] == []
    for status in ("waits", "is gone"):
        payload = await gql.as_(admin).change("retryJob", RETRIED, jobId=id_of(job))
        assert payload["retried"] is None, status
        assert payload["userErrors"] == [
            {
                "code": "JOB_NOT_DEAD",
                "field": ["input", "jobId"],
                "message": "The job is no longer dead: it is waiting, running or done.",
            }
        ]
        await make.connection.execute("delete from queue.pgqueuer")


@pytest.mark.parametrize("number", [10**6, 2**63, 2**128 - 1])
async def test_an_unknown_job_is_not_found(gql: Gql, admin: SignedIn, number: int) -> None:
    answer = await gql.as_(admin).ask(
        "mutation ($id: ID!) { retryJob(input: {jobId: $id}) { retried { id } } }", id=encode("job", UUID(int=number))
    )
    assert answer.codes == ["NOT_FOUND"]
