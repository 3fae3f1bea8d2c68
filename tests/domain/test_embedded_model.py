from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assistant.models import Ask, Call, Focus, Line, ModelRefused, Piece, Speaker, Spent, Text
from domain.assistant.models.embedded import EmbeddedModel
from domain.assistant.models.shapes import ConversationTitle
from domain.assistant.tools.registry import TOOLS, spec_of
from domain.refs import Ref
from tests.strategies import STEADY

SPECS = tuple(spec_of(tool) for tool in TOOLS)
ASHA = Ref("client", UUID("0192f000-0000-7000-8000-00000000000a"))
VIKRAM = Ref("client", UUID("0192f000-0000-7000-8000-00000000000b"))
GROWTH = Ref("portfolio", UUID("0192f000-0000-7000-8000-00000000000c"))
TCS = Ref("instrument", UUID("0192f000-0000-7000-8000-00000000000d"))
ON_ASHA = (Focus(ASHA, "Asha Rao"),)
ON_VIKRAM = Focus(VIKRAM, "Vikram Shah")

Wish = tuple[str, dict[str, Any]]


def user(text: str) -> Line:
    return Line(Speaker.USER, text)


def asking(*lines: Line, focus: tuple[Focus, ...] = (), **given: Any) -> Ask:
    return msgspec.structs.replace(Ask(lines, SPECS, focus=focus, today=date(2026, 11, 20)), **given)


async def pieces(ask: Ask) -> list[Piece]:
    return [piece async for piece in EmbeddedModel().answer(ask)]


async def said(ask: Ask) -> str:
    return "".join(piece.text for piece in await pieces(ask) if isinstance(piece, Text))


async def wished(ask: Ask) -> list[Wish]:
    calls = [piece for piece in await pieces(ask) if isinstance(piece, Call)]
    assert len({call.id for call in calls}) == len(calls)
    return [(call.name, msgspec.json.decode(call.arguments)) for call in calls]


def answered(*told: tuple[str, dict[str, Any], dict[str, Any] | str], at: int = 1) -> list[Line]:
    """The lines of some calls and of what they have come to."""
    calls = tuple(
        Call(f"call_{number}", name, msgspec.json.encode(arguments).decode())
        for number, (name, arguments, _) in enumerate(told, at)
    )
    texts = [facts if isinstance(facts, str) else msgspec.json.encode(facts).decode() for _, _, facts in told]
    results = [Line(Speaker.TOOL, text, call_id=call.id) for call, text in zip(calls, texts, strict=True)]
    return [Line(Speaker.ASSISTANT, "", calls), *results]


def client(ref: Ref, name: str, **given: Any) -> dict[str, Any]:
    return {
        "id": str(ref),
        "name": name,
        "kind": "INDIVIDUAL",
        "segment": "UHNI",
        "status": "ACTIVE",
        "kyc_status": "VERIFIED",
        "kyc_expires_on": "2030-01-01",
        "risk_profile": "MODERATE",
        "currency": "INR",
        "book": "South",
        **given,
    }


def clients(text: str, *found: dict[str, Any], left_out: int = 0) -> dict[str, Any]:
    return {"text": text, "total": len(found) + left_out, "left_out": left_out, "more": False, "clients": list(found)}


WHOSE = {"client": {"id": str(ASHA), "name": "Asha Rao"}, "portfolio": None}
FIND_ASHA: Wish = ("find_client", {"text": "Asha Rao"})


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What are the holdings of this client?", [("holdings", {"of": str(ASHA)})]),
        ("How is his portfolio doing?", [("holdings", {"of": str(ASHA)})]),
        ("where is she invested", [("holdings", {"of": str(ASHA)})]),
        ("Which stocks does she own?", [("holdings", {"of": str(ASHA)})]),
        ("How much cash is there?", [("cash", {"of": str(ASHA)})]),
        ("what is their BALANCE", [("cash", {"of": str(ASHA)})]),
        ("How liquid is she?", [("cash", {"of": str(ASHA)})]),
        ("What has he bought or sold lately?", [("orders", {"of": str(ASHA)})]),
        ("Show me the pending orders", [("orders", {"of": str(ASHA), "open_only": True})]),
        ("Any cancelled orders?", [("orders", {"of": str(ASHA), "statuses": ["CANCELLED"]})]),
        ("Which orders await approval?", [("orders", {"of": str(ASHA), "statuses": ["PENDING_APPROVAL"]})]),
        ("Show my open orders", [("orders", {"open_only": True})]),
        ("List the orders that I have placed", [("orders", {})]),
        ("Price of HDFC Bank?", [("prices", {"instrument": "HDFC Bank"})]),
        ("What is Reliance trading at?", [("prices", {"instrument": "Reliance"})]),
        ("quote for tcs please", [("prices", {"instrument": "tcs"})]),
        ("What is the worth and price of INFY?", [("prices", {"instrument": "INFY"})]),
        (f"price of {TCS}", [("prices", {"instrument": str(TCS)})]),
        ("Find client Rao", [("find_client", {"text": "Rao"})]),
        ("who is asha rao?", [("find_client", {"text": "asha rao"})]),
        ("Look up “asha”", [("find_client", {"text": "asha"})]),
        ("Asha Rao", [FIND_ASHA]),
        ("Show Asha Rao", [FIND_ASHA]),
        # Whoever is named comes before whoever is looked at.
        ("Show me Asha Rao's holdings", [FIND_ASHA]),
        ("what does asha rao own?", [("find_client", {"text": "asha rao"})]),
        ("How is Asha Rao’s portfolio invested?", [FIND_ASHA]),
        ("Cash of 'Asha Rao'", [FIND_ASHA]),
        ("Holdings of Sachin More", [("find_client", {"text": "Sachin More"})]),
        ("Orders of Rao & Sons", [("find_client", {"text": "Rao Sons"})]),
        (
            "Compare the holdings of Asha Rao and Vikram Shah",
            [FIND_ASHA, ("find_client", {"text": "Vikram Shah"})],
        ),
        (f"cash of {VIKRAM}", [("cash", {"of": str(VIKRAM)})]),
        (f"What does {GROWTH} hold?", [("holdings", {"of": str(GROWTH)})]),
        # Several things at once.
        (
            "What are her holdings, her cash and her open orders?",
            [
                ("holdings", {"of": str(ASHA)}),
                ("cash", {"of": str(ASHA)}),
                ("orders", {"of": str(ASHA), "open_only": True}),
            ],
        ),
        ("Her cash and the price of INFY", [("cash", {"of": str(ASHA)}), ("prices", {"instrument": "INFY"})]),
        ("My cash and the INFY price", [("cash", {"of": str(ASHA)}), ("prices", {"instrument": "INFY"})]),
        (
            "Show the price of INFY and the holdings of Vikram Shah",
            [("find_client", {"text": "Vikram Shah"}), ("prices", {"instrument": "INFY"})],
        ),
        ("Did the orders close for Asha Rao?", [FIND_ASHA]),
        ("Holdings of “new share trust”", [("find_client", {"text": "new share trust"})]),
        ("Cash of:\nAsha Rao\nVikram Shah", [FIND_ASHA, ("find_client", {"text": "Vikram Shah"})]),
        # None of these is for a tool.
        ("Hello!", []),
        ("Thanks a lot", []),
        ("What can you do?", []),
        ("What is the weather in Mumbai?", []),
        ("Tell me a joke", []),
        ("", []),
        ("???", []),
    ],
)
async def test_a_question_calls_the_tools_that_it_asks_for(question: str, expected: list[Wish]) -> None:
    assert await wished(asking(user(question), focus=ON_ASHA)) == expected


@pytest.mark.parametrize(
    ("question", "focus", "expected"),
    [
        ("What does he hold?", (Focus(GROWTH, "Growth"), *ON_ASHA), [("holdings", {"of": str(GROWTH)})]),
        ("What is its price?", (*ON_ASHA, Focus(TCS, "TCS")), [("prices", {"instrument": str(TCS)})]),
        ("What do I hold?", (), [("holdings", {})]),
        ("my cash", (), [("cash", {})]),
        ("my pending orders", (), [("orders", {"open_only": True})]),
        ("Is she trading much?", (*ON_ASHA, Focus(TCS, "TCS")), []),
        ("What is its price?", ON_ASHA, []),
    ],
)
async def test_what_is_meant_is_what_the_user_looks_at(
    question: str, focus: tuple[Focus, ...], expected: list[Wish]
) -> None:
    assert await wished(asking(user(question), focus=focus)) == expected


async def test_a_client_that_was_found_leads_to_what_is_wanted_of_it() -> None:
    question = user("What are Asha Rao's holdings and cash?")
    found = answered((*FIND_ASHA, clients("Asha Rao", client(ASHA, "Asha Rao"))))
    ask = asking(question, *found, focus=(Focus(VIKRAM, "Vikram Shah"),))
    assert await wished(ask) == [("holdings", {"of": str(ASHA)}), ("cash", {"of": str(ASHA)})]
    assert await said(ask) == ""


async def test_of_several_clients_the_one_of_this_very_name_is_meant() -> None:
    found = clients("Asha Rao", client(VIKRAM, "Asha Raote"), client(ASHA, "Asha Rao"))
    ask = asking(user("Asha Rao's cash"), *answered((*FIND_ASHA, found)))
    assert await wished(ask) == [("cash", {"of": str(ASHA)})]


async def test_what_another_model_has_begun_is_gone_on_with() -> None:
    question = user("How much cash does Asha Rao have?")
    searched = answered(("find_client", {"text": "Rao, Asha"}, clients("Rao, Asha", client(ASHA, "Asha Rao"))))
    assert await wished(asking(question, *searched)) == [("cash", {"of": str(ASHA)})]
    looked = answered(("cash", {"of": "Asha Rao"}, CASH), at=2)
    ask = asking(question, *searched, *looked)
    assert await wished(ask) == []
    assert "₹1,23,456.50" in await said(ask)


async def test_nobody_is_searched_for_where_no_search_is_offered() -> None:
    tools = tuple(spec for spec in SPECS if spec.name == "cash")
    assert await wished(asking(user("cash of Asha Rao"), tools=tools)) == [("cash", {"of": "Asha Rao"})]
    assert await wished(asking(user("holdings of Asha Rao"), tools=tools)) == []


@pytest.mark.parametrize("follow_up", ["And Vikram Shah?", "What about Vikram Shah?", "the same for Vikram Shah"])
async def test_a_further_name_asks_for_the_same(follow_up: str) -> None:
    before = [user("Open orders of Asha Rao"), Line(Speaker.ASSISTANT, "There are none.")]
    search: Wish = ("find_client", {"text": "Vikram Shah"})
    assert await wished(asking(*before, user(follow_up))) == [search]
    found = answered((*search, clients("Vikram Shah", client(VIKRAM, "Vikram Shah"))))
    expected = [("orders", {"of": str(VIKRAM), "open_only": True})]
    assert await wished(asking(*before, user(follow_up), *found)) == expected


async def test_a_further_instrument_asks_for_its_price() -> None:
    lines = [user("Price of TCS"), Line(Speaker.ASSISTANT, "…"), user("and INFY?")]
    assert await wished(asking(*lines)) == [("prices", {"instrument": "INFY"})]


HOLDINGS = {
    "whose": WHOSE,
    "portfolios": [{"id": str(GROWTH), "name": "Growth"}],
    "as_of": "2026-11-20",
    "currency": "INR",
    "value": "352000.00",
    "cash": "32000.00",
    "invested": "230000.00",
    "unrealised_gain": "90000.00",
    "prices_as_of": "2026-11-18",
    "rates_as_of": "2026-11-17",
    "missing_prices": [],
    "missing_rates": [],
    "by_asset_class": [],
    "positions": [
        {
            "id": str(TCS),
            "symbol": symbol,
            "name": name,
            "quantity": "1000.5",
            "currency": "INR",
            "average_cost": "1",
            "price": "1",
            "priced_on": "2026-11-18",
            "market_value": value,
            "market_value_base": value,
            "fx_on": None,
            "unrealised_gain_base": None,
            "weight": weight,
        }
        for symbol, name, value, weight in [
            ("HDFCBANK", "HDFC Bank", "160000.00", "0.4545454545"),
            ("AAPL", "Apple [x](y)", None, None),
        ]
    ],
    "left_out": 7,
}
BALANCE = {"portfolio": None, "currency": "INR", "settled": "123456.50", "unsettled": "0.00", "reserved": "0.00"}
CASH = {
    "whose": WHOSE,
    "as_of": "2026-11-20",
    "totals": [{**BALANCE, "total": "123456.50", "available": "123456.50"}],
    "balances": [],
    "left_out": 0,
}
PRICES = {
    "instrument": {"id": str(TCS), "name": "Tata Consultancy"},
    "symbol": "TCS",
    "isin": "INE467B01029",
    "exchange": "XNSE",
    "status": "ACTIVE",
    "currency": "INR",
    "last": {"on": "2026-11-20", "close": "3456.7"},
    "change": "-43.3",
    "change_fraction": "-0.0123714286",
    "closes": [{"on": "2026-11-19", "close": "3500"}, {"on": "2026-11-20", "close": "3456.7"}],
    "left_out": 0,
}
ORDER = {
    "id": "order_1",
    "client": {"id": str(ASHA), "name": "Asha Rao"},
    "portfolio": {"id": str(GROWTH), "name": "Growth"},
    "side": "BUY",
    "symbol": "TCS",
    "instrument": "Tata Consultancy",
    "kind": "LIMIT",
    "quantity": "1200",
    "amount": None,
    "limit_price": "3400.05",
    "currency": "INR",
    "notional": "4080060.00",
    "status": "PARTIALLY_FILLED",
    "filled_quantity": "10",
    "average_price": "3400",
    "placed_at": "2026-11-20T05:00:00Z",
    "trades_on": "2026-11-20",
}


def orders(*found: dict[str, Any], **given: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "whose": None,
        "statuses": [],
        "open_only": False,
        "total": len(found),
        "left_out": 0,
        "more": False,
    }
    return {**facts, "orders": list(found), **given}


async def told(question: str, name: str, facts: dict[str, Any] | str, **given: Any) -> str:
    """The answer once the only tool that the question wants was called."""
    ((wanted, arguments),) = await wished(asking(user(question), focus=ON_ASHA))
    assert wanted == name
    return await said(asking(user(question), *answered((name, arguments, facts)), focus=ON_ASHA, **given))


async def test_holdings_are_told_with_the_total_and_the_largest() -> None:
    answer = await told("her holdings", "holdings", HOLDINGS)
    assert "**Asha Rao** holds 9 positions, worth **₹3,52,000.00** in total" in answer
    assert "₹32,000.00 is cash" in answer
    assert "unrealised gain is ₹90,000.00" in answer
    assert "- **HDFCBANK** (HDFC Bank): 1,000.5 units worth ₹1,60,000.00, 45.5 %" in answer
    # Names are no Markdown, whatever they hold.
    assert r"- **AAPL** (Apple \[x\](y)): 1,000.5 units of unknown value" in answer
    assert "and 7 further positions." in answer
    assert "The oldest price is from 18 November 2026, the oldest exchange rate from 17 November 2026." in answer


async def test_money_is_told_in_the_locale_of_the_user() -> None:
    assert "₹123,456.50" in await told("her cash", "cash", CASH, locale="en_US")
    assert "₹1,23,456.50" in await told("her cash", "cash", CASH)


async def test_what_is_not_known_is_said_and_not_guessed() -> None:
    missing = {"value": None, "cash": None, "unrealised_gain": None, "rates_as_of": None}
    facts = {**HOLDINGS, **missing, "missing_prices": ["AAPL"], "missing_rates": ["INR", "SGD"]}
    answer = await told("her holdings", "holdings", facts)
    assert "not known: there is no price for AAPL and there is no exchange rate for INR and SGD." in answer
    assert "worth **" not in answer


async def test_empty_holdings_are_told_with_their_cash() -> None:
    answer = await told("her holdings", "holdings", {**HOLDINGS, "positions": [], "left_out": 0})
    assert answer == "**Asha Rao** holds no positions. There is ₹32,000.00 in cash."


async def test_cash_is_told_by_currency() -> None:
    assert await told("her cash", "cash", CASH) == (
        "**Asha Rao** has **₹1,23,456.50** in cash, as of 20 November 2026."
    )
    dollars = {"currency": "USD", "settled": "50.00", "unsettled": "-20.00", "total": "30.00"}
    both = [*CASH["totals"], {**BALANCE, **dollars, "reserved": "10.00", "available": "20.00"}]  # type: ignore[misc]
    answer = await told("her cash", "cash", {**CASH, "totals": both})
    assert "- INR: **₹1,23,456.50** in cash\n" in answer
    assert "- USD: **$30.00** in cash (-$20.00 not yet settled; $10.00 reserved by open orders, which leaves" in answer
    assert "has no cash" in await told("her cash", "cash", {**CASH, "totals": []})


async def test_orders_are_counted_and_listed() -> None:
    filled = {**ORDER, "status": "FILLED", "limit_price": None, "quantity": None, "amount": "5000.00"}
    answer = await told("my orders", "orders", orders(ORDER, filled))
    assert answer.startswith("There are 2 orders: 1 partially filled and 1 filled.")
    first = (
        "- Buy 1,200 **TCS** at ₹3,400.05 or better for Asha Rao: partially filled, for the session of 20 November 2026"
    )
    assert first in answer
    assert "- Buy for ₹5,000.00 **TCS** for Asha Rao: filled" in answer
    whose = {"whose": WHOSE, "open_only": True}
    assert await told("her open orders", "orders", orders(**whose)) == "There are no open orders of **Asha Rao**."
    one = await told("her open orders", "orders", orders(ORDER, **whose))
    assert one.startswith("There is 1 open order of **Asha Rao**: 1 partially filled.\n\n- Buy 1,200 **TCS**")
    many = await told("her orders", "orders", orders(*[ORDER] * 6, whose=WHOSE, total=60, left_out=54))
    assert many.startswith("There are 60 orders of **Asha Rao**.\n\nThe latest are:\n\n")
    assert many.count("\n- ") == 5
    over = await told("her orders", "orders", orders(*[ORDER] * 6, total=200, left_out=194, more=True))
    assert over.startswith("There are over 200 orders.")


async def test_prices_are_told_with_their_change_and_day() -> None:
    assert await told("price of TCS", "prices", PRICES) == (
        "**TCS** (Tata Consultancy) last closed at **₹3,456.70** on 20 November 2026, -1.24 % since the close of "
        "19 November 2026."
    )
    alone = {**PRICES, "change": None, "change_fraction": None, "closes": PRICES["closes"][1:]}  # type: ignore[index]
    answer = await told("price of TCS", "prices", alone)
    assert answer == "**TCS** (Tata Consultancy) last closed at **₹3,456.70** on 20 November 2026."
    none = {**alone, "last": None, "closes": []}
    assert await told("price of TCS", "prices", none) == "There is no price of **TCS** (Tata Consultancy) yet."


async def test_a_client_who_was_looked_for_is_told_of() -> None:
    answer = await told("who is Asha Rao?", "find_client", clients("Asha Rao", client(ASHA, "Asha Rao")))
    assert answer == (
        "**Asha Rao** is an active UHNI client in the book South. The KYC is verified until 1 January 2030. "
        "The risk profile is moderate."
    )


@pytest.mark.parametrize("question", ["who is Rao?", "Rao's holdings"])
async def test_of_several_candidates_the_user_is_asked_which(question: str) -> None:
    found = clients("Rao", client(ASHA, "Asha Rao"), client(VIKRAM, "Vikram Rao", segment="RETAIL"), left_out=3)
    lines = answered(("find_client", {"text": "Rao"}, found))
    ask = asking(user(question), *lines)
    assert await wished(ask) == []
    answer = await said(ask)
    assert answer.startswith("5 clients fit “Rao”:\n\n- **Asha Rao**")
    assert "- **Vikram Rao**, active retail client in the book South" in answer
    assert answer.endswith("There are 3 more.\n\nWhich one do you mean?")
    many = asking(user(question), *answered(("find_client", {"text": "Rao"}, {**found, "more": True})))
    assert (await said(many)).startswith("Over 5 clients fit “Rao”:")


async def test_nothing_found_is_said_with_what_to_do() -> None:
    ask = asking(user("Rao's holdings"), *answered(("find_client", {"text": "Rao"}, clients("Rao"))))
    assert await wished(ask) == []
    assert await said(ask) == (
        "I find no client called “Rao” among those that you see. Check the spelling, or give me the beginning of a "
        "first or last name."
    )


async def test_what_went_wrong_is_said_and_not_tried_again() -> None:
    lines = answered(("prices", {"instrument": "XYZ"}, "There is no instrument called “XYZ”."))
    ask = asking(user("price of XYZ"), *lines)
    assert await wished(ask) == []
    assert await said(ask) == "There is no instrument called “XYZ”."


async def test_one_answer_tells_of_all_that_was_asked() -> None:
    lines = answered(("cash", {"of": str(ASHA)}, CASH), ("prices", {"instrument": "TCS"}, PRICES))
    ask = asking(user("Her cash and the price of TCS"), *lines, focus=ON_ASHA)
    answer = await said(ask)
    assert answer.index("₹1,23,456.50") < answer.index("₹3,456.70")


@pytest.mark.parametrize("facts", [{"v": 2}, {"whose": 3}])
async def test_facts_of_an_unknown_form_end_no_run(facts: dict[str, Any]) -> None:
    assert await told("her cash", "cash", facts) == "Here is what I have found."
    ask = asking(user("hm"), *answered(("value_series", {}, facts)))
    assert await said(ask) == "Here is what I have found."


async def test_anything_else_is_answered_with_what_can_be_asked() -> None:
    hello = await said(asking(user("Hello!"), focus=ON_ASHA))
    assert hello.startswith("Hello! I can find a client by name")
    assert "“What does Asha Rao hold?”" in hello
    assert "“How much cash does Asha Rao have?”" in hello
    assert 2 <= hello.count("\n- ") <= 3
    elsewhere = await said(asking(user("What is the weather?"), focus=(Focus(TCS, "TCS"),), tools=SPECS[4:]))
    assert elsewhere == (
        "I can give the last closing price of an instrument. For example:\n\n- “What is the last price of TCS?”"
    )
    assert await said(asking(user("hello"), tools=())) == "Hello! There is nothing that I can look up here."
    assert (await said(asking(user("thank you")))).startswith("You are welcome. I can")
    assert "Which instrument" in await said(asking(user("what is its price?")))
    assert "Which client" in await said(asking(user("find a client")))


async def test_the_examples_that_it_gives_are_understood() -> None:
    for focus in ((), ON_ASHA, (Focus(TCS, "TCS"),)):
        answer = await said(asking(user("help"), focus=focus))
        for example in answer.split("“")[1:]:
            assert await wished(asking(user(example.split("”")[0]), focus=focus))


async def test_an_answer_comes_word_by_word_and_ends_with_its_cost() -> None:
    *words, spent = await pieces(asking(user("hello")))
    assert len(words) > 10
    assert all(isinstance(word, Text) and len(word.text.split()) == 1 for word in words)
    assert isinstance(spent, Spent)
    assert (spent.model, spent.cost) == ("embedded", Decimal(0))
    assert spent.input_tokens > 100
    assert 10 < spent.output_tokens < 500
    assert spent.model == EmbeddedModel().name


async def test_a_pace_changes_no_word() -> None:
    ask = asking(user("hello"))
    assert [piece async for piece in EmbeddedModel(pace=0.00001).answer(ask)] == await pieces(ask)


@pytest.mark.parametrize(
    ("question", "focus", "title"),
    [
        ("What does Asha Rao hold?", ON_ASHA, "Holdings of Asha Rao"),
        ("Her holdings and her cash, please", ON_ASHA, "Holdings and cash of Asha Rao"),
        ("Show her open orders", ON_ASHA, "Open orders of Asha Rao"),
        ("Any orders that were cancelled or rejected?", ON_ASHA, "Cancelled or rejected orders of Asha Rao"),
        ("How much cash do Asha and Vikram have?", (*ON_ASHA, ON_VIKRAM), "Cash of Asha Rao and Vikram Shah"),
        ("Who is Asha?", ON_ASHA, "Asha Rao"),
        ("Show my open orders", (), "Open orders"),
        ("What do I hold of my own?", (), "Holdings"),
        ("What is the price of TCS?", (), "Price of TCS"),
        ("Prices of TCS and INFY", (), "Prices of TCS and INFY"),
        ("What does Asha Rao hold, and what is the price of TCS?", ON_ASHA, "Holdings of Asha Rao and price of TCS"),
        # What is about nobody in particular the question says best.
        ("What does Asha hold?", (), None),
        ("hello", ON_ASHA, None),
        ("hello", (), None),
        (f"price of {TCS}", (), None),
    ],
)
async def test_it_names_a_conversation_by_what_was_wanted_and_whose(
    question: str, focus: tuple[Focus, ...], title: str | None
) -> None:
    ask = asking(user(question), Line(Speaker.ASSISTANT, "So."), focus=focus)
    if title is None:
        with pytest.raises(ModelRefused):
            await EmbeddedModel().structured(ask, ConversationTitle)
        return
    formed = await EmbeddedModel().structured(ask, ConversationTitle)
    assert formed.value == ConversationTitle(title)
    assert [(each.model, each.cost) for each in formed.spent] == [("embedded", Decimal(0))]


async def test_it_fills_no_other_shapes() -> None:
    with pytest.raises(ModelRefused):
        await EmbeddedModel().structured(asking(user("What does Asha Rao hold?"), focus=ON_ASHA), Focus)


QUESTIONS = ["hello", "her holdings", "cash of Asha Rao and Vikram Shah", "my orders", "price of TCS", "who is Rao?"]
ASKS = st.one_of(
    st.text(max_size=60).map(lambda text: asking(user(text), focus=ON_ASHA)),
    st.sampled_from(QUESTIONS).map(lambda text: asking(user(text), focus=ON_ASHA)),
    st.sampled_from(
        [
            asking(user(question), *answered((name, arguments, facts)), focus=ON_ASHA)
            for question, name, arguments, facts in [
                ("her holdings", "holdings", {"of": str(ASHA)}, HOLDINGS),
                ("her cash", "cash", {"of": str(ASHA)}, CASH),
                ("price of TCS", "prices", {"instrument": "TCS"}, PRICES),
                ("my orders", "orders", {}, orders(*[ORDER] * 9)),
                ("who is Rao?", "find_client", {"text": "Rao"}, clients("Rao")),
            ]
        ]
    ),
)


def calls_among(found: Sequence[Piece]) -> list[Piece]:
    return [piece for piece in found if isinstance(piece, Call)]


@STEADY
@given(ASKS, st.floats(0, 1))
async def test_an_answer_that_was_cut_short_goes_on_where_it_was(ask: Ask, share: float) -> None:
    whole = await said(ask)
    assert await pieces(ask) == await pieces(ask)
    cut = round(len(whole) * share)
    resumed = msgspec.structs.replace(ask, said=whole[:cut])
    assert whole[:cut] + await said(resumed) == whole
    assert calls_among(await pieces(resumed)) == calls_among(await pieces(ask))


@STEADY
@given(
    ASKS,
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.floats(0, 1),
)
async def test_what_another_model_has_said_is_followed_by_a_paragraph(ask: Ask, other: str, share: float) -> None:
    own = await said(ask)
    following = await said(msgspec.structs.replace(ask, said=other))
    if not own or own.startswith(other) or other.startswith(own):
        return
    assert following == f"\n\n{own}"
    # And where that was cut short in its turn, it is not begun again.
    cut = round(len(following) * share)
    rest = await said(msgspec.structs.replace(ask, said=other + following[:cut]))
    assert other + following[:cut] + rest == other + following
