import asyncio
import io
import logging
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from graphql import OperationDefinitionNode, parse

from domain.access import Role
from domain.jobs import Office
from graph.context import Services
from graph.logs import MOMENT, MOST_WAITING, LogFormat, LogLevel, formatter, log_info, set_up
from graph.running import Running, current, running
from persistence.jobs import Enqueued, enqueue
from tests.factories.firm import PASSWORD, Make
from tests.support.gql import Gql
from tests.support.lines import Lines, logged
from tests.support.served import Served, socket_to
from tests.support.worker import drained

VIEWER = "query WhoAmI { viewer { name } }"
CREATE = """mutation NewClient($input: CreateClientInput!) {
    createClient(input: $input) { client { id } userErrors { code } }
}"""


@pytest.fixture
def lines() -> Iterator[Lines]:
    with logged() as collected:
        yield collected


async def test_an_operation_has_one_line_that_finds_it(gql: Gql, make: Make, lines: Lines) -> None:
    advisor = await make.advisor()
    await gql.as_(advisor).run(VIEWER)
    (line,) = lines.operations
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("time"))
    assert line.pop("ms") > 0
    assert line.pop("cost") > 0
    assert re.fullmatch("[0-9a-f]{32}", line.pop("request_id"))
    assert line == {
        "level": "info",
        "logger": "steward.access",
        "message": "operation",
        "operation": "WhoAmI",
        "type": "query",
        "method": "POST",
        "status": 200,
        "statements": line["statements"],
        "viewer": str(advisor.user.id),
    }
    assert line["statements"] >= 1


async def test_the_request_id_of_the_line_is_that_of_the_answer(gql: Gql, lines: Lines) -> None:
    response = await gql.client.post("/graphql", json={"query": VIEWER}, headers={"x-request-id": "from-outside-7"})
    (line,) = lines.operations
    assert response.headers["x-request-id"] == line["request_id"] == "from-outside-7"
    assert line["codes"] == ["UNAUTHENTICATED"]
    assert "viewer" not in line


async def test_a_line_holds_neither_variables_nor_names_nor_tokens(gql: Gql, make: Make, lines: Lines) -> None:
    advisor = await make.advisor()
    assert advisor.book
    details = {"name": "Zyxwvut Qponm", "email": "zyx@example.org", "taxId": "ZYXWV1234Q"}
    given = {"bookId": f"book_{advisor.book.id.hex}", "kind": "INDIVIDUAL", "details": details}
    await gql.as_(advisor).run(CREATE, input=given)
    document = """mutation SignIn($input: SignInInput!) { signIn(input: $input) { session { accessToken } } }"""
    answer = await gql.run(document, input={"email": advisor.user.email, "password": PASSWORD})
    assert [line["operation"] for line in lines.operations] == ["NewClient", "SignIn"]
    for word in ("Zyxwvut", "zyx@", "ZYXWV1234Q", PASSWORD, advisor.user.email, advisor.user.name, advisor.token):
        assert word not in lines.text
    assert answer["signIn"]["session"]["accessToken"] not in lines.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"nonsense", 400, "VALIDATION_ERROR"), (b'{"query": "{ nothing }"}', 200, "VALIDATION_ERROR")],
)
async def test_what_was_turned_away_has_its_line_too(
    gql: Gql, lines: Lines, body: bytes, status: int, code: str
) -> None:
    await gql.client.post("/graphql", content=body, headers={"content-type": "application/json"})
    (line,) = lines.operations
    assert (line["status"], line["codes"]) == (status, [code])


async def test_probes_of_balancers_fill_no_log(gql: Gql, lines: Lines) -> None:
    assert (await gql.client.get("/healthz")).status_code == 200
    assert (await gql.client.get("/readyz")).status_code == 200
    assert lines.operations == []


async def test_each_operation_of_a_socket_has_its_line(make: Make, live: Served, lines: Lines) -> None:
    advisor = await make.advisor()
    follow = "subscription Follow { notifications { cursor } }"
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(VIEWER, id="a")
        await socket.next()
        await socket.receive()
        await socket.subscribe(follow, id="b")
        await asyncio.sleep(0.3)
        await socket.send(type="complete", id="b")
        await asyncio.sleep(0.1)
        await socket.subscribe("query Broken { nothing }", id="c")
        assert (await socket.receive())["type"] == "error"
    told = [(line["operation"], line["type"], line.get("codes"), line.get("events")) for line in lines.operations]
    assert told == [
        ("WhoAmI", "query", None, None),
        ("Follow", "subscription", None, 0),
        ("Broken", "query", ["VALIDATION_ERROR"], None),
    ]
    # All of them are of one socket, which has one id.
    assert len({line["request_id"] for line in lines.operations}) == 1
    assert {line["viewer"] for line in lines.operations[:2]} == {str(advisor.user.id)}


async def test_what_goes_wrong_within_a_request_names_it(
    gql: Gql, make: Make, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    advisor = await make.advisor()

    async def broken(*_: Any) -> None:
        raise RuntimeError(f"no mail for {advisor.user.email} with Bearer {advisor.token}")

    monkeypatch.setattr("graph.context.Context.read_columns", broken)
    answer = await gql.as_(advisor).ask("query Broken { clients { nodes { id } } }")
    assert answer.codes == ["INTERNAL"]
    (line,) = lines.of("graph.errors")
    assert line["level"] == "error"
    assert (line["operation"], line["viewer"]) == ("Broken", str(advisor.user.id))
    assert line["request_id"] == answer["errors"][0]["extensions"]["requestId"]
    assert "RuntimeError: no mail for [masked] with Bearer [masked]" in line["exception"]
    assert advisor.user.email not in lines.text
    assert advisor.token not in lines.text


async def asked(_: Office, subject: UUID) -> None:
    logging.getLogger("steward.test").warning("about %s", subject)


async def test_a_job_names_itself(make: Make, services: Services, lines: Lines) -> None:
    subject = make.new_id()
    async with services.doors.database.lend(None) as lent:
        await enqueue(lent, [Enqueued(asked, (subject,))])
    assert await drained(services, (asked,)) == 1
    (line,) = lines.of("steward.test")
    assert line["job"] == "test_logs.asked"
    assert re.fullmatch(r"job \d+", line["request_id"])
    assert str(subject) in line["message"]


async def test_two_requests_at_once_do_not_take_each_others_lines(gql: Gql, make: Make, lines: Lines) -> None:
    advisors = [await make.advisor(clients=1) for _ in range(4)]
    queries = [f"query Of{at} {{ clients {{ nodes {{ name }} }} }}" for at in range(4)]
    await asyncio.gather(*(gql.as_(each).run(query) for each, query in zip(advisors, queries, strict=True)))
    told = {line["operation"]: (line["viewer"], line["statements"]) for line in lines.operations}
    assert told == {f"Of{at}": (str(each.user.id), told["Of0"][1]) for at, each in enumerate(advisors)}
    assert running() is None


def test_text_is_for_people_and_one_line_stays_one() -> None:
    record = logging.LogRecord("steward.jobs", logging.WARNING, __file__, 1, "forged\n%s", ("INFO all is well",), None)
    with current(Running("r1")):
        text = formatter(LogFormat.TEXT).format(record)
    assert re.fullmatch(r"\S+Z WARNING steward\.jobs: forged\\nINFO all is well request_id=r1", text)


def test_levels_and_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    before = root.level
    handler = set_up(LogFormat.JSON, LogLevel.WARNING, stream)
    try:
        again = set_up(LogFormat.JSON, LogLevel.INFO, stream)
        assert handler not in root.handlers
        for name in ("alembic.runtime.migration", "httpx"):
            logging.getLogger(name).info("talk")
            logging.getLogger(name).warning("trouble for asha@example.org", extra={"color_message": "x"})
        logging.getLogger("steward.any").info("told")
        logging.getLogger("steward.any").debug("not told")
    finally:
        root.removeHandler(again)
        root.setLevel(before)
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [
        *((name, "trouble for [masked]") for name in ("alembic.runtime.migration", "httpx")),
        ("steward.any", "told"),
    ]
    assert capsys.readouterr().out == ""


async def test_lines_of_a_moment_are_written_at_once_and_trouble_without_delay() -> None:
    stream, root = Writes(), logging.getLogger()
    before = root.level
    handler = set_up(LogFormat.TEXT, LogLevel.INFO, stream)
    try:
        for number in range(3):
            logging.getLogger("steward.any").info("line %s", number)
        assert stream.written == []
        await asyncio.sleep(MOMENT * 3)
        assert [text.count("line") for text in stream.written] == [3]
        logging.getLogger("steward.any").info("before")
        logging.getLogger("steward.any").warning("trouble")
        assert [text.count("\n") for text in stream.written] == [3, 2]
        logging.getLogger("steward.any").info("last")
        handler.flush()
        assert "last" in stream.written[-1]
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


async def test_only_so_many_lines_wait() -> None:
    stream, root = Writes(), logging.getLogger()
    before = root.level
    handler = set_up(LogFormat.TEXT, LogLevel.INFO, stream)
    try:
        for number in range(2 * MOST_WAITING + 1):
            logging.getLogger("steward.any").info("line %s", number)
        assert [text.count("\n") for text in stream.written] == [MOST_WAITING, MOST_WAITING]
        await asyncio.sleep(MOMENT * 3)
        assert stream.written[-1].endswith(f"line {2 * MOST_WAITING}\n")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


async def test_threads_may_write_while_lines_wait_and_no_stream_fails_whoever_logs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream, root = Writes(), logging.getLogger()
    before = root.level
    handler = set_up(LogFormat.TEXT, LogLevel.INFO, stream)
    try:
        logging.getLogger("steward.any").info("waits")
        await asyncio.to_thread(logging.getLogger("steward.any").info, "of a thread")
        assert [text.count("\n") for text in stream.written] == [2]
        await asyncio.sleep(MOMENT * 2)
        stream.broken = True
        for gravity in (logging.INFO, logging.ERROR):
            logging.getLogger("steward.any").log(gravity, "nobody hears this")
        logging.getLogger("steward.any").info("nor this")
        await asyncio.sleep(MOMENT * 2)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert "BrokenPipeError" in capsys.readouterr().err


async def test_a_line_that_is_made_later_tells_of_when_it_was_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, logger = Writes(), logging.getLogger("steward.access")
    monkeypatch.setattr(logging.getLogger(), "handlers", [set_up(LogFormat.JSON, LogLevel.INFO, stream)])
    made = Running("first")
    with current(made):
        log_info(logger, "operation", {"status": 200}, {"ms": 1.5})
        began = time.time()
        made.viewer, made.request_id = UUID(int=7), "later"
    with current(Running("second")):
        # Which nobody can render.
        log_info(logger, "operation", {"status": []}, {"ms": 1.5})
        log_info(logger, "operation", {"status": 500}, {"ms": 1.5})
    logger.info("a record")
    await asyncio.sleep(MOMENT * 3)
    first, second, record = map(msgspec.json.decode, "".join(stream.written).splitlines())
    assert (first["request_id"], first["status"], "viewer" in first) == ("first", 200, False)
    assert abs(datetime.fromisoformat(first["time"]).timestamp() - began) < MOMENT / 2
    assert (second["request_id"], second["status"], record["message"]) == ("second", 500, "a record")
    assert "unhashable" in capsys.readouterr().err


class Writes(io.StringIO):
    """A stream that remembers what was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.broken = False

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError
        self.written.append(text)
        return len(text)


@pytest.mark.parametrize("role", [Role.ADMIN])
async def test_nothing_is_written_where_the_level_does_not_ask_for_it(gql: Gql, make: Make, role: Role) -> None:
    with logged(logging.WARNING) as lines:
        await gql.as_(await make.user(role)).run(VIEWER)
    assert lines.all == []


ODD_FACTS: dict[str, Any] = {"method": "POST", "status": 200, "codes": ("NOT_FOUND", "INTERNAL"), "type": "query"}


@pytest.mark.parametrize("form", list(LogFormat))
@pytest.mark.parametrize(
    ("request_id", "name", "facts"),
    [
        ("0123456789abcdef0123456789abcdef", "Clients", {"status": 200, "statements": 3, "cost": 7}),
        ("from-outside-7", None, ODD_FACTS),
        # Whatever a client chooses may be somebody's.
        ("ABCDE1234F", "ABCDE1234F", {"status": 200}),
        ("91-98765-43210", "stw_0123456789", {"codes": ("a@b.example",)}),
    ],
)
def test_a_line_that_goes_straight_says_what_the_librarys_says(
    form: LogFormat, request_id: str, name: str | None, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, measured, root = Running(request_id), {"ms": 4.2}, logging.getLogger()
    running.viewer = UUID(int=7)
    if name:
        running.runs(cast("OperationDefinitionNode", parse(f"query {name} {{ a }}").definitions[0]), "query")
    written = []
    for straight in (True, False):
        stream = io.StringIO()
        handler = set_up(form, LogLevel.INFO, stream)
        monkeypatch.setattr(root, "handlers", [handler] if straight else [handler, logging.NullHandler()])
        with current(running):
            for _ in range(2):
                log_info(logging.getLogger("steward.access"), "operation", facts, measured)
        handler.flush()
        written.append([told(line, form) for line in stream.getvalue().splitlines()])
    assert written[0] == written[1]
    assert len(written[0]) == 2
    assert "98765" not in str(written)
    assert "ABCDE" not in str(written)


def told(line: str, form: LogFormat) -> Any:
    """What a line says, but for its moment."""
    if form is LogFormat.TEXT:
        return line.partition(" ")[2]
    said = msgspec.json.decode(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", said.pop("time"))
    return said


def test_who_else_listens_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[logging.LogRecord] = []
    listener, root = logging.Handler(), logging.getLogger()
    listener.emit = records.append  # type: ignore[method-assign, assignment] # remembers
    monkeypatch.setattr(root, "handlers", [set_up(LogFormat.JSON, LogLevel.INFO, io.StringIO()), listener])
    log_info(logging.getLogger("steward.access"), "operation", {"status": 200}, {"ms": 1.0})
    (record,) = records
    assert (record.getMessage(), vars(record)["status"], vars(record)["ms"]) == ("operation", 200, 1.0)
