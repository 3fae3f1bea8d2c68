// The page: the sign-in bar above GraphiQL.
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createElement as h, useEffect, useMemo, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { SignInBar } from './bar.js';
import { createFetcher } from './fetcher.js';
import { layOut, samplesPanel } from './samples.js';
import { Session } from './session.js';

const config = JSON.parse(document.getElementById('config').textContent);
// The page lies at the address of the API itself.
const endpoint = location.origin + location.pathname;
const session = new Session(endpoint);
const samples = samplesPanel(config.operations);
const panels = [samples, HISTORY_PLUGIN];
const firstPanel = layOut(config.operations) ? samples : undefined;

function Page() {
  const state = useSyncExternalStore(session.subscribe, () => session.state);
  // One fetcher for each sign-in: a new one makes GraphiQL ask for the schema again, as the new user.
  const { fetcher, dispose } = useMemo(() => createFetcher(session, endpoint), [state]);
  useEffect(() => dispose, [dispose]);
  return h(
    'div',
    { className: 'steward' },
    h(SignInBar, { session, state, demos: config.signIns }),
    h(GraphiQL, {
      fetcher,
      // Undefined: ask for it. A server may show its schema to anybody, to those who have signed in, or to nobody.
      schema: config.introspection === 'open' || (state.user && config.introspection !== 'off') ? undefined : null,
      plugins: panels,
      visiblePlugin: firstPanel,
      defaultEditorToolsVisibility: 'variables',
    }),
  );
}

createRoot(document.getElementById('page')).render(h(Page));
