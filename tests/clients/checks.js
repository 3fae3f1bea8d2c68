// A scenario is a list of named checks, run one after the other; a line for each, and an exit code for all of them.
import assert from 'node:assert/strict';

const { STEWARD_URL, STEWARD_TOKEN } = process.env;
const PATIENCE = 20_000;

export const url = STEWARD_URL;
export const authorization = `Bearer ${STEWARD_TOKEN}`;

export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await withinReason(check());
      console.log(`ok: ${name}`);
    } catch (error) {
      console.log(`FAILED: ${name}: ${error?.message ?? JSON.stringify(error)}`);
      process.exitCode = 1;
    }
  }
}

function withinReason(work) {
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error('it took too long')).unref());
  return Promise.race([work, late]);
}

/** Let something happen that the notifications tell: an input of updateClient, whose version goes up by one each time. */
export async function change() {
  const input = JSON.parse(process.env.STEWARD_CHANGE);
  const kycStatus = input.version % 2 ? 'PENDING' : 'VERIFIED';
  const details = { kycStatus, ...(kycStatus === 'VERIFIED' && { kycExpiresOn: '2099-01-01' }) };
  const query = `mutation ($input: UpdateClientInput!) {
    updateClient(input: $input) { client { version } userErrors { code message } }
  }`;
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { input: { ...input, details } } }),
  });
  const answer = await response.json();
  assert.deepEqual(answer.data?.updateClient.userErrors, [], JSON.stringify(answer));
  process.env.STEWARD_CHANGE = JSON.stringify({ ...input, version: answer.data.updateClient.client.version });
}

/** All results of an operation, by the client's own iterator. */
export async function all(client, query, variables) {
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(result);
  return results;
}

/** The first event of a subscription, for which something is caused to happen; then it is left. */
export async function first(client, query) {
  const events = client.iterate({ query });
  const next = events.next();
  // The server says nothing when it has taken up a subscription, so what happens is repeated until it is heard of.
  let heard = false;
  next.then(() => (heard = true), () => (heard = true));
  while (!heard) {
    await change();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const { value } = await next;
  await events.return();
  return value;
}
