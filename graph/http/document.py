"""What is checked of a document before the specification's own rules see it, and by whom its schema may be read."""

from collections.abc import Iterator
from typing import Any

from graphql import ASTValidationRule, FieldNode, GraphQLError, ValuesOfCorrectTypeRule, validate
from strawberry.extensions import SchemaExtension

from domain.errors import Fault, Forbidden, Unauthenticated
from graph.disclosure import Introspection
from graph.http.values import PlacedValuesRule, TextRule
from graph.limits import Limits, limits_rule


class ClosedSchemaRule(ASTValidationRule):
    """Refuses `__schema`: whoever may not read the whole schema may still ask for the type of an object."""

    def refusal(self) -> Fault:
        """What the whole schema is refused with."""
        return Forbidden("This server does not show its schema.")

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        """Look for the one field, wherever a fragment hides it."""
        if node.name.value == "__schema":
            fault = self.refusal()
            self.report_error(GraphQLError(str(fault), node, original_error=fault))


class SignedInSchemaRule(ClosedSchemaRule):
    """Refuses `__schema` to those who may read it once they have signed in."""

    def refusal(self) -> Fault:
        """What the whole schema is refused with."""
        return Unauthenticated("Sign in to read the schema.")


class DocumentChecks(SchemaExtension):
    """Limits, and text that cannot be stored.

    They run by themselves and first: the specification's rules compare fields with each other, and must not be
    handed a document that is too large.
    """

    def __init__(self, limits: Limits, introspection: Introspection) -> None:
        self.tokens = limits.tokens
        self.rules = (limits_rule(limits), TextRule)
        self.introspection = introspection

    def on_operation(self) -> Iterator[None]:
        """Bound the document before it is parsed, and choose the rules for afterwards."""
        context = self.execution_context
        context.parse_options["max_tokens"] = self.tokens
        context.validation_rules = tuple(
            PlacedValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in context.validation_rules
        )
        yield

    def on_validate(self) -> Iterator[None]:
        """Bound what is validated; Strawberry validates no further where there are errors already."""
        context = self.execution_context
        rules: tuple[type[ASTValidationRule], ...] = self.rules
        if self.introspection is Introspection.OFF:
            rules = (*rules, ClosedSchemaRule)
        elif self.introspection is Introspection.SIGNED_IN and not getattr(context.context, "signed_in", True):
            rules = (*rules, SignedInSchemaRule)
        if context.graphql_document and context.pre_execution_errors is None:
            # The schema of graphql-core is what these rules are validated against.
            schema = context.schema._schema  # noqa: SLF001 - Strawberry has no public name for it
            context.pre_execution_errors = validate(schema, context.graphql_document, rules) or None
        yield
