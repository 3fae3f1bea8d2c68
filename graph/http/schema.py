"""Strawberry's schema, with the errors, limits and operations of this endpoint."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, cast

from graphql import GraphQLError, OperationDefinitionNode, get_operation_ast
from graphql.execution import Executor
from strawberry import Schema as StrawberrySchema
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import DEFAULT_ALLOWED_OPERATION_TYPES, StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.base import StrawberryType
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType
from strawberry.types.scalar import ScalarDefinition, ScalarWrapper

from domain.clock import system_clock
from graph.cost import Weights
from graph.disclosure import DISCREET, Disclosure
from graph.errors import answered
from graph.execution import Asked, Documents, Host, PlannedExecution, Rendering
from graph.fanout import Feed
from graph.http.document import DocumentChecks, Rules
from graph.http.hooks import Hooks
from graph.http.live import Event, Live
from graph.http.metering import Metering
from graph.http.timing import Timing
from graph.limits import Limits
from graph.running import running


class OneOperation(Asked):
    """The operation that was asked for by name, or the only one; Strawberry's takes the first of several."""

    @property
    def operation_name(self) -> str | None:
        """The name that the client gave, if it did."""
        return self._provided_operation_name

    @property
    def operation_type(self) -> OperationType:
        """Type of the operation. Raises RuntimeError, which Strawberry expects, if there is none such."""
        operation = self._known() or self._found()
        if operation is None:
            raise RuntimeError("no such operation")
        return OperationType(operation.operation.value)

    def _known(self) -> OperationDefinitionNode | None:
        known = self.document.operation(self.operation_name) if self.document else None
        return known.subject.operation if known else None

    def _found(self) -> OperationDefinitionNode | None:
        return get_operation_ast(self.graphql_document, self.operation_name) if self.graphql_document else None


class Events(StrawberryGraphQLCoreExecutionContext):
    """Resolves each event of a subscription with a fresh context: one kept longer would serve stale rows.

    A subscription that is planned begins with what renders its events as its root value (`PlannedExecution`). A feed
    is handed on as it is, to be shared.
    """

    rendering: Rendering | None = None

    def cancellable_iterable(self, iterable: AsyncIterable[Any]) -> AsyncIterable[Any]:
        """The events; of a feed that can be rendered, itself alone."""
        if isinstance(iterable, Feed) and isinstance(self.root_value, Rendering):
            return _alone(iterable)
        return super().cancellable_iterable(iterable)

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """The executor of one event."""
        executor = cast("Events", super().build_per_event_executor(payload))
        if isinstance(self.root_value, Rendering):
            executor.rendering = self.root_value
        fresh = getattr(self.context_value, "fresh", None)
        if fresh is not None:
            executor.context_value = fresh()
        return executor

    def execute_operation(self, serially: bool | None = None) -> Any:  # noqa: FBT001 - graphql-core's signature
        """The result of one event, or what delivers the events of a feed."""
        if self.rendering is None:
            return super().execute_operation(serially)
        if isinstance(self.root_value, Feed):
            return Live(self.root_value, self.rendering)
        return self._planned(self.rendering)

    async def _planned(self, rendering: Rendering) -> "Event":
        result = await rendering.one(self.root_value, self.context_value)
        return Event(result.data, result.errors, spent=result.spent)


async def _alone(feed: Feed) -> AsyncIterator[Feed]:
    yield feed


def _answer(asked: OneOperation) -> ExecutionResult:
    """The answer as Strawberry has it."""
    if asked.result is None:
        raise RuntimeError("what is certain to be planned has not run")
    return ExecutionResult(asked.result.data, asked.result.errors)


class Schema(StrawberrySchema):
    """A schema whose errors are coded and masked, whose documents are bounded, and which runs one operation.

    `disclosure` says who may read the whole schema, and how much errors tell. Unless it is `planned`, graphql-core
    executes everything, which answers the same.
    """

    def __init__(
        self,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        *,
        types: Iterable[type | StrawberryType] = (),
        extensions: Iterable[type[SchemaExtension] | Callable[[], SchemaExtension]] = (),
        config: StrawberryConfig | None = None,
        scalar_overrides: Mapping[object, type | ScalarWrapper | ScalarDefinition] | None = None,
        limits: Limits | None = None,
        disclosure: Disclosure = DISCREET,
        planned: bool = True,
    ) -> None:
        self.disclosure = disclosure
        self._planned = planned
        limits = limits or Limits()
        self.rules = rules = Rules(limits, disclosure.introspection)
        plans = (PlannedExecution,) if planned else ()
        told = (Timing,) if disclosure.debug else ()
        super().__init__(
            query,
            mutation,
            subscription,
            types=types,
            extensions=(
                lambda: DocumentChecks(self.documents, rules),
                partial(Metering, limits.cost),
                *extensions,
                *told,
                *plans,
            ),
            config=config,
            scalar_overrides=scalar_overrides,
            execution_context_class=Events,
        )

    @cached_property
    def documents(self) -> Documents:
        """The valid documents that were asked for last, and their plans."""
        return Documents(Host(self._schema, self.schema_converter, self.weights))

    @cached_property
    def weights(self) -> Weights:
        """What each field costs."""
        return Weights.of(self._schema)

    def get_extensions(self, sync: bool = False) -> list[SchemaExtension]:  # noqa: ARG002, FBT001, FBT002 - Strawberry's signature
        """Extensions for one operation, made anew."""
        return [make() for make in self.extensions]

    @cached_property
    def _checks_alone(self) -> bool:
        """Whether parsing and validating concern nobody but our own checks, which know the documents that passed."""
        others = {type(each) for each in self.get_extensions()} - {DocumentChecks}
        stock = SchemaExtension
        return all(kind.on_parse is stock.on_parse and kind.on_validate is stock.on_validate for kind in others)

    def only_reads(self, query: str, name: str | None) -> bool:
        """Whether an operation is known to be a query."""
        document = self.documents.get(query)
        operation = document.operation(name) if document else None
        return operation is not None and operation.type is OperationType.QUERY

    async def execute(  # noqa: PLR0917 - Strawberry's signature
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """The answer to a query or a mutation.

        A document that has passed its checks needs no more of them, and a plan nothing of what graphql-core is made
        ready with. Such an operation goes straight to its execution; everything else, whatever may not run among it,
        goes Strawberry's own way. Extensions may refuse an operation, but not exchange it for another.
        """
        document = self.documents.get(query) if query and self._planned and self._checks_alone else None
        operation = document.operation(operation_name) if document else None
        allowed = DEFAULT_ALLOWED_OPERATION_TYPES if allowed_operation_types is None else allowed_operation_types
        if not operation or operation.type not in allowed or not operation.is_planned(variable_values or {}):
            return await super().execute(
                query,
                variable_values,
                context_value,
                root_value,
                operation_name,
                allowed_operation_types,
                operation_extensions,
            )
        asked = self._create_execution_context(
            query, allowed, variable_values, context_value, root_value, operation_name, operation_extensions
        )
        asked.know(operation.document)
        extensions = self.get_extensions()
        for extension in extensions:
            extension.execution_context = asked
        return await self._executed(asked, self.create_extensions_runner(asked, extensions))

    async def _executed(self, asked: OneOperation, hooks: Hooks) -> ExecutionResult:
        """The answer of a planned operation: what extensions do, and what is done with errors, is as with Strawberry.

        Errors are coded before the extensions around the execution see it end.
        """
        try:
            async with hooks.operation(), hooks.executing():
                answer = _answer(asked)
                self._note(answer.errors, asked)
        except Exception as error:  # noqa: BLE001 - of extensions, which may refuse the operation
            failed = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            answer = PreExecutionError(None, [failed])
            self._note(answer.errors, asked)
        answer.extensions = await hooks.get_extensions_results(asked)
        asked.result = answer
        return answer

    def _note(self, errors: list[GraphQLError] | None, asked: OneOperation) -> None:
        if errors:
            asked.pre_execution_errors = errors
            self._process_errors(errors, asked)

    def create_extensions_runner(self, execution_context: ExecutionContext, extensions: list[SchemaExtension]) -> Hooks:
        """What runs the extensions' hooks."""
        return Hooks(execution_context, extensions)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Code, mask and log; Strawberry answers with the very list that it shows here, of streams too."""
        context = execution_context.context if execution_context else None
        errors[:] = answered(errors, getattr(context, "request_id", ""), system_clock(), self.disclosure)

    def _create_execution_context(  # noqa: PLR0917 - Strawberry's signature
        self,
        query: str | None,
        allowed_operation_types: Iterable[OperationType],
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> OneOperation:
        # Strawberry has no public way to say which class describes an operation.
        one = OneOperation(
            query=query,
            schema=self,
            allowed_operations=allowed_operation_types,
            context=context_value,
            variables=variable_values,
            root_value=root_value,
            provided_operation_name=operation_name,
            operation_extensions=operation_extensions,
        )
        if (now := running()) is not None:
            now.execution = one
        return one
