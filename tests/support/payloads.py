"""Texts that mean something to somebody else: to a database, a template, a shell, a spreadsheet, a browser."""

from collections.abc import Mapping
from itertools import product
from typing import Final

SQL: Final = (
    *("'", "''", '"', "`", "\\", "\\'", "';", "'--", "' #", "'/*", "*/", "--", "/*", ";", "$$", "$1", ":1", "%s", "?"),
    *("' or 1=1 --", "' or '1'='1", '" or ""="', "') or ('1'='1", "1 or 1=1", "' or true --", "x' or 1=1 limit 1 --"),
    *("'; drop table clients; --", "'; drop table clients cascade --", '"; delete from users; --', "1; select 1"),
    *("' union select null --", "' union all select null, null, null --", "' union select version() --"),
    *("' and 1=cast((select version()) as int) --", "' and (select count(*) from pg_user) > 0 --"),
    *("'; select pg_sleep(15) --", "' || pg_sleep(15) --", "1) or pg_sleep(15) is null --", "$(select pg_sleep(15))"),
    *("'; copy (select '') to program 'id' --", "' || current_setting('steward.viewer') --", "'; set role postgres --"),
    *("'; set_config('steward.everything', 'true', false) --", "'; reset role --", "'; commit; --", "'; rollback; --"),
    *(
        "E'\\047'",
        "U&'\\0027'",
        "chr(39)",
        "{''}",
        "{1,2}",
        "[1,2]",
        "(1,2)",
        "null",
        "NULL",
        "default",
        "true",
        "::text",
    ),
    *(
        "%",
        "_",
        "\\%",
        "%%",
        "a%' or name like '%",
        "a_b",
        "~*",
        "^.*$",
        "!",
        "&",
        "|",
        "<->",
        "a:* & b",
        "'a' & 'b':*",
    ),
    *('{"$gt": ""}', '{"$ne": null}', "' || '1'=='1", "*)(uid=*))(|(uid=*", "admin)(&)", "' or ''='", "']|//*|//*['"),
)
GRAPHQL: Final = (
    *("{", "}", "}}", "{ __schema { types { name } } }", '") { id } viewer { name } #', "}) { __typename } }", "#"),
    *(
        '""" }',
        '"""',
        "$input",
        "... on User { id }",
        "@include(if: true)",
        "query Q { viewer { id } }",
        "\\u0022)",
        "__typename",
    ),
    *("fragment F on Query { viewer { id } }", "mutation { signOut(input: {}) { userErrors { code } } }", "Client:1"),
)
TEMPLATE: Final = (
    *("{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{7*7}", "*{7*7}", "@(7*7)", "{{=7*7}}", "[[7*7]]", "{% debug %}"),
    *(
        "{{config}}",
        "{{self.__init__.__globals__}}",
        "{0.__class__}",
        "{self}",
        "%(name)s",
        "%n%n%n%n",
        "%x%x%x%x",
        "%d",
    ),
    *(
        "${jndi:ldap://127.0.0.1/a}",
        "${env:JWT_SECRET}",
        "__import__('os').system('id')",
        "eval('1')",
        "{{''.__class__}}",
    ),
)
SHELL: Final = (
    *("; id", "| id", "|| id", "& id", "&& id", "$(id)", "`id`", "\n id", "> /tmp/x", "< /etc/passwd", "-rf", "--help"),
    *("-o/tmp/x", "%0aid", "() { :;}; id", "!id", "~", "*", "?(id)", "${IFS}id", "\\x3bid"),
)
PATHS: Final = (
    *("../", "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "file:///etc/passwd", "....//....//"),
    *("%2e%2e%2f", "%252e%252e%252f", "..%c0%af", "/dev/null", "/proc/self/environ", "C:\\", "\\\\host\\share", "con"),
    *("a/../../b", ".env", "~/.ssh/id_rsa", "http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:5432/"),
    *("gopher://127.0.0.1:25/", "javascript:alert(1)", "data:text/html,x", "//evil.example/x", "https://evil.example"),
)
FORMULAS: Final = (
    *("=1+1", "+1+1", "-1+1", "@SUM(1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://evil.example","x")', "\t=1+1"),
    *(
        '=IMPORTXML("http://evil.example","//a")',
        "\r=1+1",
        "|=1",
        ";=1+1",
        ',=1+1,"',
        '"=1+1',
        "＝1+1",
        "'=1+1",
        "%0A=1",
    ),
)
HEADERS: Final = (
    *("a\r\nX-Evil: b", "a\nSet-Cookie: a=b", "a\r\n\r\n<html>", "a\rb", "%0d%0aX-Evil: b", "Bearer x", "a\u2028b"),
    *("asha@example.org\nBcc: all@example.org", "asha@example.org%0aBcc:x", "a@b.example>", '"a"@b.example', "a,b@c.d"),
    *("=?utf-8?q?=0AX-Evil:_b?=", "\u560a\u560dX-Evil: b", "*/*;q=2", "gzip", "127.0.0.1", "::1", "chunked"),
)
MARKUP: Final = (
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '"><svg onload=alert(1)>',
        "</script>",
        "<!--",
        "-->",
    ),
    *("<![CDATA[x]]>", "&lt;b&gt;", "&#x27;", "<a href='javascript:alert(1)'>", "[x](javascript:alert(1))", "![x](x)"),
    *('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "<b>", "]]>", "\\<"),
    *("javascript:alert(1)", "' onmouseover='alert(1)", "<style>*{}</style>", "expression(alert(1))", "<base href=x>"),
)
# What text does besides being read: turn, hide, join, swell, end, ring; and what no text is.
UNICODE: Final = (
    *(
        "\u202e",
        "a\u202eb",
        "\u200b",
        "\u200d",
        "\ufeff",
        "\u00ad",
        "\u2066x\u2069",
        "\u0085",
        "\u2028",
        "\u2029",
        "\u180e",
    ),
    *(
        "\x01",
        "\x07",
        "\x08",
        "\x1b[31m",
        "\x1b]0;x\x07",
        "\x7f",
        "\x9b",
        "\x85",
        "\x1f",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\v",
    ),
    *(
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\U0010ffff",
        "\ue000",
        "\U000e0001",
        "\U000e0041",
        "𝕬",
        "ﬁ",
        "ﷺ",
        "İ",
        "ı",
        "ß",
        "ẞ",
    ),
    *(
        "ſ",
        "K",
        "Å",
        "e\u0301",
        "é",
        "Z" + "\u0351" * 60,
        "क्षि",
        "👨‍👩‍👧‍👦",
        "🇮🇳",
        "١٢٣",
        "１２３",
        "Ⅷ",
        "½",
        "²",
        "−1",
        "1e5",
    ),
    *("\x00", "a\x00b", "\x00' or 1=1 --", "\ud800", "\udc00", "a\ud83d", "\ude00b", "\udfff" * 3, "\\u0000", "%00"),
)
NUMBERS: Final = (
    *(
        "0",
        "-0",
        "-1",
        "1e309",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x41",
        "0b1",
        "1_000",
        "1,000",
        "1.",
        ".1",
        "+1",
        " 1 ",
    ),
    *("9" * 40, "0." + "0" * 40 + "1", "99999999999999999999", "2147483648", "9223372036854775808", "1e-400", "--1"),
)
LONG: Final = (
    "x" * 5_000,
    "'" * 2_000,
    "é" * 2_000,
    "😀" * 1_000,
    " " * 2_000,
    "\n" * 2_000,
    "(" * 2_000,
    "%" * 2_000,
    "a " * 2_000,
)
WORDS: Final = (
    *(
        "",
        " ",
        "undefined",
        "None",
        "nil",
        "null",
        "false",
        "{}",
        "[]",
        "NaN",
        "admin",
        "root",
        "constructor",
        "__proto__",
    ),
    *("toString", "hasOwnProperty", "self", "cls", "__class__", "__dict__", "0", "Client", "client_", "client_0", "*"),
)


def _packed() -> tuple[str, ...]:
    """Quotes, comments and ends of statements in all orders, before a word that would tell of itself."""
    return tuple(
        f"{quote}{close} or 1=1{end}" for quote, close, end in product(("'", '"', "\\'"), ("", ")"), (" --", "#", ";"))
    )


FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "sql": SQL + _packed(),
    "graphql": GRAPHQL,
    "template": TEMPLATE,
    "shell": SHELL,
    "path": PATHS,
    "formula": FORMULAS,
    "header": HEADERS,
    "markup": MARKUP,
    "unicode": UNICODE,
    "number": NUMBERS,
    "long": LONG,
    "word": WORDS,
}
PAYLOADS: Final = tuple(dict.fromkeys(text for family in FAMILIES.values() for text in family))


def storable(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold a text."""
    return not any(letter == "\x00" or "\ud800" <= letter <= "\udfff" for letter in text)
