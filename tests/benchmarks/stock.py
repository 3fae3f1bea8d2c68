"""The server as it is, with its schema executed by graphql-core: `python -m tests.benchmarks.stock`, as `serve`."""

from functools import partial

import uvloop

from graph import app
from graph.schema import make_schema
from graph.server import serve
from graph.settings import load_settings

if __name__ == "__main__":
    app.make_schema = partial(make_schema, planned=False)  # type: ignore[attr-defined] # it imports it for its own use
    uvloop.run(serve(load_settings()))
