"""Strawberry's schema, with the errors, limits and operations of this endpoint."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, cast

from graphql import ExecutionResult as CoreResult
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
from graph.execution import Asked, Documents, Host, Operation, PlannedExecution, Rendering, executed
from graph.fanout import Feed
from graph.http.document import DocumentChecks, Rules
from graph.http.hooks import Hooks
from graph.http.live import Event, Live
from graph.http.metering import Metering, actual_cost, check_price, told_cost
from graph.http.meters import Meter
from graph.http.timing import Timing
from graph.limits import Limits
from graph.running import running

# Tells whether an extension has nothing to do with what is asked in a context.
Passing = Callable[[Any], bool]


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
        extensions: Sequence[type[SchemaExtension] | Callable[[], SchemaExtension]] = (),
        config: StrawberryConfig | None = None,
        scalar_overrides: Mapping[object, type | ScalarWrapper | ScalarDefinition] | None = None,
        limits: Limits | None = None,
        disclosure: Disclosure = DISCREET,
        planned: bool = True,
    ) -> None:
        self.disclosure = disclosure
        self.limits = limits = limits or Limits()
        # Those of an application tell by themselves what they let pass.
        self._passing: list[Passing] = [each.passes for each in extensions if hasattr(each, "passes")]
        self._straight = planned and not disclosure.debug and len(self._passing) == len(extensions)
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

    def known(self, query: str | None, name: str | None) -> Operation | None:
        """An operation of a document that was found valid before; none if it is not known."""
        document = self.documents.get(query) if query else None
        return document.operation(name) if document else None

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
        """The answer to a query or a mutation, straight if it can be had so, else Strawberry's own way."""
        operation = self.known(query, operation_name)
        given = variable_values or {}
        allowed = DEFAULT_ALLOWED_OPERATION_TYPES if allowed_operation_types is None else allowed_operation_types
        if operation and operation.type in allowed and self.is_straight(operation, given, context_value):
            return await self.straight(operation, given, context_value, root_value)
        return await super().execute(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )

    def is_straight(self, operation: Operation, given: dict[str, Any], context: Any) -> bool:
        """Whether an operation may be executed `straight`: it is planned, and no extension has anything to do with it.

        Those that every operation has are done by that itself, but for what is told to developers.
        """
        if not self._straight or not operation.is_planned(given):
            return False
        for passes in self._passing:  # noqa: SIM110 - what `all` would be given costs as much as what is asked
            if not passes(context):
                return False
        return True

    async def straight(
        self, operation: Operation, given: dict[str, Any], context: Any, root: Any = None
    ) -> ExecutionResult:
        """The answer to an operation that needs no more checks, and nothing that graphql-core is made ready with.

        It is priced, charged and settled as by `Metering`, and answered as by `PlannedExecution`. Nothing is charged
        for what may not be told, because the context does not stand.
        """
        if (now := running()) is not None:
            now.runs(operation.subject.operation, operation.kind)
        meter: Meter | None = getattr(context, "meter", None)
        try:
            priced = operation.price(given)
            check_price(priced, self.limits.cost)
            bill = await meter.charge(priced.estimate, priced.by_address) if meter else None
            executing = executed(operation, given, context, root)
            result = executing if isinstance(executing, CoreResult) else await executing
            extensions = {}
            if bill is not None:
                stands = context.settled or await context.stands()
                actual = actual_cost(priced, result) if stands else 0
                if actual != bill.points:
                    await bill.settle(actual)
                extensions["cost"] = told_cost(priced.estimate, actual, bill)
            if result.errors:
                self._code(result.errors, context)
            return ExecutionResult(result.data, result.errors, extensions)
        except Exception as error:  # noqa: BLE001 - of the meter, which may refuse the operation
            errors = [error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)]
            self._code(errors, context)
            return PreExecutionError(None, errors)

    def create_extensions_runner(self, execution_context: ExecutionContext, extensions: list[SchemaExtension]) -> Hooks:
        """What runs the extensions' hooks."""
        return Hooks(execution_context, extensions)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Code, mask and log; Strawberry answers with the very list that it shows here, of streams too."""
        self._code(errors, execution_context.context if execution_context else None)

    def _code(self, errors: list[GraphQLError], context: Any) -> None:
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
