"""How much a client may ask of a connection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The most that one request or socket may take.

    `body_bytes` is for a request's body (and for its query string), `message_bytes` for one message on a socket.
    A socket that has not sent `connection_init` within `init_seconds` is closed, an event stream says that it lives
    every `heartbeat_seconds`, and `last_words_seconds` is how long a slow reader may take for its final event.
    """

    body_bytes: int = 1_048_576
    message_bytes: int = 262_144
    operations_per_socket: int = 100
    init_seconds: float = 10
    heartbeat_seconds: float = 15
    last_words_seconds: float = 5
