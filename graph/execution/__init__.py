"""Queries breadth first: an operation is compiled once into a plan, which is executed level by level, by columns.

graphql-core resolves and completes value after value: each costs a call, an `Info` and often a coroutine. Here the
values that one field has for all objects of a level are one column, which is read, serialised and put into the answer
at once. What resolvers look like does not change, and neither do answers: errors, nulls and partial answers come out
as graphql-core has them, which a differential test holds.

`documents` keeps parsed documents and plans, `compiling` makes plans of them (`plan`), `run` is one execution, `events`
are those of a subscription, `variables` and `arguments` are what a request gives, `reading` gets values, `completing`
turns them into the answer (`leaves`: scalars), and `places` tells errors where they are. What is asked of the schema
alone is answered by `introspection`.
"""

from graph.execution.documents import Document, Documents, Operation, digest_of
from graph.execution.events import Rendering
from graph.execution.extension import Asked, PlannedExecution, executed
from graph.execution.run import Planned
from graph.execution.subject import Host

__all__ = [
    "Asked",
    "Document",
    "Documents",
    "Host",
    "Operation",
    "Planned",
    "PlannedExecution",
    "Rendering",
    "digest_of",
    "executed",
]
