/**
 * Fits a module of a program to Node 22.
 *
 * @module
 */
// Of this one step, and nothing that users install: it is not among the project's imports.
// deno-lint-ignore no-import-prefix
import ts from "npm:typescript@5.9.3";

/** A module as Node 22 reads it: JavaScript without `using`. */
export function withoutTypes(text: string): string {
  const { ScriptTarget: { ES2022: target }, ModuleKind: { ESNext: module }, NewLineKind } = ts;
  const compilerOptions = { target, module, newLine: NewLineKind.LineFeed };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}

/** The module at `path` of the package, as Node 22 runs it, with what stands in for Deno. */
export function forNode(text: string, path: string): string {
  const fitted = (/\busing \w+ = /.test(text) ? withoutTypes(text) : text)
    .replace(/from "((?:\.\.\/)+)deno\.json"/, 'from "$1package.json"')
    // Node knows it since 22.18, and nothing else imports a program.
    .replaceAll("import.meta.main", "true");
  const needed = ["Deno", "AsyncDisposableStack"].filter((name) => new RegExp(`\\b${name}[.(]`).test(fitted));
  if (needed.length === 0) return fitted;
  const place = `${"../".repeat(path.split("/").length - 1)}cli/deno_on_node.js`;
  return `import { ${needed.join(", ")} } from "${place}";\n${fitted}`;
}
