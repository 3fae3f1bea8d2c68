"""Documents by name instead of by text: trusted ones from a manifest, and those that a client has sent before.

A client that has its hash alone sends no document (Apollo's automatic persisted queries, which urql speaks too): it is
told when nobody has sent the document yet, and sends both. Trusted documents are known from the start, under whatever
ids their manifest gives, by the same extension or by `documentId`; and they may be all that is taken.
"""

from collections.abc import Mapping
from typing import Any, Final

from domain.errors import ErrorCode, Fault, Forbidden, Invalid
from graph.execution import Documents, digest_of

VERSION: Final = 1
HASH_OF: Final = "sha256:"
HASH_FIELD: Final = "extensions.persistedQuery.sha256Hash"


class PersistedQueryNotFound(Fault):
    """Nobody has sent the document of this hash yet; its message is what clients look for."""

    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND
    message = "PersistedQueryNotFound"


class Persisted:
    """The documents that need not be sent. With `trusted_only` no others are taken."""

    def __init__(self, documents: Documents, trusted: Mapping[str, str], *, trusted_only: bool) -> None:
        self.documents = documents
        self._named_so = trusted
        self._trusted = {digest_of(text): text for text in trusted.values()}
        self.trusted_only = trusted_only

    def text(self, data: Mapping[str, Any]) -> str | None:
        """The document that a request means; none if it names none.

        Raises Invalid for a name that cannot be one, PersistedQueryNotFound, and Forbidden for what is not trusted
        where only that is taken.
        """
        given: str | None = data.get("query")
        name = _name(data)
        text = given if name is None else self._named(*name, given)
        if self.trusted_only and text and digest_of(text) not in self._trusted:
            raise Forbidden("This server takes trusted documents alone.")
        return text

    def _named(self, field: str, name: str, given: str | None) -> str:
        digest = name.removeprefix(HASH_OF)
        if given is None:
            known = self._named_so.get(name) or self._trusted.get(digest) or self.documents.text_of(digest)
            if known is None:
                raise PersistedQueryNotFound
            return known
        if digest != digest_of(given) and self._named_so.get(name) != given:
            raise Invalid.of(field, "is not that of the document.")
        return given


def _name(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """Where a request names its document, and the name."""
    name = data.get("documentId")
    if name is not None:
        if not isinstance(name, str) or not name:
            raise Invalid.of("documentId", "It must be a text or null.")
        return "documentId", name
    asked = (data.get("extensions") or {}).get("persistedQuery")
    if asked is None:
        return None
    if not isinstance(asked, dict) or asked.get("version") != VERSION:
        raise Invalid.of("extensions.persistedQuery", f"It must be an object of version {VERSION}.")
    name = asked.get("sha256Hash")
    if not isinstance(name, str) or not name:
        raise Invalid.of(HASH_FIELD, "It must be a text.")
    return HASH_FIELD, name
