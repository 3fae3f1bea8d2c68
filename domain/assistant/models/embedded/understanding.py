"""What a question wants looked up, by rules of English: which tools, and whose data is meant."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from domain.assistant.models.embedded.vocabulary import (
    ALSO_NAMES,
    BEFORE_NAMES,
    GREETINGS,
    INTRODUCING,
    OPEN,
    OWN,
    STATUSES,
    STOP,
    THANKS,
    WANTED,
    Wanted,
)
from domain.text import fold

MOST_NAMES: Final = 4


class Understood(msgspec.Struct, frozen=True):
    """What a question wants.

    `names` are words that may be those of clients, `priced` what prices are wanted of, and `ids` what was named by id.
    `own` says that the asking user itself is meant, `follows` that the same is wanted of these as was of others.
    """

    wanted: tuple[Wanted, ...] = ()
    names: tuple[str, ...] = ()
    priced: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    open_only: bool = False
    own: bool = False
    follows: bool = False
    greets: bool = False
    thanks: bool = False


class _Word(msgspec.Struct, frozen=True):
    """A word as it was written and folded, where it stands, and whether a name may go on across the gap before it."""

    text: str
    folded: str
    place: int
    joined: bool


class _Run(msgspec.Struct, frozen=True):
    """Neighbouring words that may be a name."""

    name: str
    place: int
    capital: bool


_ID: Final = re.compile(r"\b(?:client|portfolio|instrument)_[0-9a-f]{32}\b")
_QUOTED: Final = re.compile(r"[\"“”‘]([^\"“”‘’]{1,100})[\"“”’]|(?<!\w)'([^']{1,100})'(?!\w)")
_WRITTEN: Final = re.compile(r"[^\W_][\w.&'’-]*")
_POSSESSIVE: Final = re.compile(r"['’]s?$")
_LOOKING_UP: Final = re.compile(r"\blook(?:ing)? up\b", re.IGNORECASE)
_PLACED_BY_USER: Final = re.compile(r"\bI(?:['’]ve| have)? (?:placed|ordered|bought|sold)\b", re.IGNORECASE)
_FOLLOWING: Final = re.compile(r"\s*(?:and|also|what about|how about|(?:the )?same)\b", re.IGNORECASE)
_OF_CLIENTS: Final = frozenset({Wanted.HOLDINGS, Wanted.ORDERS, Wanted.CASH})


def understood(question: str) -> Understood:
    """What a question wants."""
    question = _LOOKING_UP.sub("lookup", question)
    ids = tuple(dict.fromkeys(_ID.findall(question)))
    words = _words(_ID.sub(" , ", question))
    folded = {word.folded for word in words}
    wanted = _wanted(words, folded)
    own = bool(folded & OWN) or bool(_PLACED_BY_USER.search(question))
    priced, names = _divided(wanted, _names(question, words), words, own=own)
    if not wanted and _introduced(names, words):
        wanted = (Wanted.CLIENT,)
    return Understood(
        wanted=wanted,
        names=names[:MOST_NAMES],
        priced=priced[:MOST_NAMES],
        ids=ids[:MOST_NAMES],
        statuses=tuple(dict.fromkeys(STATUSES[word.folded] for word in words if word.folded in STATUSES)),
        open_only=bool(folded & OPEN) and "approval" not in folded,
        own=own,
        follows=bool(_FOLLOWING.match(question)),
        greets=bool(folded & GREETINGS),
        thanks=bool(folded & THANKS),
    )


def _words(text: str) -> list[_Word]:
    found: list[_Word] = []
    end = 0
    for match in _WRITTEN.finditer(text):
        word = _POSSESSIVE.sub("", match.group().rstrip(".-&"))
        # A name ends with a possessive, and goes on over spaces alone.
        gap = text[end : match.start()]
        joined = bool(found) and gap.strip() in {"", "&"} and "\n" not in gap and not _possessive(text, end)
        found.append(_Word(word, fold(word), match.start(), joined))
        end = match.end()
    return found


def _possessive(text: str, end: int) -> bool:
    return bool(_POSSESSIVE.search(text[max(0, end - 2) : end]))


def _wanted(words: Sequence[_Word], folded: set[str]) -> tuple[Wanted, ...]:
    """What is asked for, in the order of the question."""
    found = dict.fromkeys(WANTED[word.folded] for word in words if word.folded in WANTED)
    if "trading" in folded and "at" not in folded:
        found.pop(Wanted.PRICES, None)
    if Wanted.PRICES in found and not folded & {"portfolio", "portfolios", "holdings", "hold", "own", "owns"}:
        # The worth of an instrument is its price.
        found.pop(Wanted.HOLDINGS, None)
    # What closes there is the order.
    if Wanted.ORDERS in found and {"price", "prices", "quote", "quotes"}.isdisjoint(folded):
        found.pop(Wanted.PRICES, None)
    return tuple(found)


def _names(question: str, words: Sequence[_Word]) -> list[_Run]:
    """Names in the order of the question: what is quoted, else what has capitals, else what stands where names do."""
    quoted = [
        _Run(" ".join((match.group(1) or match.group(2)).split()), match.start(), capital=True)
        for match in _QUOTED.finditer(question)
    ]
    if quoted := [run for run in quoted if run.name]:
        return quoted
    runs = list(_runs(words))
    capitals = [run for run in runs if run.capital]
    return capitals or [run for run in runs if _follows(run, words)]


def _runs(words: Sequence[_Word]) -> Iterator[_Run]:
    """Neighbouring words that no sentence is made of; those with capitals apart from those without."""
    run: list[_Word] = []
    for word in words:
        if run and not _continues(run[-1], word):
            yield _run(run)
            run = []
        if run or word.folded not in STOP:
            run.append(word)
    if run:
        yield _run(run)


def _continues(last: _Word, word: _Word) -> bool:
    """Whether a word goes on with a name: some names, such as More, are words of sentences too."""
    if not word.joined or _capital(last) != _capital(word):
        return False
    return word.folded not in STOP or (_capital(word) and word.folded in ALSO_NAMES)


def _run(words: Sequence[_Word]) -> _Run:
    return _Run(" ".join(each.text for each in words), words[0].place, _capital(words[0]))


def _capital(word: _Word) -> bool:
    return word.text[:1].isupper() or word.text[:1].isdigit()


def _follows(run: _Run, words: Sequence[_Word]) -> bool:
    before = [word.folded for word in words if word.place < run.place]
    return not before or before[-1] in BEFORE_NAMES or WANTED.get(before[-1]) is Wanted.PRICES


def _introduced(names: Sequence[str], words: Sequence[_Word]) -> bool:
    """Whether there is nothing but one name, written as one."""
    if len(names) != 1 or not names[0][:1].isupper():
        return False
    return {word.folded for word in words} - set(fold(names[0]).split()) <= INTRODUCING


def _divided(
    wanted: Sequence[Wanted], runs: Sequence[_Run], words: Sequence[_Word], *, own: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which names are those of instruments, whose prices are wanted, and which those of clients."""
    everything = tuple(dict.fromkeys(run.name for run in runs))
    if Wanted.PRICES not in wanted:
        return (), everything
    if not _OF_CLIENTS.intersection(wanted):
        return everything, ()
    asked = next(word.place for word in words if WANTED.get(word.folded) is Wanted.PRICES)
    priced = next((run.name for run in runs if run.place > asked), None)
    # With nobody else to be meant, the name before the word for prices is a client's.
    if priced is None and (own or len(everything) > 1):
        priced = next((run.name for run in reversed(runs) if run.place < asked), None)
    return (priced,) if priced else (), tuple(name for name in everything if name != priced)
