"""A provider of identity on a real socket, which speaks OpenID Connect, or like GitHub; tests have it misbehave."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.served import served

CLIENT_ID = "steward-tests"
CLIENT_SECRET = "the secret of the tests' client"
REDIRECT = "https://app.example/signed-in"


class Back(dict[str, str]):
    """What the browser came back with: the parameters of the address that the provider sent it to."""


class Person(dict[str, Any]):
    """What the provider says of whoever is there."""


def asha(**given: Any) -> Person:
    """Somebody with an address that the provider has verified."""
    claims = {"sub": "248289761001", "email": "asha@bank.example", "email_verified": True, "name": "Asha Rao"}
    return Person({**claims, "picture": "https://pictures.example/asha.png", **given})


def somebody(subject: str) -> Person:
    """Whoever has chosen this account."""
    return asha(sub=subject, email=f"{subject}@bank.example", name="Zyxwvut Qponm")


class OpenIdServer:
    """OpenID Connect, as far as a client needs it; what its attributes say, it does."""

    def __init__(self) -> None:
        self.url = ""
        self.person = asha()
        self.keys = [ECKey.generate_key("P-256", parameters={"kid": "first"})]
        # What the next tokens have that differs: claims, the header, or the whole token by a function.
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.forge: Callable[[dict[str, Any]], str] | None = None
        # What an endpoint answers instead, by its path.
        self.instead: dict[str, Callable[[], Any]] = {}
        self.document: dict[str, Any] = {}
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}

    @property
    def app(self) -> Starlette:
        """The server's application."""
        routes = [
            Route(path, self._unless_instead(path, answer), methods=["GET", "POST"])
            for path, answer in (
                ("/.well-known/openid-configuration", self._discovery),
                ("/keys", self._keys),
                ("/authorize", self._authorize),
                ("/token", self._token),
            )
        ]
        return Starlette(routes=routes)

    def _unless_instead(self, path: str, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            self.asked.append(path)
            if path in self.instead:
                made: Response = await maybe(self.instead[path]())
                return made
            usual: Response = await answer(request)
            return usual

        return answered

    async def _discovery(self, _: Request) -> Response:
        stated = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
        }
        return JSONResponse({**stated, **self.document})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse(KeySet(list(self.keys)).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert (asked["client_id"], asked["response_type"], asked["redirect_uri"]) == (CLIENT_ID, "code", REDIRECT)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return RedirectResponse(f"{REDIRECT}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or not proves(form, asked) or form["redirect_uri"] != REDIRECT:
            return JSONResponse({"error": "invalid_grant", "error_description": f"not {form}"}, 400)
        token = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "id_token": self._id_token(asked)}
        return JSONResponse(token)

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(datetime.now(UTC).timestamp())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {**claims, **(somebody(asked["who"]) if "who" in asked else self.person), **self.claims}
        if "max_age" in asked:
            claims.setdefault("auth_time", now)
        told = {name: value for name, value in claims.items() if value is not ...}
        if self.forge:
            return self.forge(told)
        key = self.keys[-1]
        return jwt.encode({"alg": "ES256", "kid": key.kid, **self.header}, told, key, algorithms=["ES256"])


class GitHubServer:
    """As GitHub: OAuth 2.0, and an API that tells who it is."""

    def __init__(self) -> None:
        self.url = ""
        self.user: dict[str, Any] = {"id": 583231, "login": "octo", "name": None, "avatar_url": None}
        self.emails: list[dict[str, Any]] = [
            {"email": "other@bank.example", "primary": False, "verified": True},
            {"email": "Octo@bank.example", "primary": True, "verified": True},
        ]
        self.status = 200
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()

    @property
    def app(self) -> Starlette:
        """The server's application."""
        return Starlette(
            routes=[
                Route("/login/oauth/authorize", self._authorize),
                Route("/login/oauth/access_token", self._token, methods=["POST"]),
                Route("/api/v3/user", self._told(lambda: self.user)),
                Route("/api/v3/user/emails", self._told(lambda: self.emails)),
            ]
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert "openid" not in asked["scope"]
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return RedirectResponse(f"{REDIRECT}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        assert request.headers["accept"] == "application/json"
        asked = self.codes.pop(form.get("code", ""), None)
        # As GitHub does, with the status of a success.
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "incorrect_client_credentials"})
        if asked is None or not proves(form, asked):
            return JSONResponse({"error": "bad_verification_code", "error_description": f"not {form}"})
        token = secrets.token_urlsafe(16)
        self.tokens.add(token)
        return JSONResponse({"access_token": token, "token_type": "bearer", "scope": asked["scope"]})

    def _told(self, what: Callable[[], Any]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
                return JSONResponse({"message": "Bad credentials"}, 401)
            return JSONResponse(what(), self.status)

        return answered


async def maybe(made: Any) -> Any:
    """What was made, at once or in time."""
    return await made if asyncio.iscoroutine(made) else made


def proves(form: dict[str, str], asked: dict[str, str]) -> bool:
    """PKCE: whether the verifier is the one whose digest came with the request for the code."""
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]


@asynccontextmanager
async def providing(server: OpenIdServer | GitHubServer) -> AsyncIterator[None]:
    """The provider on a free port of loopback until the end of the block."""
    async with served(server.app) as address:
        server.url = address.url
        yield


async def visit(url: str, who: str | None = None) -> Back:
    """Send a browser where the authorization URL says, and give what it comes back with; `who` chooses an account."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(f"{url}&who={who}" if who else url)
    assert answer.status_code == 302, answer.text
    sent = answer.headers["location"]
    assert sent.startswith(REDIRECT)
    return Back({name: values[0] for name, values in parse_qs(urlsplit(sent).query).items()})
