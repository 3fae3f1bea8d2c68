// The editor's language workers, from our own address. WORKERS (their files' names) is put in by build.js.
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(new URL(WORKERS[label] ?? WORKERS.editor, import.meta.url)),
};
