"""The words that questions are understood by, folded."""

from enum import StrEnum
from typing import Final


class Wanted(StrEnum):
    """What can be wanted, by the name of the tool that finds it."""

    HOLDINGS = "holdings"
    ORDERS = "orders"
    CASH = "cash"
    PRICES = "prices"
    CLIENT = "find_client"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TRIGGERS: Final = {
    Wanted.HOLDINGS: "holding holdings hold holds held portfolio portfolios invested investment investments invest own "
    "owns owned position positions stock stocks allocation worth wealth value valued valuation assets",
    Wanted.ORDERS: "order orders ordered bought sold buy sell pending trade trades traded purchase purchases purchased "
    "placed filled unfilled executed cancelled canceled rejected expired draft drafts",
    Wanted.CASH: "cash balance balances liquid liquidity money",
    Wanted.PRICES: "price prices priced quote quotes quoted quoting trading close closes closing ltp nav",
    Wanted.CLIENT: "find who whos search lookup client clients customer customers locate",
}
WANTED: Final = {word: wanted for wanted, words in _TRIGGERS.items() for word in words.split()}
STATUSES: Final = {
    "approval": "PENDING_APPROVAL",
    "cancelled": "CANCELLED",
    "canceled": "CANCELLED",
    "draft": "DRAFT",
    "drafts": "DRAFT",
    "executed": "FILLED",
    "expired": "EXPIRED",
    "filled": "FILLED",
    "rejected": "REJECTED",
}
OPEN: Final = _words("open outstanding pending unfilled working")
OWN: Final = _words("mine my our ours")
GREETINGS: Final = _words("hello hey hi namaste greetings morning afternoon evening")
THANKS: Final = _words("thank thanks cheers")
# Words that are no part of a name: those that sentences are made of, and those that the rules above know.
_PLAIN: Final = _words(
    """
    a able about account accounts actual after all already also am an and any anything approval approved are around as
    asset at available awaiting be been before big bonds called can check compare compute could current currently day
    days deal did display do does doing dr else equity everything for free from fund funds gain gains get give go going
    good got had has have he help her hers hey him his how i if in info information instrument instruments into is isin
    it its itself just know largest last lately latest let like list listed look looking ltd make many me mean mine
    month more most mr mrs ms much mutual my name named need net new no not now of off ok okay on one open or other our
    out outstanding over overview please pull quarter query rate recent recently report right say see settled share
    shares she should show shri sitting so some spend spendable still such summarise summarize summary symbol tell than
    that the their theirs them then there these they this those to today tomorrow too top total totals uninvested
    unsettled up us use user want was we week well were what whats when where which whose why will with working would
    year yes yesterday yet you your
    """
)
STOP: Final = _PLAIN | frozenset(WANTED) | frozenset(STATUSES) | OPEN | OWN | GREETINGS | THANKS
# Written with a capital behind another name, these are surnames.
ALSO_NAMES: Final = _words("big day deal good long may more new say will")
# After these a name may follow though it is not written with a capital.
BEFORE_NAMES: Final = _words(
    "about and by called client customer did do does find for from has in is locate lookup name named of on search up "
    "was who whos with"
)
# With nothing but these around it, a name stands for its client.
INTRODUCING: Final = _words("about display dr get give me mr mrs ms open please pull shri show tell up")
