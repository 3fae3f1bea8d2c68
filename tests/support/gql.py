"""Speaking GraphQL as a user."""

from typing import Any

import httpx

from graph.context import Services

VARYING = frozenset({"timestamp", "requestId"})


class Answer(dict[str, Any]):
    """The body of an answer."""

    @property
    def data(self) -> Any:
        """The data, where there are no errors; fails the test otherwise."""
        assert "errors" not in self, self["errors"]
        return self["data"]

    @property
    def codes(self) -> list[str]:
        """The codes of the errors, in order."""
        return [error["extensions"]["code"] for error in self.get("errors", [])]

    @property
    def steady(self) -> Any:
        """What the answer says that does not differ from one request to another like it."""
        kept = [
            {**error, "extensions": {name: each for name, each in error["extensions"].items() if name not in VARYING}}
            for error in self.get("errors", [])
        ]
        return {"data": self.get("data"), "errors": kept}


class Gql:
    """Runs documents over HTTP, as the anonymous or, by `as_`, as a user with a session."""

    def __init__(self, client: httpx.AsyncClient, services: Services, token: str | None = None) -> None:
        self.client = client
        self.services = services
        self.token = token

    def as_(self, user: Any) -> "Gql":
        """The same as a user of the factories, or anybody with a token."""
        return Gql(self.client, self.services, user.token)

    async def ask(self, document: str, **variables: Any) -> Answer:
        """The whole answer."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        response = await self.client.post("/graphql", json={"query": document, "variables": variables}, headers=headers)
        return Answer(response.json())

    async def run(self, document: str, **variables: Any) -> Any:
        """The data; fails the test if there is an error."""
        return (await self.ask(document, **variables)).data

    async def change(self, mutation: str, fields: str, **given: Any) -> Any:
        """The payload of a mutation, given its input."""
        name = mutation[0].upper() + mutation[1:]
        document = (
            f"mutation ($input: {name}Input!) {{ {mutation}(input: $input) "
            f"{{ {fields} userErrors {{ code field message }} }} }}"
        )
        return (await self.run(document, input=given))[mutation]
