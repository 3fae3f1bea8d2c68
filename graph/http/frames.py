"""The frames of a socket: texts that hold JSON, and nothing else."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Protocol

from starlette.websockets import WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected

from domain.errors import Invalid
from graph.http.response import encode
from graph.http.values import decode_json

# The extension of ASGI by which our own protocol is written to (`graph/wire_sockets.py`).
QUICK: Final = "steward.quick"
# The most that a close frame carries, in bytes.
LONGEST_REASON = 123


class BadFrame(Exception):  # noqa: N818 - the client's fault
    """A frame that no message can be read from, with the code to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Quick(Protocol):
    """A way to send messages without waiting."""

    @property
    def ready(self) -> bool:
        """Whether the client takes messages as fast as they come."""

    def write(self, texts: Sequence[bytes]) -> None:
        """Send messages, if it is ready."""


def _read(text: str, most: int) -> object:
    if len(text) > most or len(text.encode("utf-8", "surrogatepass")) > most:
        raise BadFrame(1009, f"Messages must not be longer than {most} bytes")
    try:
        return decode_json(text)
    except Invalid:
        raise BadFrame(4400, "Messages must be JSON") from None


class Frames(ASGIWebSocketAdapter):
    """Starlette's socket as messages."""

    async def receive(self, most: int) -> AsyncGenerator[object, None]:
        """Each message until the client leaves. Raises BadFrame for one that is binary, too long or no JSON."""
        while True:
            try:
                text = await self.ws.receive_text()
            except WebSocketDisconnect:
                return
            except KeyError:
                raise BadFrame(4400, "Messages must be text") from None
            # Nothing of it is kept until the next one comes, which may be hours.
            yield _read(text, most)
            del text

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message as text. Raises Strawberry's WebSocketDisconnected once either side has closed."""
        await self.send(encode(message))

    async def send(self, text: bytes) -> None:
        """Send what is encoded already, likewise."""
        try:
            await self.ws.send_text(text.decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error

    @property
    def quick(self) -> "Quick | None":
        """A way to send that does not wait, where the server has one."""
        quick: Quick | None = self.ws.scope.get("extensions", {}).get(QUICK)
        return quick

    async def close(self, code: int, reason: str) -> None:
        """Close, unless it has happened; the reason is cut to what fits."""
        short = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        try:
            await self.ws.close(code, short)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error
