"""The answer: what was found, in a few sentences of Markdown; or what can be asked, where nothing was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from domain.assistant.models.embedded.planning import Outcome, Turn, found_one
from domain.assistant.models.embedded.vocabulary import Wanted
from domain.assistant.models.embedded.wording import (
    bold,
    change,
    count,
    day,
    joined,
    listed,
    lower,
    money,
    number,
    percent,
    safe,
    with_article,
)
from domain.assistant.tools.facts import (
    BalanceFact,
    CashFacts,
    ClientFact,
    ClientFacts,
    HoldingsFacts,
    OrderFact,
    OrdersFacts,
    PositionFact,
    PricesFacts,
)

F = TypeVar("F", bound=msgspec.Struct)

MOST_LINES: Final = 5
_FOUND: Final = "Here is what I have found."
_ABILITIES: Final[Mapping[str, str]] = {
    Wanted.CLIENT: "find a client by name",
    Wanted.HOLDINGS: "say what a client or a portfolio holds and what it is worth",
    Wanted.ORDERS: "list recent or open orders",
    Wanted.CASH: "tell the cash of a client",
    Wanted.PRICES: "give the last closing price of an instrument",
}


def answer_of(turn: Turn) -> str:
    """The whole answer to a turn for which nothing more is to be called."""
    told = [text for outcome in turn.outcomes if (text := _told(turn, outcome))]
    if told:
        return "\n\n".join(told)
    if Wanted.PRICES in turn.question.wanted and Wanted.PRICES in turn.offered:
        return "Which instrument do you mean? Tell me its symbol, its ISIN or its name."
    if Wanted.CLIENT in turn.question.wanted and Wanted.CLIENT in turn.offered:
        return "Which client do you mean? Tell me a word of the name, as in “find client Sharma”."
    return _introduction(turn)


def _told(turn: Turn, outcome: Outcome) -> str:
    """What one call has come to; nothing of a search that has only led to the next call."""
    facts = outcome.facts
    if facts is None:
        return safe(outcome.text)
    if outcome.call.name == Wanted.CLIENT:
        return _read(facts, ClientFacts, lambda found: _clients(turn, found))
    tell = _TELLING.get(outcome.call.name)
    return tell(facts, turn.ask.locale) if tell else _FOUND


def _read(facts: Mapping[str, Any], shape: type[F], tell: Callable[[F], str]) -> str:
    try:
        return tell(msgspec.convert(facts, shape))
    except msgspec.ValidationError:
        # Another version of the tool has run, before a server was replaced: the reader sees its blocks.
        return _FOUND


def _clients(turn: Turn, found: ClientFacts) -> str:
    one = found_one(found, found.text)
    only_led_on = bool({each for each in turn.question.wanted if each in turn.offered} - {Wanted.CLIENT})
    if not found.clients:
        return (
            f"I find no client called “{safe(found.text)}” among those that you see. "
            "Check the spelling, or give me the beginning of a first or last name."
        )
    if one is not None:
        return "" if only_led_on else _client(one)
    over = "over " if found.more else ""
    lines = listed([f"{bold(each.name)}, {_standing(each)}" for each in found.clients])
    more = f"\n\nThere are {over}{found.left_out:,} more." if found.left_out else ""
    begun = f"{over.capitalize()}{count(found.total, 'client')} fit “{safe(found.text)}”"
    return f"{begun}:\n\n{lines}{more}\n\nWhich one do you mean?"


def _client(client: ClientFact) -> str:
    risk = f" The risk profile is {lower(client.risk_profile)}." if client.risk_profile else ""
    until = f" until {day(client.kyc_expires_on)}" if client.kyc_expires_on else ""
    return (
        f"{bold(client.name)} is {with_article(_standing(client))}. The KYC is {lower(client.kyc_status)}{until}.{risk}"
    )


def _standing(client: ClientFact) -> str:
    """What a client is to the firm."""
    segment = client.segment if client.segment in {"HNI", "UHNI"} else lower(client.segment)
    book = f" in the book {safe(client.book)}" if client.book else ""
    return f"{lower(client.status)} {segment} client{book}"


def _holdings(found: HoldingsFacts, locale: str) -> str:
    if not found.positions:
        cash = f" There is {money(found.cash, found.currency, locale)} in cash." if found.cash else ""
        return f"{bold(found.whose.name)} holds no positions.{cash}"
    shown = found.positions[:MOST_LINES]
    more = len(found.positions) + found.left_out - len(shown)
    lines = listed([_position(each, found.currency, locale) for each in shown])
    rest = f"\n\nand {count(more, 'further position')}." if more else ""
    largest = f"{'The largest are' if more else 'They are'}:\n\n{lines}{rest}"
    return "\n\n".join([_worth(found, locale), largest, _basis(found)])


def _worth(found: HoldingsFacts, locale: str) -> str:
    held = count(len(found.positions) + found.left_out, "position")
    several = f" in {count(len(found.portfolios), 'portfolio')}" if len(found.portfolios) > 1 else ""
    begun = f"{bold(found.whose.name)} holds {held}{several}"
    if found.value is None:
        return f"{begun}. What they are worth in total is not known: {_lacking(found)}."
    cash = f", of which {money(found.cash, found.currency, locale)} is cash" if found.cash else ""
    gain = f" The unrealised gain is {money(found.unrealised_gain, found.currency, locale)}."
    return f"{begun}, worth **{money(found.value, found.currency, locale)}** in total{cash}.{gain}"


def _lacking(found: HoldingsFacts) -> str:
    prices = f"there is no price for {joined([safe(each) for each in found.missing_prices])}"
    rates = f"there is no exchange rate for {joined(found.missing_rates)}"
    parts = [*([prices] if found.missing_prices else []), *([rates] if found.missing_rates else [])]
    return " and ".join(parts) or "something is missing"


def _position(held: PositionFact, currency: str, locale: str) -> str:
    value = money(held.market_value_base, currency, locale)
    worth = "of unknown value" if held.market_value_base is None else f"worth {value}"
    weight = f", {percent(held.weight)}" if held.weight else ""
    return f"{bold(held.symbol)} ({safe(held.name)}): {number(held.quantity)} units {worth}{weight}"


def _basis(found: HoldingsFacts) -> str:
    prices = f"The oldest price is from {day(found.prices_as_of)}" if found.prices_as_of else "There are no prices"
    rates = f", the oldest exchange rate from {day(found.rates_as_of)}" if found.rates_as_of else ""
    return f"{prices}{rates}."


def _orders(found: OrdersFacts, locale: str) -> str:
    whose = f" of {bold(found.whose.name)}" if found.whose else ""
    which = f"{'open ' if found.open_only else ''}{' or '.join(map(lower, found.statuses))}".strip()
    kind = f"{which} order" if which else "order"
    if not found.orders:
        return f"There are no {kind}s{whose}."
    begun = (
        f"There {'is' if found.total == 1 else 'are'} {'over ' if found.more else ''}{count(found.total, kind)}{whose}"
    )
    by_status = "" if found.left_out or found.statuses else f": {_by_status(found.orders)}"
    shown = found.orders[:MOST_LINES]
    lines = listed([_order(each, named=found.whose is None, locale=locale) for each in shown])
    latest = f"\n\nThe latest are:\n\n{lines}" if found.total > len(shown) else f"\n\n{lines}"
    return f"{begun}{by_status}.{latest}"


def _by_status(orders: Sequence[OrderFact]) -> str:
    counts: dict[str, int] = {}
    for order in orders:
        counts[order.status] = counts.get(order.status, 0) + 1
    return joined([f"{many:,} {lower(status)}" for status, many in counts.items()])


def _order(order: OrderFact, *, named: bool, locale: str) -> str:
    amount = f"for {money(order.amount, order.currency, locale)}"
    size = amount if order.quantity is None else number(order.quantity)
    limit = f" at {money(order.limit_price, order.currency, locale)} or better" if order.limit_price else ""
    whom = f" for {safe(order.client.name)}" if named else ""
    trade = f"{order.side.capitalize()} {size} {bold(order.symbol)}{limit}{whom}"
    return f"{trade}: {lower(order.status)}, for the session of {day(order.trades_on)}"


def _cash(found: CashFacts, locale: str) -> str:
    whose = bold(found.whose.name)
    if not found.totals:
        return f"{whose} has no cash: none has ever been moved."
    if len(found.totals) == 1:
        return f"{whose} has {_balance(found.totals[0], locale)}, as of {day(found.as_of)}."
    lines = listed([f"{each.currency}: {_balance(each, locale)}" for each in found.totals])
    return f"{whose} has, as of {day(found.as_of)}:\n\n{lines}"


def _balance(balance: BalanceFact, locale: str) -> str:
    parts = []
    if balance.unsettled.strip("-0."):
        parts.append(f"{money(balance.unsettled, balance.currency, locale)} not yet settled")
    if balance.reserved.strip("-0."):
        reserved, free = (money(each, balance.currency, locale) for each in (balance.reserved, balance.available))
        parts.append(f"{reserved} reserved by open orders, which leaves {free} available")
    total = f"**{money(balance.total, balance.currency, locale)}** in cash"
    return f"{total} ({'; '.join(parts)})" if parts else total


def _prices(found: PricesFacts, locale: str) -> str:
    whose = f"{bold(found.symbol)} ({safe(found.instrument.name)})"
    if found.last is None:
        return f"There is no price of {whose} yet."
    begun = f"{whose} last closed at **{money(found.last.close, found.currency, locale)}** on {day(found.last.on)}"
    if found.change is None or found.change_fraction is None:
        return f"{begun}."
    before = day(found.closes[-2].on)
    return f"{begun}, {change(found.change_fraction)} since the close of {before}."


_TELLING: Final[Mapping[str, Callable[[Mapping[str, Any], str], str]]] = {
    Wanted.HOLDINGS: lambda facts, locale: _read(facts, HoldingsFacts, lambda found: _holdings(found, locale)),
    Wanted.ORDERS: lambda facts, locale: _read(facts, OrdersFacts, lambda found: _orders(found, locale)),
    Wanted.CASH: lambda facts, locale: _read(facts, CashFacts, lambda found: _cash(found, locale)),
    Wanted.PRICES: lambda facts, locale: _read(facts, PricesFacts, lambda found: _prices(found, locale)),
}


def _introduction(turn: Turn) -> str:
    """What can be asked, with examples that fit what the user is looking at."""
    begun = "You are welcome. " if turn.question.thanks else "Hello! " if turn.question.greets else ""
    abilities = [text for name, text in _ABILITIES.items() if name in turn.offered]
    if not abilities:
        return f"{begun}There is nothing that I can look up here."
    examples = listed([f"“{each}”" for each in _examples(turn)])
    return f"{begun}I can {joined(abilities)}. For example:\n\n{examples}"


def _examples(turn: Turn) -> list[str]:
    whom = turn.focus(frozenset({"client", "portfolio"}))
    priced = turn.focus(frozenset({"instrument"}))
    name = safe(whom.name) if whom else ""
    examples = {
        Wanted.HOLDINGS: f"What does {name} hold?" if whom else "What does Asha Sharma hold?",
        Wanted.CASH: f"How much cash does {name} have?" if whom else "How much cash does Asha Sharma have?",
        Wanted.ORDERS: f"Show the open orders of {name}" if whom else "Show my open orders",
        Wanted.PRICES: f"What is the last price of {safe(priced.name) if priced else 'HDFCBANK'}?",
        Wanted.CLIENT: "Find client Sharma",
    }
    return [text for wanted, text in examples.items() if wanted in turn.offered][:3]
