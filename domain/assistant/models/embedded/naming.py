"""What a conversation is called, by rules: what was wanted, and whose it is."""

from typing import Final

from domain.assistant.models.embedded.planning import Turn
from domain.assistant.models.embedded.understanding import Understood
from domain.assistant.models.embedded.vocabulary import Wanted
from domain.assistant.models.embedded.wording import joined, lower

_NOUNS: Final = {Wanted.HOLDINGS: "holdings", Wanted.ORDERS: "orders", Wanted.CASH: "cash"}


def name_of(turn: Turn) -> str | None:
    """What to call a conversation by its first turn; none where no rule knows better than the question."""
    parts = list(filter(None, (_of_clients(turn), _of_instruments(turn.question))))
    text = joined(parts) if parts else ""
    return text[:1].upper() + text[1:] if text else None


def _of_clients(turn: Turn) -> str | None:
    names = [each.name for each in turn.ask.focus if each.ref.kind == "client"]
    nouns = [_noun(each, turn.question) for each in turn.question.wanted if each in _NOUNS]
    if not names:
        # Only what is the user's own is nobody's else.
        return joined(nouns) if nouns and turn.question.own else None
    if nouns:
        return f"{joined(nouns)} of {joined(names)}"
    return joined(names) if turn.question.wanted == (Wanted.CLIENT,) else None


def _noun(wanted: Wanted, question: Understood) -> str:
    """What was wanted; of orders, which."""
    if wanted is not Wanted.ORDERS:
        return _NOUNS[wanted]
    which = "open" if question.open_only else " or ".join(map(lower, question.statuses))
    return f"{which} {_NOUNS[wanted]}".strip()


def _of_instruments(question: Understood) -> str | None:
    if Wanted.PRICES not in question.wanted or not question.priced:
        return None
    return f"{'price' if len(question.priced) == 1 else 'prices'} of {joined(question.priced)}"
