import { decodeBase64, encodeBase64, textBytes } from "../../protocol/mod.ts";

/** What can be serialized; a property that is `undefined` is left out. */
export type Serializable =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Serializable[]
  | { readonly [name: string]: Serializable | undefined };

/** The one property of an object that stands for bytes; other names that begin with `$` get a second one. */
const bytesTag = "$bytes";

/** Records are flat; a file that nests deeper is none of ours. */
const maxDepth = 32;

/** Writes a value as JSON in UTF-8, bytes as `{"$bytes":"<base64>"}`. Throws `TypeError` when it cannot be read back. */
export function serialize(value: object): Uint8Array<ArrayBuffer> {
  return textBytes(JSON.stringify(toJson(value as Serializable, 0)));
}

/**
 * Reads what {@linkcode serialize} has written. Throws `SyntaxError` when it is anything else, but does not know what
 * properties are expected.
 */
export function deserialize(bytes: Uint8Array): unknown {
  let json;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new SyntaxError("Cannot parse record: it is not JSON", { cause });
  }
  return fromJson(json, 0);
}

function toJson(value: Serializable, depth: number): unknown {
  if (depth > maxDepth) throw new TypeError("Cannot serialize record: it is nested too deeply");
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    throw new TypeError(`Cannot serialize record: it holds ${value}`);
  }
  if (value instanceof Uint8Array) return { [bytesTag]: encodeBase64(value) };
  if (Array.isArray(value)) return value.map((item: Serializable) => toJson(item, depth + 1));
  if (!isPlainObject(value)) throw new TypeError(`Cannot serialize record: it holds a ${typeof value}`);
  const json: Record<string, unknown> = Object.create(null);
  for (const [name, property] of Object.entries(value)) {
    if (property === undefined) continue;
    json[name.startsWith("$") ? `$${name}` : name] = toJson(property, depth + 1);
  }
  return json;
}

function fromJson(json: unknown, depth: number): unknown {
  if (depth > maxDepth) throw new SyntaxError("Cannot parse record: it is nested too deeply");
  if (typeof json === "number" && !Number.isFinite(json)) {
    throw new SyntaxError("Cannot parse record: a number is too large");
  }
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return json.map((item) => fromJson(item, depth + 1));
  const entries = Object.entries(json);
  if (entries.length === 1 && entries[0]![0] === bytesTag) return bytesOf(entries[0]![1]);
  return Object.fromEntries(entries.map(([name, value]) => [unescaped(name), fromJson(value, depth + 1)]));
}

function bytesOf(text: unknown): Uint8Array<ArrayBuffer> {
  const bytes = typeof text === "string" ? decodeBase64(text) : null;
  if (bytes === null) throw new SyntaxError("Cannot parse record: bytes are not base64");
  return bytes;
}

function unescaped(name: string): string {
  if (!name.startsWith("$")) return name;
  if (name.startsWith("$$")) return name.slice(1);
  throw new SyntaxError(`Cannot parse record: ${JSON.stringify(name)} is no name of a property`);
}

function isPlainObject(value: unknown): value is { readonly [name: string]: Serializable | undefined } {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
