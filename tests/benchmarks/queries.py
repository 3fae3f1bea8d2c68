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

ORDERS: Final = """{
    orders(first: 200) {
        nodes { id side kind status quantity tradesOn instrument { symbol name } portfolio { id name } }
    }
}"""

PLACE: Final = """mutation ($input: PlaceOrderInput!) {
    placeOrder(input: $input) { order { id status version } userErrors { code message } }
}"""

QUERIES: Final = {"point": POINT, "page": PAGE, "tree": TREE, "orders": ORDERS}

# PostGraphile makes its schema of the tables; aliases give its answers our names.
FOR_POSTGRAPHILE: Final = {
    "point": "query ($id: UUID!) { node: clientByRowId(rowId: $id) { id: rowId name segment } }",
    "page": """{
        clients: allClients(first: 50, orderBy: [SORT_NAME_ASC, ROW_ID_ASC]) { nodes { id: rowId name segment status } }
    }""",
    "tree": """{
        clients: allClients(first: 50, orderBy: [SORT_NAME_ASC, ROW_ID_ASC]) {
            nodes {
                id: rowId
                name
                portfolios: portfoliosByClientIdAndBookIdList(orderBy: [OPENED_ON_ASC, ROW_ID_ASC]) {
                    id: rowId
                    name
                    positions: positionsByPortfolioIdAndClientId(first: 10, orderBy: [SYMBOL_ASC, ROW_ID_ASC]) {
                        nodes { id: rowId quantity instrument: instrumentByInstrumentId { symbol name } }
                    }
                }
            }
        }
    }""",
    "orders": """{
        orders: allOrders(first: 200, orderBy: [PLACED_AT_DESC, ROW_ID_DESC]) {
            nodes {
                id: rowId
                side
                kind
                status
                quantity
                tradesOn
                instrument: instrumentByInstrumentId { symbol name }
                portfolio: portfolioByPortfolioIdAndClientId { id: rowId name }
            }
        }
    }""",
}
