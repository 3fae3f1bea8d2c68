"""Prompts: what models are told, in YAML beside this file, each with a version that a run's trace can name."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import yaml

HERE: Final = Path(__file__).parent
# {{name}}, with or without blanks.
VARIABLE: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class PromptError(Exception):
    """A prompt is stated wrongly, or rendered with other variables than it declares."""


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt: its name, its version, which grows with each change of the text, and the variables of the text."""

    name: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    text: Annotated[str, msgspec.Meta(min_length=1)]
    variables: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name and its version, as traces have them."""
        return f"{self.name}/{self.version}"

    def render(self, **values: str) -> str:
        """The text with all variables filled in; what stands in a value is never a variable itself.

        Raises PromptError where one is missing or is not declared.
        """
        missing, unknown = set(self.variables) - set(values), set(values) - set(self.variables)
        if missing or unknown:
            raise PromptError(f"the prompt {self.name} {_difference(missing, unknown)}")
        return VARIABLE.sub(lambda found: values[found[1]], self.text).strip()


def _difference(missing: set[str], unknown: set[str]) -> str:
    parts = [("needs", missing), ("does not know", unknown)]
    return " and ".join(f"{verb} {', '.join(sorted(names))}" for verb, names in parts if names)


def read(path: Path) -> Prompt:
    """The prompt of a file. Raises PromptError, which says what is wrong with it."""
    try:
        stated: Any = yaml.safe_load(path.read_text("utf-8"))
        made = msgspec.convert(stated, Prompt)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise PromptError(f"the prompt {path.name} cannot be read: {error}") from error
    if made.name != path.stem:
        raise PromptError(f"the prompt {path.name} calls itself {made.name}")
    used = set(VARIABLE.findall(made.text))
    if used != set(made.variables):
        apart = ", ".join(sorted(used ^ set(made.variables)))
        raise PromptError(f"the prompt {path.name} must declare just the variables that it uses: see {apart}")
    return made


@cache
def prompts() -> Mapping[str, Prompt]:
    """All prompts by their names, read once. Raises PromptError if any of them is wrong."""
    return {made.name: made for made in map(read, sorted(HERE.glob("*.yaml")))}


def prompt(name: str) -> Prompt:
    """The prompt of that name. Raises PromptError where there is none."""
    found = prompts().get(name)
    if found is None:
        raise PromptError(f"there is no prompt {name}")
    return found
