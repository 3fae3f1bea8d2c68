// The client of graphql-ws against a server: what its users rely on.
import { createClient } from 'graphql-ws';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { all, authorization, first, run, url } from './checks.js';

const NOTIFICATIONS = 'subscription { notifications { cursor notification { kind } } }';
const connect = (options) =>
  createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: { authorization },
    ...options,
  });

async function stillAnswers(client) {
  const [{ data }, ...more] = await all(client, '{ __typename }');
  assert.deepEqual([data, more], [{ __typename: 'Query' }, []]);
}

/** A client for as long as a check needs it. */
async function using(options, check) {
  const client = connect(options);
  try {
    return await check(client);
  } finally {
    await client.dispose();
  }
}

await run({
  'a query is answered once and completes': () =>
    using({}, async (client) => {
      const [{ data }, ...more] = await all(client, '{ viewer { name } }');
      assert.ok(data.viewer.name);
      assert.deepEqual(more, []);
    }),
  'a mutation runs': () =>
    using({}, async (client) => {
      const [{ data }] = await all(client, 'mutation { markAllNotificationsRead(input: {}) { userErrors { code } } }');
      assert.deepEqual(data.markAllNotificationsRead.userErrors, []);
    }),
  'variables and several operations at once share a socket': () =>
    using({}, async (client) => {
      let sockets = 0;
      client.on('opened', () => (sockets += 1));
      const query = 'query ($first: Int!) { clients(first: $first) { nodes { id } } }';
      const answers = await Promise.all([1, 1, 1, 1].map((n) => all(client, query, { first: n })));
      assert.ok(answers.every(([{ data }]) => data.clients.nodes.length === 1));
      assert.equal(sockets, 1);
    }),
  'a subscription brings an event': () =>
    using({}, async (client) => {
      const { data } = await first(client, NOTIFICATIONS);
      assert.ok(data.notifications.cursor);
    }),
  'a subscription that is left ends alone': () =>
    using({}, async (client) => {
      const stop = client.subscribe({ query: NOTIFICATIONS }, { next() {}, error() {}, complete() {} });
      await all(client, '{ __typename }');
      stop();
      await stillAnswers(client);
    }),
  'a document that is not valid is an error of its operation alone': () =>
    using({}, async (client) => {
      await assert.rejects(all(client, '{ nothing }'), ([{ extensions }]) => extensions.code === 'VALIDATION_ERROR');
      await stillAnswers(client);
    }),
  'a field that fails comes with its data': () =>
    using({}, async (client) => {
      const [{ data, errors }] = await all(client, '{ node(id: "client_00000000000000000000000000000000") { id } }');
      assert.equal(data.node, null);
      assert.equal(errors[0].extensions.code, 'NOT_FOUND');
    }),
  'pings are answered': () =>
    using({ keepAlive: 50, lazy: false, onNonLazyError() {} }, (client) => {
      let pongs = 0;
      return new Promise((resolve) => client.on('pong', (received) => received && ++pongs === 3 && resolve()));
    }),
  'bad credentials close with 4401, which is not tried again': () =>
    using({ retryAttempts: 5, connectionParams: { authorization: 'Bearer nonsense' } }, async (client) => {
      let sockets = 0;
      client.on('opened', () => (sockets += 1));
      await assert.rejects(all(client, '{ __typename }'), ({ code }) => code === 4401);
      assert.equal(sockets, 1);
    }),
  'a socket that breaks is taken up again': () =>
    using({ retryAttempts: 5, retryWait: async () => {}, lazy: false, onNonLazyError() {} }, async (client) => {
      const opened = () => new Promise((resolve) => client.on('connected', resolve));
      const socket = await opened();
      const again = opened();
      socket.terminate();
      assert.notEqual(await again, socket);
      await stillAnswers(client);
    }),
});
