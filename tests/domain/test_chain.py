"""Models that stand in for each other, and the breakers between them."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import msgspec
import pytest

from domain.assistant.models import (
    Ask,
    Call,
    Formed,
    Line,
    Model,
    ModelDown,
    ModelRefused,
    ModelUnusable,
    Piece,
    Speaker,
    Spent,
    Text,
)
from domain.assistant.models.chain import Breaker, Chain
from domain.assistant.models.opening import opened
from tests.support.language_model import LanguageModel, breaks_off, fails, says, speaking, words

T = TypeVar("T")

ASK = Ask((Line(Speaker.USER, "Who is Asha?"),))
CALL = Call("c1", "find_clients", "{}")
DOWN, REFUSED, UNUSABLE = ModelDown("down"), ModelRefused("refused"), ModelUnusable("no such key")


class Shape(msgspec.Struct):
    name: str


class Scripted:
    """A model that gives the same pieces at each ask, and then fails if it is to."""

    def __init__(self, name: str, *pieces: Piece, fails: Exception | None = None) -> None:
        self.name = name
        self.pieces = pieces
        self.fails = fails
        self.asked: list[Ask] = []
        self.closed = 0

    async def answer(self, ask: Ask) -> AsyncGenerator[Piece]:
        self.asked.append(ask)
        try:
            for piece in self.pieces:
                yield piece
            if self.fails:
                raise self.fails
        finally:
            self.closed += 1

    async def structured(self, ask: Ask, shape: type[T]) -> Formed[T]:
        self.asked.append(ask)
        if self.fails:
            raise self.fails
        return Formed(msgspec.convert({"name": self.name}, shape))


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def pieces_of(model: Model, ask: Ask = ASK) -> list[Piece]:
    return [piece async for piece in model.answer(ask)]


async def test_the_first_answers_and_the_others_are_not_asked() -> None:
    first, second = Scripted("first", Text("Yes."), Spent("first", 1, 1)), Scripted("second")
    chain = Chain([first, second])
    assert chain.name == "first, second"
    assert await pieces_of(chain) == [Text("Yes."), Spent("first", 1, 1)]
    assert await chain.structured(ASK, Shape) == Formed(Shape("first"))
    assert not second.asked


@pytest.mark.parametrize("failure", [DOWN, REFUSED, UNUSABLE])
async def test_the_next_stands_in_for_one_that_fails(failure: Exception) -> None:
    chain = Chain([Scripted("first", fails=failure), Scripted("second", Text("Yes."))])
    assert await pieces_of(chain) == [Text("Yes.")]
    assert await chain.structured(ASK, Shape) == Formed(Shape("second"))


@pytest.mark.parametrize("failure", [DOWN, REFUSED])
async def test_the_next_is_told_what_was_said(failure: Exception) -> None:
    models = [Scripted("a", Text("Asha "), fails=failure), Scripted("b", Text("Rao "), fails=failure), Scripted("c")]
    assert await pieces_of(Chain([*models[:2], Scripted("d", Text("is a client."))])) == [
        Text("Asha "),
        Text("Rao "),
        Text("is a client."),
    ]
    with pytest.raises(type(failure)):
        await pieces_of(Chain([models[0], models[1]]), msgspec.structs.replace(ASK, said="So: "))
    assert [model.asked[-1].said for model in models[:2]] == ["So: ", "So: Asha "]


async def test_after_its_calls_an_answer_is_not_begun_by_another() -> None:
    second = Scripted("second", CALL)
    assert await pieces_of(Chain([Scripted("first", CALL, fails=DOWN), second])) == [CALL]
    assert not second.asked


@pytest.mark.parametrize(
    "models",
    [
        [],
        [Scripted("a", fails=DOWN)],
        [Scripted("a", fails=UNUSABLE)],
        [Scripted("a", fails=REFUSED), Scripted("b", fails=DOWN)],
        [Scripted("a", fails=UNUSABLE), Scripted("b", fails=REFUSED)],
    ],
)
async def test_with_none_left_it_is_down(models: list[Model]) -> None:
    with pytest.raises(ModelDown):
        await pieces_of(Chain(models))
    with pytest.raises(ModelDown):
        await Chain(models).structured(ASK, Shape)


async def test_what_all_decline_is_declined() -> None:
    chain = Chain([Scripted("a", fails=REFUSED), Scripted("b", fails=REFUSED)])
    with pytest.raises(ModelRefused):
        await pieces_of(chain)
    with pytest.raises(ModelRefused):
        await chain.structured(ASK, Shape)


async def test_who_stops_reading_ends_the_model_at_once() -> None:
    model = Scripted("first", Text("a"), Text("b"))
    async with aclosing(Chain([model]).answer(ASK)) as pieces:
        assert await anext(pieces) == Text("a")
    assert [model.closed] == [1]


@pytest.mark.parametrize("failure", [DOWN, UNUSABLE])
async def test_one_that_fails_thrice_in_a_row_rests(failure: Exception) -> None:
    clock, first = Clock(), Scripted("first", fails=failure)
    chain = Chain([first, Scripted("second", Text("Yes."))], failures=3, rest=30, ticks=clock)
    for _ in range(5):
        await pieces_of(chain)
    assert len(first.asked) == 3
    clock.now = 29.9
    await chain.structured(ASK, Shape)
    assert len(first.asked) == 3
    clock.now = 30
    await chain.structured(ASK, Shape)
    await chain.structured(ASK, Shape)
    assert len(first.asked) == 4, "one ask tries, and fails, and it rests once more"
    clock.now, first.fails, first.pieces = 60, None, (Text("I am back."),)
    assert await pieces_of(chain) == await pieces_of(chain) == [Text("I am back.")]


async def test_a_success_between_failures_begins_the_count_anew() -> None:
    first = Scripted("first")
    chain = Chain([first, Scripted("second")], failures=2, ticks=Clock())
    for failure in (DOWN, None, DOWN, None, DOWN, REFUSED, DOWN):
        first.fails = failure
        await pieces_of(chain)
    assert len(first.asked) == 7


async def test_who_refuses_what_is_asked_does_not_rest() -> None:
    first = Scripted("first", fails=REFUSED)
    chain = Chain([first, Scripted("second")], failures=2, ticks=Clock())
    for _ in range(5):
        await pieces_of(chain)
    assert len(first.asked) == 5


def test_only_one_ask_tries_a_model_that_has_rested() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, rest=30, ticks=clock)
    with pytest.raises(ModelDown), breaker.asking():
        raise DOWN
    assert not breaker.admits()
    clock.now = 30
    assert breaker.admits()
    with breaker.asking():
        assert not breaker.admits()
    assert breaker.admits()


async def test_a_trial_that_is_given_up_leaves_the_next_one_free() -> None:
    clock, first = Clock(), Scripted("first", Text("a"), Text("b"), fails=DOWN)
    chain = Chain([first, Scripted("second")], failures=1, rest=30, ticks=clock)
    await pieces_of(chain)
    clock.now = 30
    async with aclosing(chain.answer(ASK)) as pieces:
        await anext(pieces)
    await pieces_of(chain)
    assert len(first.asked) == 3
    await pieces_of(chain)
    assert len(first.asked) == 3, "what was given up has told nothing; what failed has"


async def test_endpoints_stand_in_for_each_other_over_the_wire() -> None:
    broken, good = LanguageModel(breaks_off(*words("Asha Rao "), "no JSON"), *[fails(401)] * 3), LanguageModel()
    good.script.extend([says("is a client."), says("Yes.")])
    async with speaking(broken), speaking(good):
        async with opened([broken.endpoint(name="a"), good.endpoint(name="b")]) as model:
            pieces = await pieces_of(model)
        assert [piece for piece in pieces if isinstance(piece, Text)] == [Text("Asha Rao "), Text("is a client.")]
        assert good.asked[0].messages[-2] == {"role": "assistant", "content": "Asha Rao "}


async def test_connections_are_given_back_at_the_end() -> None:
    async with speaking(LanguageModel(says("Yes."))) as server:
        async with opened([server.endpoint()]) as model:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            await pieces_of(model)
        assert not server.asked


async def test_the_last_resort_stands_in_for_endpoints_and_without_them_is_all() -> None:
    resort = Scripted("embedded", Text("By rules."))
    async with speaking(LanguageModel(fails(404))) as server, opened([server.endpoint()], resort) as model:
        assert await pieces_of(model) == [Text("By rules.")]
    async with opened([], resort) as model:
        assert model is resort
    async with opened([]) as model:
        with pytest.raises(ModelDown):
            await pieces_of(model)


def test_the_sdk_is_not_imported_where_no_endpoint_is_set() -> None:
    program = "import sys, graph.settings, domain.assistant.window; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
