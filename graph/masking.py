"""What no log line may hold, taken out of it: secrets, and what tells who a person is.

Texts are judged by form, for by the time they are logged nobody knows any more what they were: rather too much is
masked than too little. Names of people have no form; so nothing that logs may be handed one.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

MASK: Final = "[masked]"
# A value, and a traceback, is cut after so many characters.
LONGEST: Final = 16_000
# A secret that lies across the cut is whole when it is masked.
_OVERLAP: Final = 1_000
_DEEPEST: Final = 6
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})

_TELLING: Final = (
    r"password|passwd|passphrase|secret|token|credential|otp|(?:api|private|field)[_-]?key|recovery[_-]?code"
)
_NAMED: Final = re.compile(
    rf"(?i){_TELLING}|authorization|cookie|^(?:e?mail|phone|mobile|tax_?id|pan|date_?of_?birth|variables)$"
)
_EMAIL: Final = r"[^@\s<>()\[\],;:\"'=]{1,64}@[^@\s<>()\[\],;:\"'=/?.]+(?:\.[^@\s<>()\[\],;:\"'=/?.]+)+"

# In this order: what one leaves behind, a later one must not take for something else. All of them read a text in
# time that grows with its length alone, for clients choose some of what is logged.
_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # PostgreSQL quotes whole rows, and its driver the values that it was given.
    (re.compile(r"(DETAIL|HINT|CONTEXT):[^\n]*"), rf"\1: {MASK}"),
    (re.compile(r"(query argument \$\d{1,5}[^:\n]{0,80}:)[^\n]*"), rf"\1 {MASK}"),
    (re.compile(r"(?i)otpauth://\S+"), MASK),
    (re.compile(r"://[^\s/?#@:]{0,256}:\S{0,1024}@"), f"://{MASK}@"),
    (re.compile(r"(?i)\b(authorization|cookie)(\\?[\"']?\s{0,4}[:=,]\s{0,4}b?\\?[\"']?)[^\r\n\"'\\]*"), rf"\1\2{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), MASK),
    (re.compile(r"(?<![A-Za-z0-9])stw_[\w-]{4,}"), MASK),
    # In a link or a form; then in text, in JSON and in Python's own notation.
    (re.compile(r"([?&#][\w.%-]{1,40}=)[^\s&#\"'<>)]+"), rf"\1{MASK}"),
    (
        re.compile(
            rf"(?i)((?:{_TELLING})[\w-]{{0,40}}\\?[\"']?\s{{0,4}}[:=]\s{{0,4}}b?)"
            r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&}\])]+)"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(_EMAIL), MASK),
    # Opaque texts, as secrets.token_urlsafe and base32 make them. Ids and digests are hexadecimal, and stay.
    (re.compile(r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{32,}=*"), MASK),
    (re.compile(r"(?<![\w-])(?=[A-Z2-7]*[2-7])[A-Z2-7]{16,}=*(?![\w-])"), MASK),
    # Telephones: with a country's code, as in India, as in North America.
    (re.compile(r"\+\d[\d ().-]{6,20}\d"), MASK),
    (re.compile(r"(?<![\w.-])(?:0|91[ -]?)?[6-9]\d{4}[ -]?\d{5}(?![\w-])"), MASK),
    (re.compile(r"(?<![\w.-])\(?\d{3}\)?[ -]\d{3}[ -]\d{4}(?![\w-])"), MASK),
    # Tax ids and the like: PAN and GSTIN, SSN, NINO, NRIC, Emirates ID, Aadhaar, cards and accounts.
    (re.compile(r"(?<![A-Za-z0-9])(?:\d{2})?[A-Z]{5}\d{4}[A-Z](?:[A-Z0-9]{3})?(?![A-Za-z0-9])"), MASK),
    # In small letters it may be the end of a UUID.
    (re.compile(r"(?<![\w-])(?:\d{2})?[A-Za-z]{5}\d{4}[A-Za-z](?:[A-Za-z0-9]{3})?(?![\w-])"), MASK),
    (re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"), MASK),
    (re.compile(r"(?<![A-Za-z0-9])(?:[A-Z]{2}\d{6}[A-D]|[STFGM]\d{7}[A-Z])(?![A-Za-z0-9])"), MASK),
    (re.compile(r"(?<![\w.-])784-?\d{4}-?\d{7}-?\d(?![\w-])"), MASK),
    (re.compile(r"(?<![\w.-])\d{4}[ -]\d{4}[ -]\d{4}(?:[ -]\d{1,7})?(?![\w-])"), MASK),
    (re.compile(r"(?<![\w.-])\d{12,19}(?![\w-])"), MASK),
)


# Most of what is logged: a plain word, or an id.
_WORD: Final = r"(?:[A-Za-z_.]{0,24}|[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12})"
_HARMLESS: Final = re.compile(_WORD)
# The texts of a whole line, one below the other.
_ALL_HARMLESS: Final = re.compile(rf"{_WORD}(?:\n{_WORD})*")


def masked(text: str) -> str:
    """A text without its secrets and personal data, cut where it is longer than anybody reads."""
    if _HARMLESS.fullmatch(text):
        return text
    whole = len(text) <= LONGEST
    shown = text if whole else text[: LONGEST + _OVERLAP]
    for pattern, replacement in _RULES:
        shown = pattern.sub(replacement, shown)
    return shown if whole else f"{shown[:LONGEST]}…"


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a value of that name is one, whatever it looks like."""
    return bool(_NAMED.search(name))


@lru_cache(maxsize=1024)
def _any_secret(names: frozenset[str]) -> bool:
    return any(map(is_secret, names))


def masked_value(value: Any, depth: int = 0) -> Any:
    """A value as it may be logged: texts masked, values of telling names left out, the unknown as its text."""
    if type(value) is str:
        return masked(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {masked(str(key)): _of_key(str(key), each, depth) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked_value(each, depth + 1) for each in value]
    return masked(str(value))


def _of_key(key: str, value: Any, depth: int) -> Any:
    return MASK if value is not None and is_secret(key) else masked_value(value, depth + 1)


def masked_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """A whole line, field by field, but for its moment."""
    texts = [value for key, value in event.items() if key != "time" and type(value) is str]
    together = "\n".join(texts)
    if (
        together.count("\n") == len(texts) - 1
        and _ALL_HARMLESS.fullmatch(together)
        and not _any_secret(frozenset(event))
        and _PLAIN.issuperset(map(type, event.values()))
    ):
        # As it is with nearly all of them, in a tenth of the time.
        return dict(event)
    return {key: value if key == "time" else _of_key(key, value, 0) for key, value in event.items()}
