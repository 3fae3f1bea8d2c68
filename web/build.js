// Bundles GraphiQL and what is in src/ into dist/. The page takes the names of its files from dist/manifest.json.
//
// It builds in memory and moves the files into place one by one, the manifest last. A name carries a hash of what the
// file holds, so neither two builds at once nor a page opened in the middle ever sees half a bundle.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

const WEB = import.meta.dirname;
const DIST = join(WEB, 'dist');
const MANIFEST = 'manifest.json';
const WORKERS = {
  editor: 'monaco-editor/esm/vs/editor/editor.worker.js',
  graphql: 'monaco-graphql/esm/graphql.worker.js',
  json: 'monaco-editor/esm/vs/language/json/json.worker.js',
};

// GraphiQL's style sheet holds its fonts and pictures as data addresses. As files of our own they pass a content
// security policy of `default-src 'self'`, and the browser loads only the few fonts that it shows.
const filesForDataAddresses = {
  name: 'files for data addresses',
  setup({ onLoad, onResolve }) {
    const files = new Map();
    const name = (_, kind, base64) => {
      const contents = Buffer.from(base64, 'base64');
      const digest = createHash('sha256').update(contents).digest('hex').slice(0, 8);
      const path = `${digest}.${kind.replace('svg+xml', 'svg')}`;
      files.set(path, contents);
      return `url(extracted:${path})`;
    };
    onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      return { contents: text.replaceAll(/url\(data:\w+\/([\w+]+);base64,([^)]*)\)/g, name), loader: 'css' };
    });
    onResolve({ filter: /^extracted:/ }, ({ path }) => ({ path: path.slice('extracted:'.length), namespace: 'data' }));
    onLoad({ filter: /./, namespace: 'data' }, ({ path }) => ({ contents: files.get(path), loader: 'file' }));
  },
};

// The editor's modules each import a style that GraphiQL's own sheet holds already.
const oneEditorStyle = {
  name: 'one editor style',
  setup({ onLoad }) {
    onLoad({ filter: /monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'css' }));
  },
};

const options = {
  absWorkingDir: WEB,
  outdir: DIST,
  entryNames: '[name]-[hash]',
  chunkNames: 'chunk-[hash]',
  assetNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  metafile: true,
  write: false,
  target: 'es2022',
  legalComments: 'linked',
  logLevel: 'warning',
};

// The built file of an entry point, by the entry's name, and the style that its modules import.
function built({ outputs }, name) {
  const isEntry = ([path, { entryPoint }]) => entryPoint && basename(path).startsWith(`${name}-`);
  const [path, { cssBundle }] = Object.entries(outputs).find(isEntry);
  return { file: basename(path), style: cssBundle && basename(cssBundle) };
}

async function buildWorkers() {
  const { metafile, outputFiles } = await build({ ...options, entryPoints: WORKERS, format: 'iife' });
  const names = Object.keys(WORKERS).map((name) => [name, built(metafile, name).file]);
  return { names: Object.fromEntries(names), outputFiles };
}

async function buildPage(workers) {
  const { metafile, outputFiles } = await build({
    ...options,
    entryPoints: { main: 'src/main.js', icon: 'src/icon.svg' },
    format: 'esm',
    splitting: true,
    loader: { '.svg': 'copy' },
    define: { WORKERS: JSON.stringify(workers), 'process.env.NODE_ENV': '"production"' },
    plugins: [filesForDataAddresses, oneEditorStyle],
  });
  const { file: script, style } = built(metafile, 'main');
  return { manifest: { script, style, icon: built(metafile, 'icon').file }, outputFiles };
}

async function write(name, contents) {
  const draft = join(DIST, `.${process.pid}-${name}`);
  await writeFile(draft, contents);
  await rename(draft, join(DIST, name));
}

async function publish(files, manifest) {
  await mkdir(DIST, { recursive: true });
  const old = await readdir(DIST);
  await Promise.all(files.map(({ path, contents }) => write(basename(path), contents)));
  await write(MANIFEST, JSON.stringify(manifest));
  const names = new Set([MANIFEST, ...files.map(({ path }) => basename(path))]);
  await Promise.all(old.filter((name) => !names.has(name)).map((name) => rm(join(DIST, name), { force: true })));
}

const workers = await buildWorkers();
const page = await buildPage(workers.names);
await publish([...workers.outputFiles, ...page.outputFiles], page.manifest);
