"""The models of the settings, ready to be asked."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from domain.assistant.models import Model
from domain.assistant.models.chain import Chain
from domain.assistant.models.endpoints import Endpoint


@asynccontextmanager
async def opened(endpoints: Sequence[Endpoint], last_resort: Model | None = None) -> AsyncIterator[Model]:
    """The endpoints, in order of preference, and after them the last resort, as one model until the end of the block.

    Then their connections are given back. Without endpoints it is the last resort itself, and nothing is imported.
    """
    async with AsyncExitStack() as stack:
        models: list[Model] = []
        for endpoint in endpoints:
            # The SDK takes most of a second to import, which a firm without endpoints does not pay.
            from domain.assistant.models.compatible import Compatible  # noqa: PLC0415 - as said

            model = Compatible(endpoint)
            stack.push_async_callback(model.close)
            models.append(model)
        if last_resort is not None:
            models.append(last_resort)
        yield models[0] if len(models) == 1 and last_resort is not None else Chain(models)
