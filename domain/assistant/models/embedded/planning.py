"""From what a question wants, and what was found so far, to the tools that are to be called next."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from domain.assistant.models import Ask, Call, Focus, Line, Speaker
from domain.assistant.models.embedded.understanding import Understood, understood
from domain.assistant.models.embedded.vocabulary import Wanted
from domain.assistant.tools.facts import ClientFact, ClientFacts
from domain.text import fold

MOST_CALLS: Final = 8
_ABOUT_CLIENTS: Final = frozenset({"client", "portfolio"})


class Outcome(msgspec.Struct, frozen=True):
    """A call of this turn that was answered: by facts, or by a text that says what went wrong."""

    call: Call
    text: str

    @property
    def facts(self) -> dict[str, Any] | None:
        """What the tool has found; none if it has failed."""
        try:
            return msgspec.json.decode(self.text, type=dict[str, Any])
        except msgspec.DecodeError:
            return None

    @property
    def clients(self) -> ClientFacts | None:
        """The clients that it has found, if it looked for such."""
        if self.call.name != Wanted.CLIENT:
            return None
        try:
            return msgspec.convert(self.facts, ClientFacts, strict=False)
        except msgspec.ValidationError:
            return None


class Turn(msgspec.Struct, frozen=True):
    """What the user wants now, and what was found for it; `calls` is how many there were in the whole conversation."""

    ask: Ask
    question: Understood
    outcomes: tuple[Outcome, ...]
    calls: int

    @classmethod
    def of(cls, ask: Ask) -> "Turn":
        """The turn that a prompt has come to: it begins with the user's last line."""
        asked = [place for place, line in enumerate(ask.lines) if line.speaker is Speaker.USER]
        since = ask.lines[asked[-1] + 1 :] if asked else ()
        calls = sum(len(line.calls) for line in ask.lines)
        return cls(ask, _question([ask.lines[place].text for place in asked[-2:]]), tuple(_outcomes(since)), calls)

    @property
    def offered(self) -> frozenset[str]:
        """The names of the tools that may be called."""
        return frozenset(tool.name for tool in self.ask.tools)

    def focus(self, kinds: frozenset[str]) -> Focus | None:
        """The first object of these kinds that the user is looking at."""
        return next((each for each in self.ask.focus if each.ref.kind in kinds), None)

    def looked_for(self, name: str) -> Outcome | None:
        """What the search for a client of this name has come to."""
        searches = [each for each in self.outcomes if each.call.name == Wanted.CLIENT]
        same = [each for each in searches if each.call.arguments == _arguments(text=name)]
        # Another model has begun, and has put it otherwise.
        return next(iter(same), searches[0] if len(self.question.names) == 1 and searches else None)

    def has_called(self, name: str, arguments: str, alike: int) -> bool:
        """Whether a call was answered: the very same or, where `alike` is one, the only one of its tool."""
        given = [each.call.arguments for each in self.outcomes if each.call.name == name]
        return arguments in given or (alike == 1 and bool(given))


def found_one(found: ClientFacts, name: str) -> ClientFact | None:
    """The client that a search has found, if it is but one, or but one has this very name."""
    alike = [each for each in found.clients if fold(each.name) == fold(name)]
    if len(alike) == 1:
        return alike[0]
    return found.clients[0] if found.total == 1 and found.clients else None


def calls_of(turn: Turn) -> tuple[Call, ...]:
    """What is to be called next; nothing where all that is wanted was found, or nothing is wanted."""
    wanted = list(dict.fromkeys(_calls(turn)))
    alike = {name: sum(1 for other, _ in wanted if other == name) for name, _ in wanted}
    open_calls = [each for each in wanted if not turn.has_called(*each, alike[each[0]])][:MOST_CALLS]
    return tuple(
        Call(f"call_{turn.calls + number}", name, arguments) for number, (name, arguments) in enumerate(open_calls, 1)
    )


def _question(asked: Sequence[str]) -> Understood:
    """What is wanted; "and Vikram Rao?" wants of him what was wanted before."""
    question = understood(asked[-1]) if asked else Understood()
    if question.wanted in {(), (Wanted.CLIENT,)} and question.follows and question.names and asked[:-1]:
        before = understood(asked[-2])
        # Prices are of instruments, and what follows a question for them names another.
        priced = before.wanted == (Wanted.PRICES,)
        names = {"priced": question.names, "names": ()} if priced else {}
        same = {"wanted": before.wanted, "statuses": before.statuses, "open_only": before.open_only}
        return msgspec.structs.replace(question, **same, **names)
    return question


def _outcomes(lines: Sequence[Line]) -> Iterator[Outcome]:
    calls = {call.id: call for line in lines for call in line.calls}
    for line in lines:
        if line.speaker is Speaker.TOOL and line.call_id in calls:
            yield Outcome(calls[line.call_id], line.text)


def _calls(turn: Turn) -> Iterator[tuple[str, str]]:
    """All calls of the turn that can be made yet, those that were answered among them."""
    wanted = [each for each in turn.question.wanted if each in turn.offered]
    own = Wanted.CLIENT in turn.offered and bool(set(wanted) - {Wanted.PRICES})
    if own:
        for name in turn.question.names:
            yield Wanted.CLIENT, _arguments(text=name)
    for each in wanted:
        if each is Wanted.PRICES:
            yield from ((each, _arguments(instrument=instrument)) for instrument in _instruments(turn))
        elif each is not Wanted.CLIENT:
            yield from ((each, _arguments(**_of(whom), **_chosen(turn, each))) for whom in _whom(turn, each))


def _instruments(turn: Turn) -> list[str]:
    """Whose prices are wanted."""
    given = [*turn.question.priced, *(each for each in turn.question.ids if each.startswith("instrument_"))]
    focus = turn.focus(frozenset({"instrument"}))
    return given or ([str(focus.ref)] if focus else [])


def _whom(turn: Turn, wanted: Wanted) -> list[str | None]:
    """Whose data is wanted: by id, by the name as far as it was found, by the focus, or nobody's in particular."""
    question = turn.question
    given = [each for each in question.ids if not each.startswith("instrument_")]
    if question.names and Wanted.CLIENT not in turn.offered:
        return [*given, *question.names]
    if given or question.names:
        return [*given, *_found(turn)]
    focus = turn.focus(_ABOUT_CLIENTS)
    # "My orders" are those that the user has placed, whoever's page is open.
    own_orders = wanted is Wanted.ORDERS and question.own
    return [str(focus.ref)] if focus and not own_orders else [None]


def _found(turn: Turn) -> Iterator[str]:
    for name in turn.question.names:
        outcome = turn.looked_for(name)
        clients = outcome.clients if outcome else None
        one = found_one(clients, name) if clients else None
        if one is not None:
            yield one.id


def _of(whom: str | None) -> Mapping[str, str]:
    return {} if whom is None else {"of": whom}


def _chosen(turn: Turn, wanted: Wanted) -> Mapping[str, Any]:
    """Which orders are wanted."""
    if wanted is not Wanted.ORDERS:
        return {}
    statuses = {"statuses": list(turn.question.statuses)} if turn.question.statuses else {}
    return {**statuses, **({"open_only": True} if turn.question.open_only else {})}


def _arguments(**given: Any) -> str:
    return msgspec.json.encode(given).decode()
