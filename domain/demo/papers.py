"""What clients fill in and advisors write down: names in full, addresses, numbers, tags and notes.

Nobody is reached by any of these: mail goes to a reserved domain, telephone numbers are of ranges that are given to
nobody, tax ids have the form of real ones.
"""

from collections.abc import Mapping, Sequence
from random import Random
from string import ascii_uppercase
from typing import Final

from domain.clients import Client, ClientKind, ClientStatus, Segment
from domain.demo.groups import Part
from domain.demo.persons import Person
from domain.parties import NewParty
from domain.text import fold

_TRADES: Final = (
    "Textiles",
    "Foods",
    "Logistics",
    "Infotech",
    "Pharma",
    "Jewellers",
    "Exports",
    "Engineering",
    "Builders",
    "Ventures",
)
_MAIL: Final = ("mail.example", "post.example", "inbox.example")
# By currency: what a telephone number begins with, and how many digits follow.
_PHONES: Final[Mapping[str, tuple[str, int]]] = {
    "INR": ("+9155500", 5),
    "USD": ("+120255501", 2),
    "EUR": ("+4917139200", 2),
    "GBP": ("+447700900", 3),
    "SGD": ("+653550", 4),
}
# The fourth letter of a permanent account number tells what its holder is.
_HOLDERS: Final = {ClientKind.HUF: "H", ClientKind.COMPANY: "C", ClientKind.TRUST: "T"}
_TAGS: Final[Mapping[Segment, tuple[str, ...]]] = {
    Segment.RETAIL: ("sip", "tax saver", "first investor", "referral"),
    Segment.AFFLUENT: ("sip", "retirement", "children's education", "referral", "esg", "home loan"),
    Segment.HNI: ("vip", "retirement", "esg", "business owner", "global", "referral"),
    Segment.UHNI: ("vip", "family office", "philanthropy", "business owner", "global", "succession"),
}
_NOTES: Final[Mapping[str, tuple[str, ...]]] = {
    "goals": (
        "Wants the children's education funded by the time the elder one leaves school.",
        "Plans to retire within ten years and asks for income from then on.",
        "Is saving for a house; half of the portfolio should stay liquid.",
        "Sold the business last year and wants the proceeds invested in steps.",
        "Asks for gold before every festive season; keep the target in view.",
    ),
    "manner": (
        "Prefers a call in the evening.",
        "Reads every contract note; send charges in detail.",
        "Decides together with the family, so allow a few days.",
        "Meets us twice a year and wants one page, not ten.",
        "Was uneasy in the last fall of the market; explain before acting.",
    ),
}


def name_of(part: Part, person: Person, parties: Sequence[NewParty], draws: Random) -> str:
    """A client's name in full."""
    if part is Part.JOINT:
        return f"{person.name} and {parties[1].name}"
    if part is Part.HUF:
        return f"{person.name} HUF"
    if part is Part.COMPANY:
        return f"{person.surname} {draws.choice(_TRADES)} Private Limited"
    return f"{person.surname} Family Trust" if part is Part.TRUST else person.name


def email(name: str, person: Person, draws: Random) -> str:
    """An address at a domain that is reserved for examples."""
    words = name if len(name.split()) > 3 else person.name  # noqa: PLR2004 - a firm writes from its own name
    plain = "".join(mark if mark.isascii() and mark.isalnum() else " " for mark in fold(words.replace("'", "")))
    return f"{'.'.join(plain.split())}@{draws.choice(_MAIL)}"


def phone(currency: str, draws: Random) -> str:
    """A telephone number that nobody has."""
    begins, digits = _PHONES[currency]
    return f"{begins}{draws.randrange(10**digits):0{digits}}"


def tax_id(currency: str, kind: ClientKind, surname: str, draws: Random) -> str:
    """A number in the form of the country's tax ids."""
    number = draws.randrange(10**9)
    letters = draws.choices(ascii_uppercase, k=4)
    if currency == "INR":
        initial = fold(surname)[0].upper()
        return f"{''.join(letters[:3])}{_HOLDERS.get(kind, 'P')}{initial}{number % 10_000:04}{letters[3]}"
    if currency == "GBP":
        return f"QQ{number % 10**6:06}{'ABCD'[number % 4]}"
    if currency == "SGD":
        return f"S{number % 10**7:07}{letters[0]}"
    return f"9{number % 10**8:08}" if currency == "USD" else f"{number:09}{number % 89 + 10}"


def tags(kind: ClientKind, segment: Segment, status: ClientStatus, draws: Random) -> tuple[str, ...]:
    """Up to three tags."""
    chosen = draws.sample(_TAGS[segment], draws.randrange(3))
    if kind is ClientKind.COMPANY:
        chosen = ["corporate treasury"]
    if status is ClientStatus.DORMANT:
        chosen.append("win back")
    return tuple(sorted(chosen))


def notes(client: Client, draws: Random) -> str:
    """What the advisor has written down, if anything."""
    if draws.randrange(5) > 1:
        return ""
    if client.status is ClientStatus.PROSPECT:
        return "Met at an investors' evening; wants to see how we report before opening an account."
    return " ".join(draws.choice(lines) for lines in _NOTES.values())
