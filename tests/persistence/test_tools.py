"""What the assistant's tools find, on real data: all that the viewer sees and nothing else."""

import pytest

from domain.access import Role
from domain.assistant.models import Call
from domain.assistant.tools import ToolFailed
from domain.assistant.tools.registry import TOOLS, line_of, spec_of
from domain.conversations.blocks import CellKind
from domain.orders import OrderStatus
from tests.factories import people
from tests.support.inquiry import Inquiry, looked, named_in, ref, table
from tests.support.stage import Stage


@pytest.fixture
async def desk(stage: Stage) -> Inquiry:
    return await Inquiry.open(stage)


async def test_a_client_is_found_by_the_beginnings_of_words(desk: Inquiry) -> None:
    found = await desk.look("find_client", text="  rao as ")
    (fact,) = found.facts["clients"]
    assert (fact["id"], fact["name"]) == (ref("client", desk.client), desk.client.name)
    assert (fact["segment"], fact["status"], fact["kyc_status"]) == ("AFFLUENT", "ACTIVE", "VERIFIED")
    assert (fact["kyc_expires_on"], fact["book"]) == ("2030-01-01", desk.book.name)
    assert (found.facts["total"], found.facts["left_out"]) == (1, 0)
    assert found.clients == {desk.client.id}
    assert [(str(each.ref), each.name) for each in found.focus] == [(fact["id"], fact["name"])]
    assert table(found).columns[0].cells is CellKind.REF
    assert table(found).rows == (
        (fact["id"], fact["name"], "AFFLUENT", "ACTIVE", "VERIFIED", "2030-01-01", desk.book.name),
    )


async def test_of_many_clients_ten_are_told_and_the_others_counted(desk: Inquiry) -> None:
    for number in range(12):
        await desk.make.client(desk.book, name=f"Zed {number:02}")
    found = await desk.look("find_client", text="zed")
    assert [each["name"] for each in found.facts["clients"]] == [f"Zed {number:02}" for number in range(10)]
    assert (found.facts["total"], found.facts["left_out"], found.facts["more"]) == (12, 2, False)
    # Who reads how many there are learns of all of them.
    assert (len(found.clients), found.focus) == (12, ())


async def test_nobody_found_is_no_failure(desk: Inquiry) -> None:
    found = await desk.look("find_client", text="Nobody")
    assert found.facts == {"text": "Nobody", "total": 0, "left_out": 0, "more": False, "clients": []}
    assert (found.blocks, found.clients, found.focus) == ((), frozenset(), ())
    assert "word" in (await desk.failed("find_client", text="?!")).message


ABOUT_CLIENTS = ["holdings", "orders", "cash"]


@pytest.mark.parametrize("tool", ABOUT_CLIENTS)
async def test_a_client_is_meant_by_id_by_words_or_by_a_portfolio(desk: Inquiry, tool: str) -> None:
    by_id = await desk.look(tool, of=ref("client", desk.client))
    assert by_id.facts["whose"] == {
        "client": {"id": ref("client", desk.client), "name": desk.client.name},
        "portfolio": None,
    }
    assert (await desk.look(tool, of="asha rao")).facts == by_id.facts
    assert by_id.clients == {desk.client.id}
    assert [str(each.ref) for each in by_id.focus] == [ref("client", desk.client)]
    alone = await desk.look(tool, of=ref("portfolio", desk.portfolio))
    assert alone.facts["whose"]["portfolio"] == {"id": ref("portfolio", desk.portfolio), "name": desk.portfolio.name}
    assert [each.name for each in alone.focus] == [desk.portfolio.name, desk.client.name]
    assert alone.clients == {desk.client.id}


@pytest.mark.parametrize("tool", ABOUT_CLIENTS)
async def test_what_another_advisor_looks_after_does_not_exist(desk: Inquiry, tool: str) -> None:
    other = await desk.make.viewer(await desk.make.advisor(clients=1, portfolios=1))
    for of, kind in ((desk.client, "client"), (desk.portfolio, "portfolio")):
        hidden = await desk.failed(tool, other, of=ref(kind, of))
        unknown = await desk.failed(tool, other, of=f"{kind}_{'0' * 32}")
        assert hidden.message == unknown.message == f"There is no such {kind}."
    assert "no client called" in (await desk.failed(tool, other, of=desk.client.name)).message


async def test_a_search_finds_nobody_of_another_book(desk: Inquiry) -> None:
    other = await desk.make.viewer(await desk.make.advisor())
    assert (await desk.look("find_client", other, text=desk.client.name)).facts["total"] == 0
    admin = await desk.make.viewer(await desk.make.user(Role.ADMIN))
    assert (await desk.look("find_client", admin, text=desk.client.name)).clients == {desk.client.id}
    for tool in ABOUT_CLIENTS:
        assert (await desk.look(tool, admin, of=desk.client.name)).clients == {desk.client.id}


async def test_an_end_client_sees_its_own_household_alone(desk: Inquiry) -> None:
    household = await people.household(desk.make, desk.book)
    own, spouse = [
        await desk.make.client(desk.book, name=name, household_id=household.id) for name in ("Meera Own", "Hari Own")
    ]
    viewer = await desk.end_client(of=own)
    assert (await desk.look("find_client", viewer, text="own")).clients == {own.id, spouse.id}
    found = await desk.look("find_client", viewer, text="Meera")
    # Books are the firm's affair.
    assert found.facts["clients"][0]["book"] is None
    assert (await desk.look("find_client", viewer, text=desk.client.name)).facts["total"] == 0
    for tool in ABOUT_CLIENTS:
        assert (await desk.look(tool, viewer, of=ref("client", spouse))).clients == {spouse.id}
        assert (await desk.failed(tool, viewer, of=ref("client", desk.client))).message == "There is no such client."
        assert "no client called" in (await desk.failed(tool, viewer, of=desk.client.name)).message


@pytest.mark.parametrize("tool", ["holdings", "cash"])
async def test_without_saying_whose_it_is_the_end_clients_own(desk: Inquiry, tool: str) -> None:
    alone = await desk.end_client(of=desk.client)
    assert (await desk.look(tool, alone)).clients == {desk.client.id}
    assert "Say whose" in (await desk.failed(tool)).message
    household = await people.household(desk.make, desk.book)
    several = [await desk.make.client(desk.book, household_id=household.id) for _ in range(2)]
    failed = await desk.failed(tool, await desk.end_client(of=several[0]))
    assert failed.clients == {each.id for each in several}


async def test_who_fits_several_is_asked_back_with_their_names(desk: Inquiry) -> None:
    prefix = f"Twin{next(desk.make.numbers)}"
    anna, annabel = [await desk.make.client(desk.book, name=f"{prefix} {name}") for name in ("Anna", "Annabel")]
    failed = await desk.failed("cash", of=prefix)
    assert failed.clients == {anna.id, annabel.id}
    assert f"{anna.name} ({ref('client', anna)}); {annabel.name}" in failed.message
    # Whose name begins that of another can be named all the same.
    assert (await desk.look("cash", of=f"{prefix} anna")).clients == {anna.id}
    for number in range(11):
        await desk.make.client(desk.book, name=f"{prefix} {number}")
    many = await desk.failed("cash", of=prefix)
    assert len(many.clients) == 13
    assert len(named_in(many.message)) == 10
    assert "and 3 more" in many.message


async def test_an_id_of_something_else_is_told_as_such(desk: Inquiry) -> None:
    share = await desk.share()
    assert "something else" in (await desk.failed("holdings", of=ref("instrument", share))).message
    assert "something else" in (await desk.failed("prices", instrument=ref("client", desk.client))).message


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("no_tool", "{}", "find_client, holdings"),
        ("find_client", "{}", "missing required field `text`"),
        ("find_client", '{"text": ""}', "length"),
        ("find_client", '{"text": 5}', "Expected `str`"),
        ("find_client", '{"text": "x", "limit": 3}', "unknown field `limit`"),
        ("find_client", '{"text": "x"', "not valid JSON"),
        ("find_client", "text = x", "not valid JSON"),
        ("find_client", '{"text": "\\ud800"}', "not valid JSON"),
        ("find_client", '{"text": "\ud800"}', "not valid JSON"),
        ("find_client", "[" * 100_000, "schema"),
        ("holdings", '["client_1"]', "Expected `object`"),
        ("holdings", f'{{"of": "{"x" * 201}"}}', "length"),
        ("orders", '{"statuses": ["OPEN"]}', "Invalid enum value 'OPEN'"),
        ("orders", '{"most": 51}', "<= 50"),
        ("orders", '{"most": 1e400}', "$.most"),
        ("prices", '{"instrument": "x", "days": 0}', ">= 1"),
    ],
)
async def test_what_a_model_gets_wrong_is_told_to_it(desk: Inquiry, name: str, arguments: str, said: str) -> None:
    with pytest.raises(ToolFailed) as failed:
        await looked(desk.stage, desk.viewer, name, arguments)
    assert said in failed.value.message
    with pytest.raises(ToolFailed):
        line_of(Call("call_1", name, arguments))


async def test_no_arguments_may_be_no_text(desk: Inquiry) -> None:
    assert (await looked(desk.stage, desk.viewer, "orders", "")).facts["total"] == 0


def test_a_tool_is_described_by_one_schema_that_stands_alone() -> None:
    for tool in TOOLS:
        spec = spec_of(tool)
        assert (spec.name, spec.description) == (tool.name, tool.description)
        assert "$ref" not in str(spec.schema)
        assert "$defs" not in spec.schema
        assert (spec.schema["type"], spec.schema["additionalProperties"]) == ("object", False)
        assert all(each["description"] for each in spec.schema["properties"].values())
    statuses = spec_of(TOOLS[2]).schema["properties"]["statuses"]
    assert "description" not in statuses["items"]
    assert set(statuses["items"]["enum"]) == {status.value for status in OrderStatus}


def test_what_is_looked_up_is_said_in_words_and_without_ids() -> None:
    def said(name: str, arguments: str) -> str:
        return line_of(Call("call_1", name, arguments))

    assert said("find_client", '{"text": "Rao"}') == "Looking for the client Rao"
    assert said("holdings", '{"of": "Asha Rao"}') == "Looking up the holdings of Asha Rao"
    assert said("cash", f'{{"of": "client_{"0" * 32}"}}') == "Looking up the cash"
    assert said("orders", "{}") == "Looking up the orders"
    assert said("prices", '{"instrument": "TCS"}') == "Looking up the prices of TCS"
