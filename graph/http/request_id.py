"""The id under which a request is found in answers, in the log and in the audit trail."""

import re
from collections.abc import MutableMapping
from random import getrandbits
from typing import Any

# What goes into log lines and headers unquoted; trace ids of the usual balancers fit.
SANE = re.compile(rb"[A-Za-z0-9._:=-]{1,64}")


def request_id(scope: MutableMapping[str, Any]) -> str:
    """The id in the ASGI scope's state, else a sane `X-Request-Id` from the client, else a new one.

    It is kept in the state, so that all that serve the request agree on it.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    known: str | None = state.get("request_id")
    if known is None:
        sent = first_header(scope, b"x-request-id")
        known = state["request_id"] = sent.decode("ascii") if SANE.fullmatch(sent) else _new()
    return known


def first_header(scope: MutableMapping[str, Any], name: bytes) -> bytes:
    """The first header of a name, in small letters; empty if there is none."""
    found: bytes = dict(reversed(scope["headers"])).get(name, b"")
    return found


def _new() -> str:
    # No secret, so that the system need not be asked for what makes one.
    return f"{getrandbits(128):032x}"
