import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from graphql import parse
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.applications import Starlette

from domain.errors import Unavailable
from domain.jobs import Office
from graph.app import make_app
from graph.context import Services
from graph.http.schema import Schema
from graph.metrics import MOST_NAMES, Metrics, at_port
from graph.running import Running
from graph.settings import Environment, Settings
from persistence.jobs import Enqueued, enqueue
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.served import Served, socket_to
from tests.support.worker import drained

TOKEN = "vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e"
Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Each series by its name and labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def counted(services: Services) -> Samples:
    return samples(services.observer.metrics.text().decode())


async def test_operations_are_counted_by_name_type_and_outcome(gql: Gql, make: Make, services: Services) -> None:
    advisor = await make.advisor(clients=1)
    for _ in range(3):
        await gql.as_(advisor).run("query WhoAmI { viewer { name } }")
    await gql.as_(advisor).run("{ clients { nodes { name } } }")
    await gql.as_(advisor).ask("query Mistaken { nothing }")
    await gql.ask("mutation { markAllNotificationsRead(input: {}) { marked { id } } }")
    seen = counted(services)
    assert seen["steward_operations_total{operation=WhoAmI,outcome=answered,type=query}"] == 3
    assert seen["steward_operations_total{operation=unnamed,outcome=answered,type=query}"] == 1
    assert seen["steward_operations_total{operation=unnamed,outcome=failed,type=mutation}"] == 1
    assert seen["steward_errors_total{code=VALIDATION_ERROR}"] == 1
    assert seen["steward_errors_total{code=UNAUTHENTICATED}"] == 1
    assert seen["steward_errors_total{code=INTERNAL}"] == 0
    assert seen["steward_operation_seconds_count{operation=WhoAmI,type=query}"] == 3
    assert seen["steward_requests_total{method=POST,status=200}"] == 6
    assert seen["steward_request_seconds_count{method=POST}"] == 6
    assert seen["steward_request_seconds_sum{method=POST}"] > 0


async def test_statements_are_those_that_repositories_ran(gql: Gql, make: Make, services: Services) -> None:
    advisor = await make.advisor(clients=2, portfolios=1)
    before = counted(services)
    asked: list[str] = []
    with services.doors.database.observed(asked.append):
        await gql.as_(advisor).run("query Mine { clients { nodes { name portfolios { name } } } }")
    seen = counted(services)
    assert seen["steward_statements_total"] - before["steward_statements_total"] == len(asked) > 1
    assert seen["steward_operation_statements_sum{type=query}"] == len(asked)
    assert seen["steward_pool_wait_seconds_count"] > before["steward_pool_wait_seconds_count"]


async def test_the_pool_is_told_as_it_is(services: Services, settings: Settings) -> None:
    async with services.doors.database.lend(None), services.doors.database.lend(None):
        lent = counted(services)
    free = counted(services)
    assert lent["steward_pool_connections{state=in_use}"] == 2 + free["steward_pool_connections{state=in_use}"]
    assert lent["steward_pool_connections{state=most}"] == settings.database_pool


async def test_sockets_subscriptions_and_events(gql: Gql, make: Make, services: Services, live: Served) -> None:
    advisor = await make.advisor(clients=1)
    follow = "subscription Follow { notifications { cursor } }"
    (client,) = (await gql.as_(advisor).run("{ clients { nodes { id } } }"))["clients"]["nodes"]
    async with socket_to(live, advisor.token) as client_socket:
        for name in ("a", "b"):
            await client_socket.subscribe(follow, id=name)
        await asyncio.sleep(0.3)
        during = counted(services)
        await gql.as_(advisor).change(
            "updateClient", "client { id }", clientId=client["id"], version=1, details={"kycStatus": "PENDING"}
        )
        await client_socket.next()
        await client_socket.next()
    await asyncio.sleep(0.2)
    after = counted(services)
    assert during["steward_sockets_open"] == 1
    assert during["steward_subscriptions_open{field=notifications}"] == 2
    assert after["steward_sockets_open"] == 0
    assert after["steward_subscriptions_open{field=notifications}"] == 0
    assert after["steward_events_delivered_total{field=notifications}"] == 2
    assert after["steward_event_lag_seconds_count"] == 2
    assert 0 < after["steward_event_lag_seconds_sum"] < 10
    assert after["steward_operations_total{operation=Follow,outcome=answered,type=subscription}"] == 2
    # Hours of a subscription say nothing of how fast requests are answered.
    assert "steward_operation_seconds_count{operation=Follow,type=subscription}" not in after


async def does(_: Office, __: UUID) -> None:
    pass


async def fails(_: Office, __: UUID) -> None:
    raise Unavailable


async def test_jobs_are_counted_by_what_came_of_them(make: Make, services: Services) -> None:
    async with services.doors.database.lend(None) as lent:
        await enqueue(lent, [Enqueued(does, (make.new_id(),)), Enqueued(fails, (make.new_id(),))])
    for _ in range(4):
        await drained(services, (does, fails))
        await make.connection.execute("update queue.pgqueuer set execute_after = now() where status = 'queued'")
    seen = counted(services)
    assert seen["steward_jobs_total{job=test_metrics.does,outcome=done}"] == 1
    assert seen["steward_jobs_total{job=test_metrics.fails,outcome=failed}"] == 2
    assert seen["steward_jobs_total{job=test_metrics.fails,outcome=dead}"] == 1
    assert seen["steward_job_seconds_count{job=test_metrics.fails}"] == 3


async def test_names_that_clients_make_up_are_no_series_each(gql: Gql, make: Make, services: Services) -> None:
    for at in range(5):
        await gql.ask(f"query Anonymous{at} {{ __typename }}")
    advisor = await make.advisor()
    for at in range(3):
        await gql.as_(advisor).run(f"query Own{at} {{ viewer {{ name }} }}")
    names = {key for key in counted(services) if key.startswith("steward_operations_total")}
    assert not any("Anonymous" in name for name in names)
    assert counted(services)["steward_operations_total{operation=other,outcome=answered,type=query}"] == 5
    assert sum("operation=Own" in name for name in names) == 3


def test_there_are_only_so_many_names() -> None:
    metrics = Metrics(["Known"])

    def ask(name: str) -> None:
        made = Running("r")
        made.viewer = UUID(int=1)
        document = parse(f"query {name} {{ viewer {{ name }} }}")
        # What a schema makes of a document, as far as it is read here.
        made.execution = SimpleNamespace(graphql_document=document, operation_name=None)  # type: ignore[assignment]
        metrics.done(made, made.seconds)

    for at in range(3 * MOST_NAMES):
        ask(f"Name{at}")
    ask("Known")
    series = [key for key in samples(metrics.text().decode()) if key.startswith("steward_operations_total")]
    assert len(series) == MOST_NAMES + 1
    assert any("operation=Known" in key for key in series)
    assert any("operation=other" in key for key in series)


@asynccontextmanager
async def asking(app: Starlette, peer: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(peer, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        yield client


@pytest.mark.parametrize(
    ("token", "development", "peer", "headers", "status"),
    [
        (None, True, "127.0.0.1", {}, 200),
        (None, True, "::1", {}, 200),
        (None, True, "10.1.2.3", {}, 404),
        (None, True, "127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 404),
        (None, False, "127.0.0.1", {}, 404),
        (TOKEN, True, "127.0.0.1", {}, 401),
        (TOKEN, False, "10.1.2.3", {}, 401),
        (TOKEN, False, "10.1.2.3", {"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        (TOKEN, False, "10.1.2.3", {"authorization": TOKEN}, 401),
        (TOKEN, False, "10.1.2.3", {"authorization": "Bearer \xff"}, 401),
        (TOKEN, False, "10.1.2.3", {"authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
async def test_metrics_are_not_for_everybody(
    settings: Settings,
    services: Services,
    schema: Schema,
    token: str | None,
    development: bool,  # noqa: FBT001 - a case
    peer: str,
    headers: dict[str, str],
    status: int,
) -> None:
    given = settings.model_copy(
        update={
            "metrics_token": SecretStr(token) if token else None,
            "environment": Environment.DEVELOPMENT if development else Environment.PRODUCTION,
        }
    )
    async with asking(make_app(given, services, schema=schema), peer) as client:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        response = await client.get("/metrics", headers=[(name.encode(), value) for name, value in encoded.items()])
    assert response.status_code == status
    assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    if status == 200:
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert {"steward_statements_total", "python_gc_objects_collected_total{generation=0}"} <= set(
            samples(response.text)
        )
    else:
        assert "steward_" not in response.text


def test_a_port_of_its_own_is_on_loopback_alone(unused_port: int) -> None:
    metrics = Metrics()
    address = f"http://127.0.0.1:{unused_port}/metrics"
    with at_port(metrics.registry, unused_port), urllib.request.urlopen(address, timeout=5) as response:
        assert b"steward_statements_total" in response.read()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_two_applications_count_apart(services: Services) -> None:
    services.observer.metrics.statements.inc()
    assert samples(Metrics().text().decode())["steward_statements_total"] == 0
