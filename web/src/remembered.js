// What samples leave open: `conversation_…` among the variables stands for an id of that kind, and `eventsCursor…` for a
// field of that name, as the last answer that held one gave it: the first of them, which is the newest in a list.
const ID = /^([a-z]+(?:_[a-z]+)*)_[0-9a-f]{32}$/;
const OPEN = /^(\w+?)_?…$/;

/** Remembers what answers hold, and fills it in where variables leave it open. */
export class Remembered {
  #last = new Map();

  learn(answer) {
    const found = new Map();
    for (const [name, text] of texts(answer?.data)) {
      const kind = ID.exec(text)?.[1];
      for (const each of kind ? [name, kind] : [name]) if (!found.has(each)) found.set(each, text);
    }
    this.#last = new Map([...this.#last, ...found]);
  }

  /** The variables; what no answer has held yet stays open, and the server says what is wrong with it. */
  filled(variables) {
    const fill = (_, value) => this.#last.get(OPEN.exec(value)?.[1]) ?? value;
    return variables && JSON.parse(JSON.stringify(variables), fill);
  }
}

function* texts(value, name = '') {
  if (typeof value === 'string') yield [name, value];
  if (value === null || typeof value !== 'object') return;
  for (const [key, each] of Object.entries(value)) yield* texts(each, Array.isArray(value) ? name : key);
}
