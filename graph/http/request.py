"""From a request's method, headers and bytes to the operation that it asks for."""

from typing import Any, Final, Self

import msgspec

from domain.errors import Forbidden, Invalid
from graph.execution import Operation as Known
from graph.http.accept import JSON
from graph.http.body import read_body
from graph.http.bounds import HttpLimits
from graph.http.persisted import Persisted, PersistedQueryNotFound
from graph.http.received import Received
from graph.http.refused import Refused
from graph.http.values import check_document, check_values, decode_json

# How JSON writes a character by its number.
ESCAPE: Final = b"\\u"
NAMED: Final = "persistedQuery"


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of the GraphQL-over-HTTP specification as they should be sent, and that of a trusted document.

    No others: what stands under those the reader would not look at.
    """

    query: str | None = None
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - the specification's
    extensions: dict[str, Any] | None = None
    documentId: str | None = None  # noqa: N815 - as urql and others have it


_SENT: Final = msgspec.json.Decoder(Sent)


class Operation(msgspec.Struct, frozen=True):
    """What a client asks to have executed; the same over all transports. `known` if its document was found valid."""

    query: str
    variables: dict[str, Any] | None
    name: str | None
    extensions: dict[str, Any] | None
    known: Known | None = None

    @classmethod
    def plain(cls, body: bytes, persisted: Persisted) -> Self | None:
        """The operation of a body that holds the text of a known document, and nothing that has to be looked into.

        None for all others, whatever they are. Without an escape JSON in UTF-8 holds no text that cannot be stored, and
        what the strict reader takes holds no number beyond a double.
        """
        if ESCAPE in body or persisted.trusted_only:
            return None
        try:
            sent = _SENT.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if not sent.query or sent.documentId is not None or (sent.extensions and NAMED in sent.extensions):
            return None
        document, name = persisted.documents.get(sent.query), sent.operationName or None
        known = document.operation(name) if document else None
        return cls(sent.query, sent.variables, name, sent.extensions, known) if known else None

    @classmethod
    def of(cls, data: object, persisted: Persisted) -> Self:
        """Read the keys of the GraphQL-over-HTTP specification, and those that name a document instead of holding it.

        Raises Invalid naming the one at fault, and what `Persisted.text` raises.
        """
        if isinstance(data, list):
            raise Invalid("Batches are not taken: send one operation a request.")
        if not isinstance(data, dict):
            raise Invalid("The request is no JSON object.")
        query, name = data.get("query"), data.get("operationName")
        variables, extensions = data.get("variables"), data.get("extensions")
        if query is not None and not isinstance(query, str):
            raise Invalid.of("query", "It must be a text." if query else "A document is missing.")
        if name is not None and not isinstance(name, str):
            raise Invalid.of("operationName", "It must be a text or null.")
        if variables is not None and not isinstance(variables, dict):
            raise Invalid.of("variables", "It must be an object or null.")
        if extensions is not None and not isinstance(extensions, dict):
            raise Invalid.of("extensions", "It must be an object or null.")
        text = persisted.text(data)
        if text is None:
            raise Invalid.of("query", "A document is missing.")
        document = persisted.documents.get(text)
        known = document.operation(name or None) if document else None
        return cls(text, variables, name or None, extensions, known)

    def check(self) -> None:
        """Refuse text and numbers that no field could take. Raises Invalid naming the variables."""
        if self.known is None:
            if not self.query.strip():
                raise Invalid.of("query", "A document is missing.")
            check_document(self.query)
            if self.name:
                check_document(self.name)
        if self.variables:
            check_values(self.variables)


async def read_operation(request: Received, limits: HttpLimits, persisted: Persisted) -> Operation:
    """The operation of a request, checked; raises Refused with the status to answer.

    That mutations need POST and a JSON content type is also what keeps other sites' pages out (CSRF): a browser
    sends such a request across origins only after a preflight. Queries by GET need no more, for they change nothing,
    and browsers add no credentials to them: a token travels in a header that only our own frontends know.
    """
    if request.method in {"GET", "HEAD"}:
        data: object = _parameters(request, limits)
    else:
        body = await _posted(request, limits)
        if (plain := Operation.plain(body, persisted)) is not None:
            return plain
        data = _decoded(body, "")
    try:
        operation = Operation.of(data, persisted)
        operation.check()
    except PersistedQueryNotFound as fault:
        # No failure: clients ask whether it is known.
        raise Refused(200, fault) from fault
    except Forbidden as fault:
        raise Refused(403, fault) from fault
    except Invalid as fault:
        raise Refused(400, fault) from fault
    return operation


def _parameters(request: Received, limits: HttpLimits) -> dict[str, Any]:
    most = limits.body_bytes
    if len(request.scope["query_string"]) > most:
        raise Refused.of(414, "", f"The query string is longer than {most} bytes.")
    given: dict[str, Any] = dict(request.query_params)
    for key in ("variables", "extensions"):
        if key in given:
            given[key] = _decoded(given[key], key) if given[key] else None
    return given


async def _posted(request: Received, limits: HttpLimits) -> bytes:
    head = request.head
    if not head.is_json:
        raise Refused.of(415, "Content-Type", f"It must be {JSON}, in UTF-8.", Accept=JSON)
    if head.is_encoded:
        raise Refused(415, Invalid.of("Content-Encoding", "Send the body as it is."), {"Accept-Encoding": "identity"})
    return await read_body(request, limits.body_bytes, limits.body_seconds)


def _decoded(text: str | bytes, key: str) -> object:
    try:
        return decode_json(text)
    except Invalid as fault:
        issue = fault.details[0][1]
        raise Refused(400, Invalid.of(key, issue)) from fault
