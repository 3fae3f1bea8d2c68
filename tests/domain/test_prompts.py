"""Prompts: held to what they declare when they are read, and to all of it when they are filled in."""

from pathlib import Path

import pytest

from domain.assistant.prompts import HERE, Prompt, PromptError, prompt, prompts, read

GOOD = "name: greet\nversion: 3\nvariables: [who]\ntext: Say hello to {{ who }}, {{who}}.\n"


def put(path: Path, text: str) -> Path:
    file = path / "greet.yaml"
    file.write_text(text, "utf-8")
    return file


def test_a_prompt_is_read_and_filled_in(tmp_path: Path) -> None:
    read_one = read(put(tmp_path, GOOD))
    assert (read_one.name, read_one.version, read_one.variables) == ("greet", 3, ("who",))
    assert read_one.render(who="Asha") == "Say hello to Asha, Asha."


def test_what_stands_in_a_value_is_no_variable(tmp_path: Path) -> None:
    assert read(put(tmp_path, GOOD)).render(who=r"{{who}} \1 {0}") == r"Say hello to {{who}} \1 {0}, {{who}} \1 {0}."


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "the prompt greet needs who"),
        ({"who": "Asha", "day": "today"}, "the prompt greet does not know day"),
        ({"whom": "Asha"}, "the prompt greet needs who and does not know whom"),
    ],
)
def test_all_variables_are_given_and_no_others(values: dict[str, str], sentence: str) -> None:
    made = Prompt("greet", 1, "Hello, {{who}}.", ("who",))
    with pytest.raises(PromptError, match=f"^{sentence}$"):
        made.render(**values)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[who]", "[]"), "see who"),
        (("[who]", "[who, day]"), "see day"),
        (("{{who}}", "{{ }}"), "see "),
        (("{{who}}", "{{Who}}"), "see Who"),
        (("greet", "grete"), "calls itself grete"),
        (("version: 3", "version: 0"), "cannot be read"),
        (("version: 3", "version: new"), "cannot be read"),
        (("version: 3\n", ""), "missing required field `version`"),
        (("version", "colour: red\nversion"), "unknown field `colour`"),
        (("text: Say hello to {{ who }}, {{who}}.", "text: ''"), "cannot be read"),
        (("text: ", "text: [}"), "cannot be read"),
    ],
)
def test_a_prompt_that_is_stated_wrongly_is_not_read(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(PromptError, match=f"greet.yaml .*{sentence}"):
        read(put(tmp_path, GOOD.replace(*change)))


def test_a_file_that_is_none_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        read(tmp_path / "greet.yaml")
    (tmp_path / "greet.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PromptError, match="cannot be read"):
        read(tmp_path / "greet.yaml")


def test_all_prompts_are_good_and_read_once() -> None:
    assert set(prompts()) == {path.stem for path in HERE.glob("*.yaml")} >= {"general", "continue"}
    assert prompts() is prompts()
    with pytest.raises(PromptError, match="there is no prompt other"):
        prompt("other")


def test_the_general_agent_is_told_who_asks_and_what_it_must_not_do() -> None:
    told = {"user": "Asha Rao", "role": "ADVISOR", "locale": "en_IN", "today": "2026-11-21", "page": "/clients"}
    text = prompt("general").render(**told, focus="Ravi Mehta (client_1)")
    assert all(value in text for value in (*told.values(), "Ravi Mehta (client_1)"))
    assert "Every figure" in text
    assert "Do not recommend" in text


def test_prompts_are_part_of_the_package() -> None:
    stated = (HERE.parent.parent.parent / "pyproject.toml").read_text("utf-8")
    assert '"domain.assistant.prompts" = ["*.yaml"]' in stated
