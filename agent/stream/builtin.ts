import type * as Crypto from "node:crypto";
import type * as Files from "node:fs/promises";
import type * as Path from "node:path";

/** Modules that programs outside of browsers have. */
interface Builtins {
  "node:crypto": typeof Crypto;
  "node:fs/promises": typeof Files;
  "node:path": typeof Path;
}

const runtime = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };

/** A module of the runtime; `undefined` in browsers. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] | undefined {
  return runtime.process?.getBuiltinModule?.(name) as Builtins[Name] | undefined;
}

/** The modules that files take. Throws `TypeError` in browsers, where there are no paths. */
export function fileModules(): { readonly files: typeof Files; readonly path: typeof Path } {
  const files = builtin("node:fs/promises"), path = builtin("node:path");
  if (files !== undefined && path !== undefined) return { files, path };
  throw new TypeError("Cannot use a path: this runtime has no files");
}
