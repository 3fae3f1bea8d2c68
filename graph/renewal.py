"""Going on with a session: the one thing that a request may do whose access token has ended.

Frontends send the header with every request, so the token that has ended comes along with the mutation that is to
replace it. Such a request is taken for an anonymous one, and no other is: all else is told EXPIRED.
"""

from typing import Final

from graphql import FieldNode, GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse

# What begins a session, or goes on with one, by proofs of its own.
RENEWING: Final = frozenset({"refreshSession", "signIn", "completeSignIn"})
MOST_TOKENS: Final = 500


def renews(document: str) -> bool:
    """Whether a document is one mutation that does nothing but begin a session or go on with one."""
    try:
        definitions = parse(document, no_location=True, max_tokens=MOST_TOKENS).definitions
    except GraphQLSyntaxError:
        return False
    operations = [each for each in definitions if isinstance(each, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not OperationType.MUTATION:
        return False
    fields = operations[0].selection_set.selections
    # A fragment at the root could hold anything, so it is not looked into.
    return all(isinstance(field, FieldNode) and field.name.value in RENEWING for field in fields)
