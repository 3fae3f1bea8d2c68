"""The id under which a request is found in answers, in the log and in the audit trail."""

from collections.abc import MutableMapping
from random import getrandbits
from typing import Any

from graph.http.head import head_of


def request_id(scope: MutableMapping[str, Any]) -> str:
    """The id in the ASGI scope's state, else a sane `X-Request-Id` from the client, else a new one.

    It is kept in the state, so that all that serve the request agree on it.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    known: str | None = state.get("request_id")
    if known is None:
        known = state["request_id"] = head_of(scope).request_id or _new()
    return known


def _new() -> str:
    # No secret, so that the system need not be asked for what makes one.
    return f"{getrandbits(128):032x}"
