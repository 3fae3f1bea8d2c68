"""The embedded model and the tools together: from a question to an answer of real data."""

from decimal import Decimal

import msgspec
import pytest

from domain.assistant.models import Ask, Call, Focus, Line, Speaker, Text
from domain.assistant.models.embedded import EmbeddedModel
from domain.assistant.tools import ToolFailed
from domain.assistant.tools.registry import TOOLS, look_up, spec_of
from domain.refs import Ref
from tests.factories import ledger, trading
from tests.support.inquiry import Inquiry
from tests.support.stage import Stage

SPECS = tuple(spec_of(tool) for tool in TOOLS)


@pytest.fixture
async def desk(stage: Stage) -> Inquiry:
    return await Inquiry.open(stage)


async def found(desk: Inquiry, call: Call) -> Line:
    try:
        facts = (await desk.stage.services.doors.write(desk.viewer, "request", look_up, desk.viewer, call)).facts
        text = msgspec.json.encode(facts).decode()
    except ToolFailed as failed:
        text = failed.message
    return Line(Speaker.TOOL, text, call_id=call.id)


async def answer(desk: Inquiry, question: str, *focus: Focus) -> str:
    """As a run does it: whatever the model calls is looked up, until it answers."""
    lines = [Line(Speaker.USER, question)]
    for _ in range(4):
        ask = Ask(tuple(lines), SPECS, focus=focus, today=desk.today)
        pieces = [piece async for piece in EmbeddedModel().answer(ask)]
        calls = tuple(piece for piece in pieces if isinstance(piece, Call))
        if not calls:
            return "".join(piece.text for piece in pieces if isinstance(piece, Text))
        lines += [Line(Speaker.ASSISTANT, "", calls), *[await found(desk, call) for call in calls]]
    raise AssertionError("it never comes to an answer")


async def test_all_that_can_be_asked_of_a_client_is_answered(desk: Inquiry) -> None:
    share = await desk.share("250")
    await ledger.position(desk.make, desk.portfolio, share, "12")
    await ledger.deposit(desk.make, desk.portfolio, desk.advisor.user, "123456.50")
    await trading.order(desk.make, desk.portfolio, share, desk.advisor.user, limit_price=Decimal("240.5"))
    name = desk.client.name
    holdings = await answer(desk, f"What are {name}'s holdings?")
    assert f"**{name}** holds 1 position, worth **₹3,000.00** in total" in holdings
    assert f"**{share.symbol}** ({share.name}): 12 units worth ₹3,000.00, 100.0 %" in holdings
    assert "**₹1,23,456.50** in cash" in await answer(desk, f"How much cash does {name} have?")
    orders = await answer(desk, "Show the pending orders", Focus(Ref("client", desk.client.id), name))
    assert orders.startswith(f"There is 1 open order of **{name}**")
    assert f"Buy 1 **{share.symbol}** at ₹240.50 or better" in orders
    assert "last closed at **₹250.00**" in await answer(desk, f"price of {share.symbol}")
    assert f"**{name}** is an active affluent client" in await answer(desk, f"Who is {name}?")


async def test_what_the_user_does_not_see_is_not_found(desk: Inquiry) -> None:
    stranger = await desk.make.client(await desk.make.book(), name=f"Stranger{next(desk.make.numbers)}")
    nothing = f"I find no client called “{stranger.name}”"
    assert (await answer(desk, f"What does {stranger.name} own?")).startswith(nothing)
    assert await answer(desk, f"cash of {Ref('client', stranger.id)}") == "There is no such client."
    assert "Say whose it is" in await answer(desk, "What do I hold?")
