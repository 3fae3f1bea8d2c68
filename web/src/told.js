// GraphiQL shows one result at a time, so that each event would take the place of the one before.
const KEPT = 100;

/** A function of a subscription's events, one by one, to what is shown: the last, and the `earlier` ones from it down. */
export function told() {
  let shown = [];
  return (result) => {
    const [before, ...others] = shown;
    const one = joined(before, result);
    shown = (one ? [one, ...others] : [result, ...shown]).slice(0, KEPT);
    const earlier = shown.slice(1).map(({ extensions: _, ...event }) => event);
    return earlier.length > 0 ? { ...shown[0], earlier } : shown[0];
  };
}

// Words that go on where the last ones ended are shown as one piece, or nobody could read them.
function joined(before, result) {
  const [[field, words] = []] = Object.entries(result.data ?? {});
  const last = before?.data?.[field];
  const isDelta = words?.__typename === 'TextDelta' && last?.__typename === 'TextDelta';
  if (!isDelta || last.messageId !== words.messageId || last.position !== words.position) return undefined;
  if (words.start !== last.start + last.text?.length) return undefined;
  return { ...result, data: { [field]: { ...words, start: last.start, text: last.text + words.text } } };
}
