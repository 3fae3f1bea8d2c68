"""WebSockets as they go to the wire: messages that are ready are written at once, without a task for each."""

from collections.abc import Sequence
from typing import Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN

from graph.http.frames import QUICK

# Of a whole text message from a server, as RFC 6455 has it: what follows is its length, and it is not masked.
TEXT: Final = 0x81
SHORT: Final = 126
MEDIUM: Final = 65_536


class SocketWire(WebSocketsSansIOProtocol):
    """uvicorn's protocol, to which an application may write without waiting, by an extension of the scope."""

    def handle_connect(self, event: Request) -> None:
        """Let the application know how, before it runs."""
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][QUICK] = self  # type: ignore[assignment] # one of our own, which is no mapping

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
