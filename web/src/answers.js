// One GraphQL request over HTTP, and what its answer says about the caller's credentials.

/** The answer of the server as an object; what is no GraphQL answer (a proxy's page, say) becomes one with an error. */
export async function post(endpoint, body, headers) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { errors: [{ message: `${response.status} ${response.statusText}: ${text.slice(0, 500)}` }] };
  }
}

const unauthenticated = (answer) =>
  (answer.errors ?? []).filter(({ extensions }) => extensions?.code === 'UNAUTHENTICATED');

/** Whether the answer refuses the caller's credentials. */
export const isRefused = (answer) => unauthenticated(answer).length > 0;

/** Whether the access token has only run out, so that a fresh one will do. */
export const isExpired = (answer) => unauthenticated(answer).some(({ extensions }) => extensions.reason === 'EXPIRED');

/** What went wrong, in a sentence, or undefined. */
export const complaint = (answer, payload) => answer.errors?.[0]?.message ?? payload?.userErrors?.[0]?.message;
