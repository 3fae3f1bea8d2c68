"""What is measured: the same answer from Steward and from the floor."""

from typing import Final

POINT: Final = "query ($id: ID!) { node(id: $id) { id ... on Client { name segment } } }"
PAGE: Final = "{ clients(first: 50) { nodes { id name segment status } } }"
TREE: Final = """{
    clients(first: 50) {
        nodes {
            id
            name
            portfolios {
                id
                name
                positions(first: 10) { nodes { id quantity instrument { symbol name } } }
            }
        }
    }
}"""

QUERIES: Final = {"point": POINT, "page": PAGE, "tree": TREE}
