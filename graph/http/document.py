"""What is checked of a document before the specification's own rules see it, and by whom its schema may be read."""

from typing import Any, Final

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    GraphQLError,
    ValuesOfCorrectTypeRule,
    specified_rules,
    validate,
)
from strawberry.extensions import SchemaExtension

from domain.errors import Fault, Forbidden, Unauthenticated
from graph.disclosure import Introspection
from graph.execution import Asked, Documents
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


# The specification's own rules; that on literals says where they stand.
RULES: Final = tuple(PlacedValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules)


class Rules:
    """What documents are checked against beside the specification's rules: limits, text, and who may see the schema."""

    def __init__(self, limits: Limits, introspection: Introspection) -> None:
        self.tokens = limits.tokens
        self.introspection = introspection
        self._always: tuple[type[ASTValidationRule], ...] = (limits_rule(limits), TextRule)

    def for_whom(self, *, signed_in: bool) -> tuple[type[ASTValidationRule], ...]:
        """The rules for whoever has signed in, or has not."""
        if self.introspection is Introspection.OFF:
            return (*self._always, ClosedSchemaRule)
        if self.introspection is Introspection.SIGNED_IN and not signed_in:
            return (*self._always, SignedInSchemaRule)
        return self._always


class DocumentChecks(SchemaExtension):
    """Parses and validates each document once, and leaves it with the execution context, as `document`.

    The limits are checked by themselves and first: the specification's rules compare fields with each other, and must
    not be handed a document that is too large.
    """

    execution_context: Asked

    def __init__(self, documents: Documents, rules: Rules) -> None:
        self._documents = documents
        self._rules = rules

    def on_parse(self) -> None:  # type: ignore[override] # a function may stand in for a generator, here and below
        """Hand over the document if it is known; bound the one that is not."""
        context = self.execution_context
        known = self._documents.get(context.query or "")
        if known is not None:
            context.know(known)
        else:
            context.parse_options["max_tokens"] = self._rules.tokens

    def on_validate(self) -> None:  # type: ignore[override]
        """Let a known document pass; check another, and keep it if it passes. Strawberry validates no further then."""
        context = self.execution_context
        document = context.graphql_document
        if context.document is not None:
            context.pre_execution_errors = []
        elif document and context.pre_execution_errors is None:
            context.pre_execution_errors = self._errors(document)
            if not context.pre_execution_errors:
                context.document = self._documents.document(document)
                if not context.document.introspects:
                    self._documents.keep(context.query or "", context.document)

    def _errors(self, document: DocumentNode) -> list[GraphQLError]:
        # The schema of graphql-core is what rules are validated against.
        schema = self._documents.host.schema
        rules = self._rules.for_whom(signed_in=getattr(self.execution_context.context, "signed_in", True))
        return validate(schema, document, rules) or validate(schema, document, RULES)
