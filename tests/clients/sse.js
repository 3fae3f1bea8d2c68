// The client of graphql-sse against a server, one connection for each operation: what its users rely on.
import { createClient } from 'graphql-sse';
import assert from 'node:assert/strict';
import { all, authorization, first, run, url } from './checks.js';

const client = createClient({ url, singleConnection: false, retryAttempts: 0, headers: { authorization } });
const stranger = createClient({ url, retryAttempts: 0, headers: { authorization: 'Bearer nonsense' } });

await run({
  'a query is answered once and completes': async () => {
    const [{ data }, ...more] = await all(client, '{ viewer { name } }');
    assert.ok(data.viewer.name);
    assert.deepEqual(more, []);
  },
  'a mutation runs': async () => {
    const [{ data }] = await all(client, 'mutation { markAllNotificationsRead(input: {}) { userErrors { code } } }');
    assert.deepEqual(data.markAllNotificationsRead.userErrors, []);
  },
  'variables are taken': async () => {
    const query = 'query ($first: Int!) { clients(first: $first) { nodes { id } } }';
    const [{ data }] = await all(client, query, { first: 1 });
    assert.equal(data.clients.nodes.length, 1);
  },
  'a subscription brings an event, and is left': async () => {
    const { data } = await first(client, 'subscription { notifications { cursor notification { kind } } }');
    assert.ok(data.notifications.cursor);
  },
  'a document that is not valid is told as a result': async () => {
    const [{ errors }] = await all(client, '{ nothing }');
    assert.equal(errors[0].extensions.code, 'VALIDATION_ERROR');
  },
  'a field that fails comes with its data': async () => {
    const [{ data, errors }] = await all(client, '{ node(id: "client_00000000000000000000000000000000") { id } }');
    assert.equal(data.node, null);
    assert.equal(errors[0].extensions.code, 'NOT_FOUND');
  },
  'bad credentials are an error': () => assert.rejects(all(stranger, '{ __typename }'), /401/),
});
