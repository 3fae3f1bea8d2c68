// The sample operations: as GraphiQL's tabs, and as the panel that finds them among the tabs.
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { createElement as h, useEffect } from 'react';

const TABS = 'graphiql:tabState';
const QUERY = 'graphiql:query';
const VARIABLES = 'graphiql:variables';
const SAMPLES = 'steward:samples';

const read = (key) => JSON.parse(localStorage.getItem(key));
const write = (key, value) => localStorage.setItem(key, JSON.stringify(value));

// GraphiQL calls a tab after its operation.
const titleOf = ({ name, query }) => /^\s*(?:query|mutation|subscription)\s+(\w+)/m.exec(query)?.[1] ?? name;

/**
 * Lays out the tabs before GraphiQL reads them. A set of samples that this browser has not seen yet opens as tabs,
 * with the tabs that people have written or changed themselves behind it; a known set leaves everything as it is.
 * Returns whether the set is new.
 */
export function layOut(samples) {
  if (localStorage.getItem(TABS) && localStorage.getItem(SAMPLES) === JSON.stringify(samples)) return false;
  const before = read(SAMPLES) ?? [];
  const isOld = (tab) =>
    before.some(({ query, variables }) => query === tab.query && variables === (tab.variables ?? ''));
  const own = (read(TABS)?.tabs ?? [])
    .filter((tab) => tab.query && !isOld(tab))
    .map((tab, index) => ({ ...tab, id: `own-${index}` }));
  write(TABS, { activeTabIndex: 0, tabs: [...samples.map(asTab), ...own] });
  write(SAMPLES, samples);
  // The editors open with these two, which GraphiQL keeps apart from the tabs.
  localStorage.setItem(QUERY, samples[0]?.query ?? '');
  localStorage.setItem(VARIABLES, samples[0]?.variables ?? '');
  return true;
}

function asTab(sample) {
  const { name, query, variables } = sample;
  const title = titleOf(sample);
  return { id: name, title, query, variables, headers: null, operationName: title, response: null };
}

/** The panel that lists the samples with their descriptions. */
export const samplesPanel = (samples) => ({
  title: 'Sample operations',
  icon: Icon,
  content: () => h(Panel, { samples }),
});

function Panel({ samples }) {
  const { changeTab, addTab } = useGraphiQLActions();
  const { tabs, activeTabIndex, queryEditor, variableEditor } = useGraphiQL(
    ({ tabs, activeTabIndex, queryEditor, variableEditor }) => ({ tabs, activeTabIndex, queryEditor, variableEditor }),
  );
  // The tabs are more than the window shows.
  useEffect(() => {
    document.getElementById(`graphiql-session-tab-${activeTabIndex}`)?.scrollIntoView({ inline: 'nearest' });
  }, [activeTabIndex]);
  const open = (sample) => {
    const index = tabs.findIndex(({ title }) => title === titleOf(sample));
    if (index >= 0) return changeTab(index);
    addTab();
    queryEditor.setValue(sample.query);
    variableEditor.setValue(sample.variables);
  };
  const current = tabs[activeTabIndex]?.title;
  return h(
    'section',
    { 'aria-label': 'Sample operations' },
    h('h2', { className: 'steward-heading' }, 'Sample operations'),
    h(
      'ul',
      { className: 'steward-samples' },
      samples.map((sample) =>
        h('li', { key: sample.name }, h(Sample, { sample, isCurrent: titleOf(sample) === current, open })),
      ),
    ),
  );
}

function Sample({ sample, isCurrent, open }) {
  return h(
    'button',
    { type: 'button', 'aria-current': isCurrent, onClick: () => open(sample) },
    h('strong', null, titleOf(sample)),
    h('span', null, sample.description),
  );
}

function Icon() {
  const lines = ['M3 5h2', 'M8 5h13', 'M3 12h2', 'M8 12h13', 'M3 19h2', 'M8 19h13'];
  return h(
    'svg',
    { width: '1em', height: '1em', viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', strokeWidth: 1.5 },
    lines.map((d) => h('path', { key: d, d })),
  );
}
