// Carries GraphiQL's operations: queries and mutations by HTTP, subscriptions by graphql-transport-ws.
import { Kind, parse } from 'graphql';
import { createClient } from 'graphql-ws';
import { Remembered } from './remembered.js';
import { told } from './told.js';

const UNAUTHORIZED = 4401;
const TOKEN_ENDED = 4403;
const ATTEMPTS = 10;
const LONGEST_WAIT = 15_000;

/** A fetcher for GraphiQL, and `dispose`, which ends its subscriptions. */
export function createFetcher(session, endpoint) {
  const socket = connect(session, endpoint);
  const remembered = new Remembered();
  const answered = (result) => {
    remembered.learn(result);
    return result;
  };
  const fetcher = (request, { headers } = {}) => {
    const operation = chosen(request);
    const named = { ...request, operationName: operation?.name?.value ?? request.operationName };
    const filled = { ...named, variables: remembered.filled(request.variables) };
    if (operation?.operation !== 'subscription') return session.send(filled, headers).then(answered);
    return follow(socket, filled, takesAfter(operation), answered);
  };
  return { fetcher, dispose: () => socket.dispose() };
}

// The operation to run, by the text itself: the name that GraphiQL hands over may still be the last tab's.
function chosen({ query, operationName }) {
  let operations;
  try {
    operations = parse(query).definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  } catch {
    return undefined; // The server says better what is wrong with it.
  }
  const named = operations.find(({ name }) => name?.value === operationName);
  return named ?? (operations.length === 1 ? operations[0] : undefined);
}

const takesAfter = ({ variableDefinitions }) => variableDefinitions.some(({ variable }) => variable.name.value === 'after');

function connect(session, endpoint) {
  let stale = false;
  return createClient({
    url: endpoint.replace(/^http/, 'ws'),
    retryAttempts: ATTEMPTS,
    // A refused connection comes as a bare event: the server may be starting again. An error is our own, and final.
    shouldRetry: (problem) => !(problem instanceof Error),
    retryWait: (retries) => pause(stale ? 0 : Math.min(500 * 2 ** retries, LONGEST_WAIT)),
    async connectionParams() {
      if ((stale || session.hasExpired) && !(await session.refresh())) throw new Error('Not signed in.');
      stale = false;
      return session.headers;
    },
    on: {
      closed({ code }) {
        stale = code === TOKEN_ENDED;
        if (code === UNAUTHORIZED) session.end('The server did not accept the sign-in.');
      },
    },
  });
}

// An observable and not an async generator: stopping a generator waits for its next event, which may never come.
function follow(socket, { variables, ...request }, resumes, answered) {
  return {
    subscribe({ next, error, complete }) {
      const show = told();
      // The socket sends the same request once more when it was lost, which then goes on after the last event.
      const given = { ...request, variables: { ...variables } };
      const tell = (result) => {
        const [event] = Object.values(result.data ?? {});
        if (resumes && event?.cursor) given.variables.after = event.cursor;
        next(show(answered(result)));
      };
      const fail = (problem) => error(readable(problem));
      return { unsubscribe: socket.subscribe(given, { next: tell, complete, error: fail }) };
    },
  };
}

// What GraphiQL shows of a failed subscription: GraphQL errors as they are, anything else as a sentence.
function readable(problem) {
  if (Array.isArray(problem)) return problem;
  if (problem instanceof Error) return { message: problem.message };
  if (problem.code === undefined) return { message: 'The server could not be reached.' };
  return { message: `The socket closed with ${problem.code} ${problem.reason}`.trim() };
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
