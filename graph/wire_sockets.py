"""WebSockets as they go to the wire: messages that are ready are written at once, without a task for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN

from graph.http.frames import QUICK
from persistence.bell import Signal

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

# Of a whole text message from a server, as RFC 6455 has it: what follows is its length, and it is not masked.
TEXT: Final = 0x81
SHORT: Final = 126
MEDIUM: Final = 65_536


class Inbox:
    """What a client has said, for one who reads it: asyncio's queue takes 3 KiB, and one message is all that waits."""

    __slots__ = ("_come", "_messages")

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []
        self._come = Signal()

    def put_nowait(self, message: "ASGIReceiveEvent") -> None:
        """Add a message."""
        self._messages.append(message)
        self._come.set()

    def empty(self) -> bool:
        """Whether nothing waits to be read."""
        return not self._messages

    async def get(self) -> "ASGIReceiveEvent":
        """The next message."""
        while not self._messages:
            self._come.clear()
            await self._come.wait()
        return self._messages.pop(0)


class SocketWire(WebSocketsSansIOProtocol):
    """uvicorn's protocol, to which an application may write without waiting, by an extension of the scope.

    It keeps little of a socket that is idle.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = Inbox()  # type: ignore[assignment] # as much of a queue as is used
        self.writable = Signal()
        self.writable.set()

    def handle_connect(self, event: Request) -> None:
        """Let the application know how, before it runs."""
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][QUICK] = self  # type: ignore[assignment] # one of our own, which is no mapping

    def start_keepalive(self) -> None:
        """Begin what goes on for as long as the socket is open, and let go of what has opened it."""
        super().start_keepalive()
        # The parser knows the request for good; what it said is in the scope.
        self.request.headers.clear()
        del self.request, self.response

    @property
    def ready(self) -> bool:
        """Whether the client takes messages as fast as they come."""
        return (
            self.writable.is_set()
            and self.handshake_complete
            and not (self.close_sent or self.disconnected or self.transport.is_closing())
            and self.conn.state is OPEN
        )

    def write(self, texts: Sequence[bytes]) -> None:
        """Send messages, if it is ready."""
        if self.conn.extensions:
            for text in texts:
                self.conn.send_text(text)
            self.transport.write(b"".join(self.conn.data_to_send()))
        else:
            self.transport.write(b"".join(map(framed, texts)))


def framed(text: bytes) -> bytes:
    """A message as a frame of its own."""
    length = len(text)
    if length < SHORT:
        return bytes((TEXT, length)) + text
    if length < MEDIUM:
        return bytes((TEXT, 126)) + length.to_bytes(2) + text
    return bytes((TEXT, 127)) + length.to_bytes(8) + text
