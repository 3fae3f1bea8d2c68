"""Models at endpoints that speak OpenAI's protocol: the real SDK against a server of the tests' own."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from domain.assistant.models import (
    Ask,
    Call,
    Formed,
    Line,
    ModelDown,
    ModelRefused,
    ModelUnusable,
    Piece,
    Speaker,
    Spent,
    Text,
    ToolSpec,
)
from domain.assistant.models.compatible import Compatible, Onward
from domain.assistant.models.endpoints import Preset, Prices
from domain.assistant.prompts import prompt
from tests.support.language_model import (
    KEY,
    PATH,
    End,
    LanguageModel,
    Reply,
    Rule,
    Waits,
    Want,
    breaks_off,
    chunk,
    fails,
    parts_of,
    says,
    speaking,
    usage,
    wants,
    words,
)
from tests.support.lines import logged

TOOL = ToolSpec("find_clients", "Find clients by name.", {"type": "object", "properties": {"name": {"type": "string"}}})
ASK = Ask((Line(Speaker.SYSTEM, "Be brief."), Line(Speaker.USER, "Who is Asha?")), tools=(TOOL,))
WHOLE = "Asha Rao is a client of the Mumbai desk."
HALVES = ("Asha Rao is a cli", "ent of the Mumbai desk.")


class Spoken:
    """A model of the SDK, the server that it asks, and how often it has waited."""

    def __init__(self, server: LanguageModel, model: Compatible, waits: Waits) -> None:
        self.server = server
        self.model = model
        self.waits = waits

    async def pieces(self, ask: Ask = ASK) -> list[Piece]:
        return [piece async for piece in self.model.answer(ask)]

    async def text(self, ask: Ask = ASK) -> str:
        return text_of(await self.pieces(ask))


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


@asynccontextmanager
async def spoken(*script: Reply, **endpoint: Any) -> AsyncIterator[Spoken]:
    waits = Waits()
    async with speaking(LanguageModel(*script)) as server:
        model = Compatible(server.endpoint(**endpoint), sleep=waits, chance=lambda: 0.5)
        yield Spoken(server, model, waits)
        await model.close()


async def test_words_come_as_they_are_said_and_then_what_they_cost() -> None:
    async with spoken(says("Asha ", "Rao"), prices=Prices(Decimal(3), Decimal(15))) as there:
        assert await there.pieces() == [
            Text("Asha "),
            Text("Rao"),
            Spent("tests", 11, 7, Decimal("0.000138")),
        ]


async def test_what_is_asked_is_sent_as_the_protocol_has_it() -> None:
    answered = Line(Speaker.ASSISTANT, "", calls=(Call("c1", "find_clients", "{}"),))
    lines = (*ASK.lines, answered, Line(Speaker.TOOL, '{"found": 1}', call_id="c1"))
    async with spoken(says("Yes.")) as there:
        await there.pieces(msgspec.structs.replace(ASK, lines=lines))
        asked = there.server.asked[0]
    assert (asked.path, asked.headers["authorization"]) == (PATH, f"Bearer {KEY}")
    assert asked.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who is Asha?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find_clients", "arguments": "{}"}}],
        },
        {"role": "tool", "content": '{"found": 1}', "tool_call_id": "c1"},
    ]
    assert asked.body["tools"][0]["function"]["parameters"] == TOOL.schema
    assert {name: asked.body[name] for name in ("model", "temperature", "max_tokens", "stream", "stream_options")} == {
        "model": "words",
        "temperature": 0.2,
        "max_tokens": 4096,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "store" not in asked.body


@pytest.mark.parametrize("preset", [Preset.OPENAI, Preset.AZURE])
async def test_who_keeps_what_it_is_asked_is_told_not_to(preset: Preset) -> None:
    async with spoken(says("Yes."), preset=preset, max_tokens=99, temperature=None) as there:
        await there.pieces()
        body = there.server.asked[0].body
    assert (body["store"], body["max_completion_tokens"]) == (False, 99)
    assert not {"max_tokens", "temperature"} & set(body)


async def test_azures_dated_api_is_asked_by_deployment() -> None:
    async with spoken(says("Yes."), preset=Preset.AZURE) as there:
        dated = there.server.endpoint(
            base_url=there.server.url, api_version="2024-10-21", model="advisor", preset=Preset.AZURE
        )
        model = Compatible(dated)
        assert text_of([piece async for piece in model.answer(ASK)]) == "Yes."
        await model.close()
        asked = there.server.asked[0]
    assert asked.path == "/openai/deployments/advisor/chat/completions?api-version=2024-10-21"
    assert asked.headers["api-key"] == KEY


async def test_nothing_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-elsewhere")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-elsewhere")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    async with spoken(says("Yes."), key=None) as there:
        await there.pieces()
        assert "elsewhere" not in str(there.server.asked[0].headers)


async def test_a_proxy_of_the_environment_does_not_see_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    async with speaking(LanguageModel(says("I am the proxy."))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with spoken(says("Yes.")) as there:
            assert await there.text() == "Yes."


async def test_calls_are_put_together_from_their_pieces() -> None:
    script = wants(Want("find_clients", {"name": "Asha"}), Want("find_clients", {"name": "Ravi"}), text="A moment.")
    async with spoken(script) as there:
        assert await there.pieces() == [
            Text("A moment."),
            Call("call-0", "find_clients", '{"name": "Asha"}'),
            Call("call-1", "find_clients", '{"name": "Ravi"}'),
            Spent("tests", 11, 7),
        ]


@pytest.mark.parametrize("index", [0, None])
async def test_calls_that_are_not_numbered_are_told_apart_by_their_ids(index: int | None) -> None:
    calls = [{"index": index, "id": f"c{each}", "function": {"name": "x", "arguments": "{}"}} for each in (1, 2)]
    events = [chunk({"tool_calls": [call]}) for call in calls]
    async with spoken(Reply((*events, chunk({}, "stop")))) as there:
        assert await there.pieces() == [Call("c1", "x", "{}"), Call("c2", "x", "{}")]


async def test_a_call_without_an_id_is_given_one() -> None:
    events = [chunk({"tool_calls": [{"index": n, "function": {"name": "x", "arguments": "{}"}}]}) for n in (0, 1)]
    async with spoken(Reply((*events, chunk({}, "tool_calls")))) as there:
        assert await there.pieces() == [Call("call_0", "x", "{}"), Call("call_1", "x", "{}")]


async def test_malformed_arguments_are_passed_on_as_they_are() -> None:
    async with spoken(wants(Want("find_clients", '{"name": Asha'))) as there:
        assert (await there.pieces())[0] == Call("call-0", "find_clients", '{"name": Asha')


async def test_a_call_that_the_longest_answer_has_cut_is_left_out() -> None:
    script = wants(Want("find_clients", {}), Want("find_clients", '{"na'), finish="length")
    async with spoken(script) as there:
        assert await there.pieces() == [Call("call-0", "find_clients", "{}"), Spent("tests", 11, 7)]


async def test_an_answer_that_is_too_long_to_begin_is_a_refusal() -> None:
    async with spoken(Reply((chunk({}, "length"),))) as there:
        with pytest.raises(ModelRefused, match="longer than it may be"):
            await there.pieces()


async def test_an_answer_without_usage_costs_nothing_known() -> None:
    async with spoken(says("Yes.", used=None)) as there:
        assert await there.pieces() == [Text("Yes.")]


async def test_what_breaks_after_the_end_of_an_answer_loses_no_call() -> None:
    events = (*parts_of(0, Want("find_clients")), chunk({}, "tool_calls"))
    async with spoken(breaks_off(*events)) as there:
        assert await there.pieces() == [Call("call-0", "find_clients", "{}")]
        assert len(there.server.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        fails(429),
        fails(500),
        fails(503),
        fails(408),
        breaks_off(),
        breaks_off(end=End.NEATLY),
        breaks_off("no JSON"),
        breaks_off('{"choices": [{"delta": "no delta"}]}'),
        breaks_off('{"error": {"message": "overloaded", "code": "overloaded"}}'),
        breaks_off(*parts_of(0, Want("find_clients"))[:2]),
        breaks_off(end=End.SILENT),
        breaks_off(end=End.PINGING),
    ],
    ids=[
        "429", "500", "503", "408", "broken", "no end", "garbage", "another shape", "an error within", "half a call",
        "silence", "pings",
    ],
)  # fmt: skip
async def test_what_may_pass_is_tried_again(failure: Reply) -> None:
    async with spoken(failure, failure, failure, says("Yes."), chunk_seconds=0.2) as there:
        assert await there.pieces() == [Text("Yes."), Spent("tests", 11, 7)]
        # Each by chance up to a quarter longer: here half of that.
        assert there.waits.seconds == [1.125, 2.25, 4.5]


async def test_after_three_retries_it_is_down() -> None:
    async with spoken(*[fails(500)] * 5) as there:
        with pytest.raises(ModelDown, match="tests: status 500"):
            await there.pieces()
        assert len(there.server.asked) == 4


async def test_nobody_listening_is_down() -> None:
    async with spoken() as there:
        nowhere = there.server.endpoint(base_url="http://127.0.0.1:1/v1")
        model = Compatible(nowhere, sleep=there.waits)
        with pytest.raises(ModelDown, match="the connection failed"):
            await anext(model.answer(ASK))
        await model.close()
        assert len(there.waits.seconds) == 3


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("7", 7), ("0.2", 1.125), ("soon", 1.125), ("-1", 1.125), ("Wed, 21 Oct 2015 07:28:00 GMT", 1.125)],
)
async def test_it_waits_for_as_long_as_the_endpoint_asks(after: str, seconds: float) -> None:
    async with spoken(fails(429, after=after), says("Yes.")) as there:
        assert await there.text() == "Yes."
        assert there.waits.seconds == [seconds]


@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2065 07:28:00 GMT"])
async def test_who_wants_to_be_left_alone_for_long_is_down(after: str) -> None:
    async with spoken(fails(429, after=after)) as there:
        with pytest.raises(ModelDown, match="status 429"):
            await there.pieces()
        assert (there.waits.seconds, len(there.server.asked)) == ([], 1)


@pytest.mark.parametrize("end", [End.CUT, End.NEATLY, End.SILENT])
async def test_an_answer_that_is_cut_goes_on_where_it_was(end: End) -> None:
    first = breaks_off(*words("Asha Rao ", "is a cli"), *parts_of(0, Want("find_clients"))[:2], end=end)
    async with spoken(first, says("ent of ", "the Mumbai desk."), chunk_seconds=0.2) as there:
        pieces = await there.pieces()
        again = there.server.asked[1]
    assert text_of(pieces) == WHOLE
    assert not [piece for piece in pieces if isinstance(piece, Call)]
    assert again.messages[-2:] == [
        {"role": "assistant", "content": HALVES[0]},
        {"role": "user", "content": prompt("continue").render()},
    ]


async def test_what_another_model_has_said_goes_on_too() -> None:
    async with spoken(says(HALVES[1])) as there:
        assert await there.text(msgspec.structs.replace(ASK, said=HALVES[0])) == HALVES[1]
        assert there.server.asked[0].messages[-2]["content"] == HALVES[0]


async def test_a_model_that_begins_anew_is_not_heard_twice() -> None:
    async with spoken(
        breaks_off(*words(*HALVES[:1])), says("Asha ", "Rao is a client ", "of the Mumbai desk.")
    ) as there:
        assert await there.text() == WHOLE


@pytest.mark.parametrize(
    ("said", "spoken_next", "heard"),
    [
        ("a beginning that is long", ["a beginning that is long", " and more"], " and more"),
        ("a beginning that is long", ["a beginning", " of another sort"], "a beginning of another sort"),
        ("a beginning that is long", ["a beginning"], "a beginning"),
        ("a beginning that is long", ["a beginning that is long"], ""),
        ("short", ["short", "er"], "shorter"),
        ("", ["all"], "all"),
    ],
)
def test_only_what_is_repeated_whole_is_left_out(said: str, spoken_next: list[str], heard: str) -> None:
    onward = Onward(said)
    assert "".join(map(onward.further, spoken_next)) + onward.rest() == heard


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_refused_is_not_repeated(status: int) -> None:
    async with spoken(fails(status)) as there:
        with pytest.raises(ModelRefused) as refused:
            await there.pieces()
        assert not isinstance(refused.value, ModelUnusable)
        assert len(there.server.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        *(fails(status) for status in (401, 402, 403, 404)),
        fails(429, "insufficient_quota"),
        Reply(status=307, headers=(("location", "http://127.0.0.1:1/"),)),
    ],
    ids=["401", "402", "403", "404", "no money", "redirect"],
)
async def test_what_only_other_settings_mend_is_unusable(failure: Reply) -> None:
    async with spoken(failure) as there:
        with pytest.raises(ModelUnusable):
            await there.pieces()
        assert len(there.server.asked) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        Reply((chunk({"refusal": "I cannot help with that."}), chunk({}, "stop"))),
        Reply((*words("I"), chunk({}, "content_filter"))),
        Reply(('{"error": {"message": "filtered", "code": "content_filter"}}',)),
        fails(400, "content_filter"),
    ],
    ids=["refusal", "filter", "filter within", "filter before"],
)
async def test_an_answer_that_is_declined_is_a_refusal(refusal: Reply) -> None:
    async with spoken(refusal) as there:
        with pytest.raises(ModelRefused):
            await there.pieces()
        assert len(there.server.asked) == 1


async def test_a_model_that_takes_no_temperature_is_asked_without_from_then_on() -> None:
    async with spoken(fails(400, "unsupported_value", param="temperature"), says("Yes."), says("No.")) as there:
        assert [await there.text(), await there.text()] == ["Yes.", "No."]
        assert ["temperature" in asked.body for asked in there.server.asked] == [True, False, False]


@pytest.mark.parametrize("failure", [fails(401, KEY + "!"), fails(400), fails(500), fails(429, after="99")])
async def test_keys_are_neither_logged_nor_raised(failure: Reply) -> None:
    async with spoken(*[failure] * 4) as there:
        with logged(logging.DEBUG) as lines, pytest.raises((ModelDown, ModelRefused)) as raised:
            await there.pieces()
        error = raised.value
        assert KEY not in lines.text + str(error) + repr(error)
        # Not even in what an error's trace would show.
        assert (error.__cause__, error.__context__) == (None, None)
        assert KEY not in repr(there.server.endpoint())


async def test_a_prompt_is_never_logged() -> None:
    async with spoken(says("Yes.")) as there:
        with logged(logging.DEBUG) as lines:
            await there.pieces()
        assert "Asha" not in lines.text


async def test_who_stops_reading_gives_the_connection_back() -> None:
    async with spoken(breaks_off(*words("Asha"), end=End.SILENT)) as there:
        async with aclosing(there.model.answer(ASK)) as pieces:
            assert await anext(pieces) == Text("Asha")
        await there.server.idle()


class Intent(msgspec.Struct):
    name: str
    sure: float


class Plan(msgspec.Struct):
    steps: list[Intent]


async def test_an_answer_of_a_shape_is_asked_for_by_its_schema() -> None:
    async with spoken(says('{"name": "find",', ' "sure": 0.5}')) as there:
        # With what it has cost.
        assert await there.model.structured(ASK, Intent) == Formed(Intent("find", 0.5), (Spent("tests", 11, 7),))
        asked = there.server.asked[0]
    schema = asked.body["response_format"]["json_schema"]
    assert schema["name"] == "Intent"
    assert (schema["schema"]["type"], schema["schema"]["required"]) == ("object", ["name", "sure"])
    assert json.dumps(schema["schema"], separators=(",", ":")) in asked.messages[-1]["content"]
    assert not asked.tools


async def test_a_shape_within_a_shape_is_told_with_it() -> None:
    async with spoken(says('Here it is: ```json\n{"steps": [{"name": "x", "sure": 1}]}\n```')) as there:
        assert (await there.model.structured(ASK, Plan)).value == Plan([Intent("x", 1.0)])
        schema = there.server.asked[0].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["steps"]["items"] == {"$ref": "#/$defs/Intent"}
    assert schema["$defs"]["Intent"]["type"] == "object"


@pytest.mark.parametrize("first", ['{"name": 1}', "I think it is find.", '{"name": "find", "sure": '])
async def test_an_answer_of_another_shape_may_be_mended_once(first: str) -> None:
    async with spoken(says(first), says('{"name": "find", "sure": 1}')) as there:
        # Both have cost something.
        assert await there.model.structured(ASK, Intent) == Formed(Intent("find", 1.0), (Spent("tests", 11, 7),) * 2)
        assert there.server.asked[1].messages[-2] == {"role": "assistant", "content": first}
        assert "does not fit" in there.server.asked[1].messages[-1]["content"]


async def test_an_answer_that_is_not_mended_is_a_refusal() -> None:
    async with spoken(says("{}"), says("{}"), says('{"name": "find", "sure": 1}')) as there:
        with pytest.raises(ModelRefused, match="shape"):
            await there.model.structured(ASK, Intent)
        assert len(there.server.asked) == 2


async def test_an_answer_of_a_shape_that_is_cut_is_asked_for_anew() -> None:
    async with spoken(breaks_off(*words('{"name": "fi')), says('{"name": "find", "sure": 1}')) as there:
        assert (await there.model.structured(ASK, Intent)).value == Intent("find", 1.0)
        first, second = there.server.asked
        assert first.messages == second.messages


async def test_a_shape_of_a_model_that_is_down_is_not_given() -> None:
    async with spoken(*[fails(500)] * 4) as there:
        with pytest.raises(ModelDown):
            await there.model.structured(ASK, Intent)


async def test_the_last_usage_counts() -> None:
    async with spoken(Reply((*words("Yes."), usage(1, 1), chunk({}, "stop"), usage(11, 9)))) as there:
        assert (await there.pieces())[-1] == Spent("tests", 11, 9)


async def test_without_a_script_the_server_goes_by_its_rules() -> None:
    async with spoken() as there:
        there.server.rules.append(Rule("Asha", "find_clients", {"name": "Asha"}))
        there.server.shapes["Intent"] = {"name": "find", "sure": 1}
        (call, _) = await there.pieces()
        assert isinstance(call, Call)
        assert (call.name, json.loads(call.arguments)) == ("find_clients", {"name": "Asha"})
        found = (Line(Speaker.ASSISTANT, "", calls=(call,)), Line(Speaker.TOOL, '{"found": 1}', call_id=call.id))
        assert await there.text(msgspec.structs.replace(ASK, lines=(*ASK.lines, *found))) == 'It says: {"found": 1}'
        assert await there.text(msgspec.structs.replace(ASK, tools=())) == "I have nothing to add."
        assert (await there.model.structured(ASK, Intent)).value == Intent("find", 1.0)
