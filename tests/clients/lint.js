// graphql-eslint's recommended rules for schemas, and those for Relay, on schema.graphql. Prints what breaks them.
import plugin from '@graphql-eslint/eslint-plugin';
import { ESLint } from 'eslint';
import { buildSchema, isObjectType } from 'graphql';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const schema = buildSchema(readFileSync(join(ROOT, 'schema.graphql'), 'utf8'));
// Values, such as an amount of money, are what their fields say; connections, edges, payloads and the page's info too.
const values = Object.values(schema.getTypeMap())
  .filter((type) => isObjectType(type) && !type.getInterfaces().some(({ name }) => name === 'Node'))
  .map(({ name }) => name);
// One merely begins with the same letters, and the other's type is called after what it tells.
const NO_PREFIX = ['Field "filledAt"', 'Field "drift"'];

const { configs, parser } = plugin;
const eslint = new ESLint({
  cwd: ROOT,
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ['**/*.graphql'],
      plugins: { '@graphql-eslint': plugin },
      languageOptions: { parser, parserOptions: { graphQLConfig: { schema: join(ROOT, 'schema.graphql') } } },
      rules: {
        ...configs['flat/schema-recommended'].rules,
        ...configs['flat/schema-relay'].rules,
        '@graphql-eslint/strict-id-in-types': ['error', { exceptions: { types: values } }],
        // A list that is bounded by nature says so, and is none of edges.
        '@graphql-eslint/relay-edge-types': ['error', { listTypeCanWrapOnlyEdgeType: false }],
      },
    },
  ],
});
const [{ messages }] = await eslint.lintFiles(['schema.graphql']);
const broken = messages.filter(({ message }) => !NO_PREFIX.some((known) => message.startsWith(known)));
for (const { line, ruleId, message } of broken) console.log(`${line}: ${ruleId}: ${message}`);
process.exitCode = broken.length ? 1 : 0;
