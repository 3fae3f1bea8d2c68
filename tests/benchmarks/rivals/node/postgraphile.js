// PostGraphile 5 on the tables as they are, past the policies; a pool as large as the server's.
// Serves on PORT; PGHOST, PGUSER and the like say where the database is. With --schema it prints its schema instead.

import { createServer } from "node:http";

import { printSchema } from "graphql";
import pg from "pg";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

// It asks for Node 22, and of what is new there it misses this alone on Node 20.
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const CONNECTIONS = 10;
const pool = new pg.Pool({ max: CONNECTIONS });

const preset = {
  extends: [PostGraphileAmberPreset],
  // The references of our tables have two columns, and the index that serves them begins with the first.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [makePgService({ pool, schemas: ["public"] })],
  schema: { defaultBehavior: "+list" },
  grafserv: { graphqlPath: "/graphql", graphiql: false, websockets: false, watch: false },
};

const made = postgraphile(preset);
if (process.argv.includes("--schema")) {
  console.log(printSchema(await made.getSchema()));
  process.exit(0);
}
const server = createServer();
await made.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
