// The audits of graphql-http: what the GraphQL-over-HTTP specification says a server MUST, SHOULD and MAY do.
import { serverAudits } from 'graphql-http';
import { url } from './checks.js';

for (const audit of serverAudits({ url })) {
  const { id, name, status, reason } = await audit.fn();
  console.log(`${status === 'ok' ? 'ok' : 'FAILED'}: ${id} ${name}${reason ? `: ${reason}` : ''}`);
  if (status !== 'ok') process.exitCode = 1;
}
