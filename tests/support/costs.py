"""The committed table of what the sample operations cost; `python -m tests.support.costs` writes it anew."""

import json
from pathlib import Path
from typing import Any, Final

from graphql import parse

from graph.app import OPERATIONS
from graph.cost import Priced
from graph.graphiql import Operation, operations
from graph.http.schema import Schema
from graph.schema import make_schema

COSTS: Final = Path(__file__).parents[1] / "graph" / "operation_costs.json"
SAMPLES: Final = operations(OPERATIONS)


def priced(schema: Schema, query: str, name: str | None = None, **variables: Any) -> Priced:
    """The price of an operation of a document."""
    operation = schema.documents.document(parse(query)).operation(name)
    assert operation
    return operation.price(variables)


def cost_of(schema: Schema, sample: Operation) -> int:
    """What a sample is estimated to cost, with its own variables."""
    return priced(schema, sample.query, **sample.variables).estimate


def known() -> dict[str, int]:
    """The table."""
    return dict(json.loads(COSTS.read_text("utf-8")))


if __name__ == "__main__":
    found = make_schema()
    COSTS.write_text(json.dumps({each.name: cost_of(found, each) for each in SAMPLES}, indent=2) + "\n", "utf-8")
