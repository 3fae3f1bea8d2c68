import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "../../schema.graphql",
  documents: "../operations.graphql",
  generates: {
    "generated.ts": {
      plugins: ["typescript-operations", "typed-document-node"],
      config: {
        // A Decimal stays the string it is sent as: a JavaScript number would round it.
        scalars: { ID: "string", Decimal: "string", Date: "string", DateTime: "string", UUID: "string", JSON: "unknown" },
        strictScalars: true,
        enumType: "string-literal",
        documentMode: "documentNode",
        optimizeDocumentNode: true,
        useTypeImports: true,
      },
    },
  },
};

export default config;
