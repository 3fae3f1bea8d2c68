"""How an operation was executed, told to whoever develops against a server of their own."""

from collections.abc import AsyncIterator
from typing import Any

from strawberry.extensions import SchemaExtension

from graph.execution import Asked
from graph.http.live import Live
from graph.running import running


class Timing(SchemaExtension):
    """Adds `extensions.timing`: by its plan or by graphql-core and why, the statements, the milliseconds until now."""

    execution_context: Asked

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        """Have what is delivered later say it too."""
        if isinstance(result, Live):
            result.remarks.append(self.get_results)
        yield

    def get_results(self) -> dict[str, Any]:
        """What the answer says of it; nothing of what did not run."""
        context, now = self.execution_context, running()
        if context.document is None or now is None:
            return {}
        timing: dict[str, Any] = {"execution": "stock" if context.stock_because else "planned"}
        if context.stock_because:
            timing["because"] = context.stock_because
        return {"timing": timing | {"statements": now.statements, "milliseconds": round(now.seconds * 1000, 2)}}
