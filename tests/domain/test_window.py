"""What of a conversation a model is shown, and how its tokens are counted."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tiktoken.registry
import tiktoken_ext.openai_public  # type: ignore[import-untyped] # it has no types
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken.load import load_tiktoken_bpe

from domain.assistant import tokens as counting
from domain.assistant.models import Call, Line, Speaker
from domain.assistant.tokens import bound, counter
from domain.assistant.window import LEAST, LINE, MARK, SHARE, WindowTooSmall, tokens, window

HEAD = (Line(Speaker.SYSTEM, "Be brief."), Line(Speaker.SYSTEM, "The user is Asha."))


def user(text: str) -> Line:
    return Line(Speaker.USER, text)


def assistant(text: str, *calls: str) -> Line:
    return Line(Speaker.ASSISTANT, text, calls=tuple(Call(each, "find", "{}") for each in calls))


def result(id: str, text: str = "found") -> Line:
    return Line(Speaker.TOOL, text, call_id=id)


def shown(*lines: Line, budget: int = 100_000) -> tuple[Line, ...]:
    made = window(HEAD, lines, budget=budget, count=bound)
    assert made[: len(HEAD)] == HEAD
    assert cost(made) <= budget
    return made[len(HEAD) :]


def cost(lines: tuple[Line, ...]) -> int:
    return sum(tokens(line, bound) for line in lines)


def halves(text: str) -> tuple[str, str]:
    first, mark, last = text.partition(MARK)
    assert mark
    return first, last


def test_what_fits_is_shown_whole() -> None:
    lines = [user("a"), assistant("b", "1", "2"), result("2"), result("1"), assistant("c"), user("d")]
    assert shown(*lines) == tuple(lines)


def test_the_oldest_goes_first() -> None:
    lines = [user("a" * 100), assistant("b" * 100), user("c" * 100), assistant("d" * 100), user("e" * 100)]
    assert shown(*lines, budget=cost(HEAD) + 3 * (100 + LINE)) == tuple(lines[2:])


def test_what_answers_nothing_that_is_shown_is_not_shown() -> None:
    lines = [user("a" * 100), assistant("b" * 100), user("c" * 100)]
    assert shown(*lines, budget=cost(HEAD) + 2 * (100 + LINE)) == (lines[2],)
    assert shown(assistant("hello"), result("1"), user("a")) == (user("a"),)
    assert shown(assistant("hello")) == shown() == ()


def test_an_older_message_that_is_long_leaves_room_for_others() -> None:
    budget = cost(HEAD) + 4000
    first, long, last = user("first"), assistant("b" * 1800 + "e" * 1800), assistant("newest")
    seen = shown(first, long, user("and?"), last, user("now?"), budget=budget)
    assert [line.text for line in seen if line != seen[1]] == ["first", "and?", "newest", "now?"]
    begins, ends = halves(seen[1].text)
    assert set(begins) == {"b"}
    assert set(ends) == {"e"}
    assert tokens(seen[1], bound) <= budget // SHARE


def test_the_newest_stays_whole_if_it_can() -> None:
    long = assistant("x" * 3000)
    assert shown(user("a"), long, user("b"), budget=cost(HEAD) + 4000) == (user("a"), long, user("b"))


def test_a_question_that_is_too_long_is_cut_in_its_middle() -> None:
    (question,) = shown(user("Why " + "x" * 10_000 + " now?"), budget=1000)
    begins, ends = halves(question.text)
    assert begins.startswith("Why ")
    assert ends.endswith(" now?")
    assert 900 < cost((*HEAD, question)) <= 1000


def test_what_tools_have_found_since_the_question_is_shortened_with_its_calls_kept() -> None:
    lines = [user("q"), assistant("", "1", "2"), result("1", "short"), result("2", "y" * 5000)]
    question, calls, short, long = shown(*lines, budget=1200)
    assert (question, calls, short) == tuple(lines[:3])
    assert halves(long.text)
    assert long.call_id == "2"


def test_a_long_question_leaves_room_for_what_was_found_since() -> None:
    found = [assistant("", "1"), result("1", "y" * 300)]
    question, *rest = shown(user("x" * 10_000), *found, budget=1200)
    assert halves(question.text)
    assert rest == found


def test_nothing_older_stands_where_something_newer_had_to_go() -> None:
    call = Line(Speaker.ASSISTANT, "", calls=(Call("1", "find", "z" * 5000),))
    assert shown(user("old"), user("q"), call, result("1"), budget=1200) == (user("q"),)


def test_no_text_is_counted_twice() -> None:
    seen: list[str] = []

    def count(text: str) -> int:
        seen.append(text)
        return len(text)

    window(HEAD, [user("a" * 500), assistant("b" * 3000), user("c" * 900)], budget=2000, count=count)
    assert len(seen) == len(set(seen))


def test_calls_and_results_of_the_past_go_together() -> None:
    lines = [user("q"), assistant("", "1"), result("1", "y" * 400), user("r")]
    assert shown(*lines, budget=cost(HEAD) + 60 + 2 * LINE) == (user("r"),)


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([assistant("", "1"), user("r")], []),
        ([assistant("Wait.", "1"), user("r")], [assistant("Wait.")]),
        ([assistant("Wait.", "1", "2"), result("1"), user("r")], [assistant("Wait.")]),
        ([assistant("", "1"), result("1"), result("2"), user("r")], []),
        ([result("9"), user("r")], []),
    ],
)
def test_calls_of_which_a_result_is_missing_go(lines: list[Line], left: list[Line]) -> None:
    assert shown(user("q"), *lines) == (user("q"), *left, user("r"))


def test_a_budget_without_room_for_the_question_is_too_small() -> None:
    for budget in (0, cost(HEAD), cost(HEAD) + LEAST):
        with pytest.raises(WindowTooSmall):
            window(HEAD, [user("q")], budget=budget, count=bound)
    assert window(HEAD, [], budget=cost(HEAD), count=bound) == HEAD


TEXTS = st.one_of(st.text(max_size=30), st.builds(str.__mul__, st.sampled_from(["a", "€ ", "𝔸"]), st.integers(0, 900)))


@st.composite
def conversations(draw: st.DrawFn) -> list[Line]:
    """Lines as runs leave them, whole or broken off, with the places told apart by their texts."""
    lines: list[Line] = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["user", "assistant", "calls", "stray"]))
        text = f"{number}:{draw(TEXTS)}"
        if kind == "calls":
            ids = [f"{number}.{each}" for each in range(draw(st.integers(1, 3)))]
            lines.append(assistant(draw(st.sampled_from(["", text])), *ids))
            answered = ids[: draw(st.integers(0, len(ids)))] if draw(st.booleans()) else ids
            lines += [result(each, f"{each}:{draw(TEXTS)}") for each in draw(st.permutations(answered))]
        else:
            lines.append(result("x", text) if kind == "stray" else Line(Speaker(kind), text))
    return [*lines, *([user(draw(TEXTS))] if draw(st.booleans()) else [])]


def is_cut_of(made: Line, line: Line) -> bool:
    begins, mark, ends = made.text.partition(MARK)
    text = line.text == made.text or (bool(mark) and line.text.startswith(begins) and line.text.endswith(ends))
    calls = made.calls in {line.calls, ()}
    return text and calls and (made.speaker, made.call_id) == (line.speaker, line.call_id)


def by_words(text: str) -> int:
    """Counts as a tokeniser does that joins letters: pieces of up to three."""
    return -(-len(text) // 3)


@settings(max_examples=300, deadline=None)
@given(conversations(), st.integers(cost(HEAD) + LEAST + LINE, 6000), st.sampled_from([bound, by_words]))
def test_every_window_keeps_the_budget_the_order_and_the_question(
    lines: list[Line], budget: int, count: Callable[[str], int]
) -> None:
    made = window(HEAD, lines, budget=budget, count=count)
    assert sum(tokens(line, count) for line in made) <= budget
    assert made[:2] == HEAD
    seen = made[2:]
    rest: Iterator[Line] = iter(lines)
    assert all(any(is_cut_of(each, line) for line in rest) for each in seen), "in order, and nothing else"
    questions = [line for line in lines if line.speaker is Speaker.USER]
    if not questions:
        assert seen == ()
        return
    assert seen[0].speaker is Speaker.USER
    last = max(place for place, line in enumerate(seen) if line.speaker is Speaker.USER)
    assert is_cut_of(seen[last], questions[-1])
    assert complete(seen)


def complete(lines: tuple[Line, ...]) -> bool:
    """Whether all calls are answered at once, and nothing else is."""
    open_calls: set[str] = set()
    for line in lines:
        if line.speaker is Speaker.TOOL:
            if line.call_id not in open_calls:
                return False
            open_calls.remove(line.call_id)
        elif open_calls:
            return False
        else:
            open_calls = {call.id for call in line.calls}
    return not open_calls


@given(st.text())
def test_no_text_has_more_tokens_than_the_bound(text: str) -> None:
    bytes_alone = tiktoken.Encoding(
        "bytes", pat_str=r"[\s\S]", mergeable_ranks={bytes([each]): each for each in range(256)}, special_tokens={}
    )
    assert len(bytes_alone.encode_ordinary(text)) <= bound(text)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where tiktoken would look for its data, of which there is none yet."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tiktoken.load.read_file", no_fetching)
    monkeypatch.delitem(tiktoken.registry.ENCODINGS, counting.ENCODING, raising=False)
    counter.cache_clear()
    yield tmp_path / hashlib.sha1(counting.SOURCE.encode(), usedforsecurity=False).hexdigest()
    counter.cache_clear()


def no_fetching(_: str) -> bytes:
    raise AssertionError("something was fetched")


def test_without_data_the_bound_is_used(data: Path) -> None:
    assert not data.exists()
    assert counter() is bound


def test_data_that_is_not_the_very_same_is_left_alone(data: Path) -> None:
    data.write_bytes(b"something else")
    assert counter() is bound
    assert data.read_bytes() == b"something else"


def test_without_a_setting_the_data_is_looked_for_where_tiktoken_puts_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert counting._cached() == tmp_path / "data-gym-cache" / data.name  # noqa: SLF001 - what has no other sign


def test_with_its_data_tokens_are_counted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = [bytes([each]) for each in range(256)] + [b"as", b"ha", b"asha"]
    made = b"".join(base64.b64encode(each) + b" %d\n" % rank for rank, each in enumerate(ranks))
    data.write_bytes(made)
    digest = hashlib.sha256(made).hexdigest()
    # The real data is two megabytes; this is as much of it as the test needs.
    monkeypatch.setattr(counting, "DIGEST", digest)
    monkeypatch.setattr(
        tiktoken_ext.openai_public,
        "load_tiktoken_bpe",
        lambda source, **_: load_tiktoken_bpe(source, digest),
    )
    assert counter()("asha asha") == 3
    tiktoken.registry.ENCODINGS.pop(counting.ENCODING)


def test_the_data_is_that_which_tiktoken_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[Any] = []

    def noted(source: str, expected_hash: str) -> dict[bytes, int]:
        wanted.append((source, expected_hash))
        return {}

    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", noted)
    tiktoken_ext.openai_public.o200k_base()
    assert wanted == [(counting.SOURCE, counting.DIGEST)]


def test_a_line_costs_its_words_and_its_framing() -> None:
    call = msgspec.structs.replace(assistant("abc", "id"), calls=(Call("id", "find", "{}"),))
    assert tokens(call, bound) == LINE + 3 + 16 + 2 + 4 + 2
    assert tokens(result("id", "abc"), bound) == LINE + 3 + 2
