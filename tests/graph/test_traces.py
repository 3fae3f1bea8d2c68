import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pytest
from pydantic import HttpUrl

from domain.jobs import Office
from graph.app import make_app, open_services
from graph.context import Services
from graph.http.schema import Schema
from graph.observing import Observer
from graph.otlp import OtlpTraces
from graph.settings import Settings
from persistence.embedded import EmbeddedServer
from persistence.jobs import Enqueued, enqueue
from tests.conftest import quick
from tests.factories.firm import PASSWORD, Make
from tests.support.collector import Collected, Collector, collector
from tests.support.gql import Gql
from tests.support.served import served, socket_to
from tests.support.worker import drained

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as listening:
        yield listening


@pytest.fixture
async def services(
    settings: Settings, database_url: str, cluster: EmbeddedServer, collected: Collector
) -> AsyncIterator[Services]:
    """What the application stands on, with traces to the collector."""
    given = settings.model_copy(update={"otel_exporter_otlp_endpoint": HttpUrl(collected.url)})
    async with open_services(given, database_url, Path(cluster.home)) as opened:
        yield quick(opened)


def spans(services: Services, collected: Collector) -> list[Collected]:
    """All spans that have ended by now."""
    services.observer.traces.close()
    return collected.spans


def tree(found: list[Collected]) -> list[str]:
    """Each span beneath its parent, by names."""
    names = {span.id: span.name for span in found}
    return sorted(f"{names.get(span.parent, '-')} > {span.name}" for span in found)


async def test_a_request_its_operation_and_its_statements(
    gql: Gql, make: Make, services: Services, collected: Collector
) -> None:
    advisor = await make.advisor(clients=1)
    query = {"query": "query Mine { clients { nodes { name } } }"}
    headers = {"authorization": f"Bearer {advisor.token}", "x-request-id": "here-7"}
    await asyncio.to_thread(lambda: None)
    await gql.client.post("/graphql", json=query, headers=headers)
    found = spans(services, collected)
    assert set(collected.paths) == {"/v1/traces"}
    assert len({span.trace for span in found}) == 1
    by_name = {span.name: span for span in found}
    request, operation = by_name["POST /graphql"], by_name["query Mine"]
    assert request.parent == ""
    assert request.facts == {
        "http.request.method": "POST",
        "url.path": "/graphql",
        "steward.request_id": "here-7",
        "http.response.status_code": 200,
    }
    assert operation.parent == request.id
    assert (operation.facts["graphql.operation.type"], operation.facts["graphql.operation.name"]) == ("query", "Mine")
    statements = [span for span in found if span.facts.get("db.system.name") == "postgresql"]
    assert operation.facts["steward.statements"] == len(statements) >= 1
    listed = next(span for span in statements if "FROM clients" in span.facts["db.query.text"])
    assert listed.parent == operation.id
    assert listed.name == "select"
    assert "$1" in listed.facts["db.query.text"]


async def test_no_value_and_nobodys_data_is_in_what_is_sent(
    gql: Gql, make: Make, services: Services, collected: Collector
) -> None:
    advisor = await make.advisor()
    assert advisor.book
    details = {"name": "Zyxwvut Qponm", "email": "zyx@example.org", "taxId": "ZYXWV1234Q"}
    given = {"bookId": f"book_{advisor.book.id.hex}", "kind": "INDIVIDUAL", "details": details}
    await gql.as_(advisor).change("createClient", "client { name }", **given)
    await gql.change("signIn", "session { accessToken }", email=advisor.user.email, password=PASSWORD)
    await gql.as_(advisor).ask("query Mistaken { nothing }")
    found = spans(services, collected)
    assert len(found) > 10
    sent = b"".join(collected.bodies).decode("utf-8", "replace")
    for word in ("Zyxwvut", "zyx@", "ZYXWV1234Q", PASSWORD, advisor.user.email, advisor.user.name, advisor.token):
        assert word not in sent
    mistaken = next(span for span in found if span.name == "query Mistaken")
    assert mistaken.failed
    assert mistaken.facts["steward.codes"] == ["VALIDATION_ERROR"]
    assert not any(span.events or span.status_text for span in found)


@pytest.mark.parametrize(("trusted", "continued"), [(("10.0.0.0/8",), True), ((), False), (("192.168.0.0/16",), False)])
async def test_a_trusted_callers_trace_is_continued_and_no_others(
    settings: Settings,
    services: Services,
    schema: Schema,
    collected: Collector,
    trusted: tuple[str, ...],
    continued: bool,  # noqa: FBT001 - a case
) -> None:
    networks = Settings(trace_callers=trusted).trace_callers  # type: ignore[arg-type] # it reads them
    observer = Observer(traces=OtlpTraces(collected.url, trusted=networks))
    app = make_app(settings, msgspec.structs.replace(services, observer=observer), schema=schema)
    transport = httpx.ASGITransport(app, client=("10.1.2.3", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        await client.post("/graphql", json={"query": "query Q { __typename }"}, headers=PARENT)
    observer.traces.close()
    request = next(span for span in collected.spans if span.name == "POST /graphql")
    assert (request.trace == TRACE) is continued
    assert request.parent == (SPAN if continued else "")


async def test_only_a_share_is_kept(
    settings: Settings, services: Services, schema: Schema, collected: Collector
) -> None:
    observer = Observer(traces=OtlpTraces(collected.url, share=0))
    app = make_app(settings, msgspec.structs.replace(services, observer=observer), schema=schema)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        await client.post("/graphql", json={"query": "query Q { __typename }"})
    observer.traces.close()
    assert collected.spans == []


async def test_operations_on_sockets(
    settings: Settings, make: Make, services: Services, schema: Schema, collected: Collector
) -> None:
    advisor = await make.advisor()
    async with served(make_app(settings, services, schema=schema)) as address, socket_to(address, advisor.token) as one:
        await one.subscribe("query Whoever { viewer { name } }")
        await one.next()
        await one.receive()
        await one.subscribe("subscription Follow { notifications { cursor } }", id="2")
        await asyncio.sleep(0.3)
        await one.send(type="complete", id="2")
        await asyncio.sleep(0.2)
    found = spans(services, collected)
    assert "- > query Whoever" in tree(found)
    assert "- > subscription Follow" in tree(found)
    assert "subscription Follow > select" in tree(found)


async def works(office: Office, _: UUID) -> None:
    await office.write(_counted)


async def _counted(work: object, viewer: object) -> None:
    await work.jobs.dead(viewer, UUID(int=1))  # type: ignore[attr-defined] # as a verb has it


async def test_a_job_is_a_trace_of_its_own(make: Make, services: Services, collected: Collector) -> None:
    async with services.doors.database.lend(None) as lent:
        await enqueue(lent, [Enqueued(works, (make.new_id(),))])
    assert await drained(services, (works,)) == 1
    found = spans(services, collected)
    job = next(span for span in found if span.name == "job test_traces.works")
    assert isinstance(job.facts["steward.job"], int)
    assert any(span.parent == job.id and span.name == "select" for span in found)


async def test_a_collector_that_is_gone_hinders_nobody(
    settings: Settings, database_url: str, cluster: EmbeddedServer, schema: Schema
) -> None:
    given = settings.model_copy(update={"otel_exporter_otlp_endpoint": HttpUrl("http://127.0.0.1:9")})
    async with asyncio.timeout(60), open_services(given, database_url, Path(cluster.home)) as services:
        transport = httpx.ASGITransport(make_app(given, services, schema=schema))
        async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
            answer = await client.post("/graphql", json={"query": "query Q { __typename }"})
    assert answer.status_code == 200


def test_nobody_imports_it_who_does_not_send_traces() -> None:
    code = "import sys, graph.server; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
