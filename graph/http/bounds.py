"""How much a client may ask of a connection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The most that one request, one socket, one user or one address may take, in one process.

    `body_bytes` is for a request's body (and for its query string), which must have come within `body_seconds`;
    `message_bytes` for one message on a socket. Messages may come at `messages_per_second`, and `messages_at_once` if
    there were none for a while: a client that comes back subscribes to all it had.

    A socket that has not sent `connection_init` within `init_seconds` is closed, so is one on which nothing has run and
    nothing was said for `idle_seconds`, and any after about `socket_seconds`, so that it comes back to another server.
    An event stream says that it lives every `heartbeat_seconds`, and `last_words_seconds` is how long a slow reader may
    take for its final event.

    `connections_per_address` counts sockets, event streams and requests under way, `operations_per_user` what runs at
    once on all sockets and streams of a user, or of an address before it has signed in.
    """

    body_bytes: int = 1_048_576
    body_seconds: float = 30
    message_bytes: int = 262_144
    messages_per_second: float = 20
    messages_at_once: int = 200
    operations_per_socket: int = 100
    operations_per_user: int = 200
    connections_per_address: int = 500
    init_seconds: float = 10
    idle_seconds: float = 3_600
    socket_seconds: float = 43_200
    heartbeat_seconds: float = 15
    last_words_seconds: float = 5
