"""A model at an endpoint that speaks OpenAI's protocol. Imported only where one is set, for its SDK takes long to."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final, TypeVar

import msgspec
import openai
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk

from domain.assistant.models import Ask, Formed, Line, ModelRefused, Piece, Speaker, Spent, Text, wire
from domain.assistant.models.endpoints import KEEPING, Endpoint
from domain.assistant.models.failures import FAILED, Again, Retries, Sleep, meaning
from domain.assistant.prompts import prompt

T = TypeVar("T")

TEMPERATURE: Final = "temperature"
# A model that begins anew, though it was asked to go on, repeats at least as many letters.
REPEATED: Final = 16


class Compatible:
    """One endpoint, with retries; its connections are kept until `close`.

    `sleep` waits for some seconds, and `chance` gives a number from 0 to 1: tests have theirs.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = endpoint
        self._client = client(endpoint)
        self._sleep = sleep
        self._chance = chance
        # Until it says that it takes none.
        self._temperate = endpoint.temperature is not None

    @property
    def name(self) -> str:
        """What it is called in traces and usage."""
        return self._endpoint.name

    async def close(self) -> None:
        """Give its connections back."""
        await self._client.close()

    async def answer(self, ask: Ask) -> AsyncGenerator[Piece]:
        """The answer, as it comes; where it is cut short, what the model says when asked to go on follows directly.

        Raises ModelDown and ModelRefused.
        """
        retries, said = self._retries(), ask.said
        while True:
            try:
                async with aclosing(self._once(ask, said)) as pieces:
                    async for piece in pieces:
                        said += piece.text if isinstance(piece, Text) else ""
                        yield piece
            except Again as again:
                failed = again
            else:
                return
            await retries.pause(failed)

    async def structured(self, ask: Ask, shape: type[T]) -> Formed[T]:
        """An answer of the shape; where it does not fit, the model may mend it once.

        Raises ModelDown, and ModelRefused if it does not fit then either.
        """
        form = wire.response_format(shape)
        schema = msgspec.json.encode(form["json_schema"]["schema"]).decode()
        asked = (*ask.lines, Line(Speaker.USER, prompt("structured").render(schema=schema)))
        text, spent = await self._whole(asked, form)
        try:
            return Formed(_read(text, shape), spent)
        except msgspec.DecodeError as error:
            problem = str(error)
        mend = Line(Speaker.USER, prompt("repair").render(problem=problem))
        mended, more = await self._whole((*asked, Line(Speaker.ASSISTANT, text), mend), form)
        try:
            return Formed(_read(mended, shape), spent + more)
        except msgspec.DecodeError:
            raise ModelRefused(f"{self.name}: its answer does not have the shape that was asked for") from None

    def _retries(self) -> Retries:
        return Retries(self.name, self._sleep, self._chance)

    async def _whole(self, lines: tuple[Line, ...], form: dict[str, Any]) -> tuple[str, tuple[Spent, ...]]:
        """An answer that nobody sees before it is whole, and its cost: one that is cut short is asked for anew."""
        retries = self._retries()
        while True:
            try:
                async with aclosing(self._once(Ask(lines), "", response_format=form)) as pieces:
                    found = [piece async for piece in pieces]
                    words = "".join(piece.text for piece in found if isinstance(piece, Text))
                    return words, tuple(piece for piece in found if isinstance(piece, Spent))
            except Again as again:
                failed = again
            await retries.pause(failed)

    async def _once(self, ask: Ask, said: str, **more: Any) -> AsyncGenerator[Piece]:
        """One attempt. Raises Again and ModelRefused."""
        gathering, onward = wire.Gathering(), Onward(said)
        try:
            async with aclosing(self._chunks({**self._request(ask, said), **more})) as chunks:
                async for chunk in chunks:
                    if words := onward.further(gathering.take(chunk)):
                        yield Text(words)
        except Again:
            # Once it has said that it is finished, only the usage can be missing.
            if gathering.finish is None:
                raise
        if gathering.finish is None:
            raise Again("an answer that breaks off")
        if words := onward.rest():
            yield Text(words)
        for piece in self._concluded(gathering, spoken=onward.spoken):
            yield piece

    def _concluded(self, gathering: wire.Gathering, *, spoken: bool) -> list[Piece]:
        """What comes after the words."""
        pieces: list[Piece] = [*gathering.calls()]
        if gathering.finish == wire.TOO_LONG and not pieces and not spoken:
            raise ModelRefused(f"{self.name}: its answer is longer than it may be")
        if usage := gathering.usage:
            prices = self._endpoint.prices
            cost = prices.cost(usage.prompt_tokens, usage.completion_tokens) if prices else None
            pieces.append(Spent(self.name, usage.prompt_tokens, usage.completion_tokens, cost))
        return pieces

    def _request(self, ask: Ask, said: str) -> dict[str, Any]:
        endpoint, lines = self._endpoint, ask.lines
        if said:
            lines = (*lines, Line(Speaker.ASSISTANT, said), Line(Speaker.USER, prompt("continue").render()))
        request: dict[str, Any] = {
            "model": endpoint.model,
            "messages": wire.messages(lines),
            "max_completion_tokens" if endpoint.preset in KEEPING else "max_tokens": endpoint.max_tokens,
        }
        if endpoint.preset in KEEPING:
            request["store"] = False
        if self._temperate:
            request[TEMPERATURE] = endpoint.temperature
        if ask.tools:
            request["tools"] = wire.tools(ask.tools)
            if not ask.may_call:
                request["tool_choice"] = "none"
        return request

    async def _chunks(self, request: dict[str, Any]) -> AsyncGenerator[wire.Chunk]:
        try:
            async with await self._opened(request) as stream:
                chunks: AsyncIterator[ChatCompletionChunk] = aiter(stream)
                while (chunk := await self._next(chunks)) is not None:
                    yield msgspec.convert(chunk.to_dict(mode="json", warnings=False), wire.Chunk)
        except FAILED as error:
            meant = meaning(self.name, error)
        else:
            return
        raise meant

    async def _next(self, chunks: AsyncIterator[ChatCompletionChunk]) -> ChatCompletionChunk | None:
        # What keeps the connection open, and says nothing, is not waited for longer than silence.
        async with asyncio.timeout(self._endpoint.chunk_seconds):
            return await anext(chunks, None)

    async def _opened(self, request: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        try:
            return await self._created(request)
        except openai.BadRequestError as error:
            if error.param != TEMPERATURE or TEMPERATURE not in request:
                raise
        self._temperate = False
        return await self._created({name: value for name, value in request.items() if name != TEMPERATURE})

    async def _created(self, request: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        stream: AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
        return stream


class Onward:
    """The words that go on after those that were said: what a model repeats of them, from the start, is left out."""

    def __init__(self, said: str) -> None:
        self._said = said if len(said) >= REPEATED else ""
        self._held = ""
        self.spoken = False

    def further(self, words: str) -> str:
        """Take words, and give those that are new for certain."""
        self._held += words
        if self._said:
            if self._held == self._said[: len(self._held)]:
                return ""
            self._held = self._held.removeprefix(self._said)
            self._said = ""
        return self.rest()

    def rest(self) -> str:
        """What was held back, when no more comes."""
        words, self._held = "" if self._held == self._said else self._held, ""
        self.spoken = self.spoken or bool(words)
        return words


def client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """The SDK's client of an endpoint: without its retries, for we have our own, and without redirects."""
    timeout = openai.Timeout(endpoint.chunk_seconds, connect=endpoint.connect_seconds)
    common: dict[str, Any] = {
        # It wants one; an endpoint that needs none does not look at it.
        "api_key": endpoint.key or "none",
        "max_retries": 0,
        "timeout": timeout,
        # As for providers of sign-in: a proxy that others set must not see keys, nor a redirect lead prompts elsewhere.
        "http_client": openai.DefaultAsyncHttpxClient(timeout=timeout, follow_redirects=False, trust_env=False),
    }
    if endpoint.api_version is not None:
        made: openai.AsyncOpenAI = openai.AsyncAzureOpenAI(
            azure_endpoint=endpoint.base_url,
            azure_deployment=endpoint.model,
            api_version=endpoint.api_version,
            **common,
        )
    else:
        made = openai.AsyncOpenAI(base_url=endpoint.base_url, **common)
    # It takes these from the environment, for whatever endpoint.
    made.organization = made.project = None
    return made


def _read(text: str, shape: type[T]) -> T:
    """Read JSON, even where a model has put words or a fence around it."""
    return msgspec.json.decode(text[text.find("{") : text.rfind("}") + 1], type=shape)
