"""HTTP to providers: only where a setting, or the document of a provider that a setting names, says; bounded in all."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import httpx

from domain.errors import Unavailable
from domain.providers.configuration import safe

log = logging.getLogger("steward.providers")

SECONDS: Final = 10.0
LARGEST: Final = 1 << 18  # bytes
MOST_CONNECTIONS: Final = 20


@cache
def _trusted() -> ssl.SSLContext:
    """Whom everybody trusts; read once, for it takes 30 ms. Nothing of the environment."""
    return httpx.create_ssl_context(trust_env=False)


class Outside:
    """Calls providers: over https (or on this machine), without redirects, for some seconds and bytes at most."""

    def __init__(self, *, seconds: float = SECONDS, largest: int = LARGEST) -> None:
        self._seconds = seconds
        self._largest = largest
        limits = httpx.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=30)
        # Nothing of the environment: a proxy or a .netrc that others set must not see secrets.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds), limits=limits, follow_redirects=False, trust_env=False, verify=_trusted()
        )

    async def close(self) -> None:
        """Give all connections back."""
        await self._client.aclose()

    async def get(self, provider: str, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Read what is there, whatever its status; raises Unavailable."""
        return await self.call(provider, "GET", url, headers or {})

    async def call(
        self, provider: str, method: str, url: str, headers: Mapping[str, str], body: str = ""
    ) -> httpx.Response:
        """Call a provider, whatever status it answers with; raises Unavailable if it does not, or with too much."""
        if not safe(url):
            raise self.down(provider, "an address that is not https")
        # Encoded answers could be small on the way and large here.
        plain = {**headers, "accept-encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream(method, url, headers=plain, content=body.encode() or None) as response,
            ):
                content = await self._read(provider, response)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise self.down(provider, type(error).__name__) from error
        return httpx.Response(response.status_code, headers=response.headers, content=content, request=response.request)

    async def _read(self, provider: str, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self.down(provider, "an answer in an encoding that was not asked for")
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self._largest:
                raise self.down(provider, "an answer that is too large")
        return bytes(content)

    async def json(self, provider: str, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON that is there; raises Unavailable where there is none, or its status is not 200."""
        answer = await self.get(provider, url, {"accept": "application/json", **(headers or {})})
        if answer.status_code != httpx.codes.OK:
            raise self.down(provider, f"status {answer.status_code}")
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise self.down(provider, "an answer that is no JSON") from error

    @staticmethod
    def down(provider: str, what: str) -> Unavailable:
        """What is raised, and logged, where a provider does not do its part. `what` holds nothing of the request."""
        log.warning("the provider %s cannot be used: %s", provider, what)
        return Unavailable("The provider of the sign-in does not answer as it should; try again in a while.")
