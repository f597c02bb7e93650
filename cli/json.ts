/** A message of a control channel that cannot be used; the message says what was found where. */
export class ControlError extends Error {
  override readonly name = "ControlError";
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new ControlError(`${what} is no object`);
}

export function textOf(value: unknown, what: string, most = 4096): string {
  if (typeof value === "string" && value.length <= most) return value;
  throw new ControlError(`${what} is no text of at most ${most} characters`);
}

export function nullOr<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === null ? null : read(value);
}

export function countOf(value: unknown, what: string, most: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value as number >= 0 && value as number <= most) return value as number;
  throw new ControlError(`${what} is no whole number from 0 to ${most}`);
}

/** At least 0, with a fraction. */
export function amountOf(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw new ControlError(`${what} is no number of at least 0`);
}

export function listOf<T>(
  value: unknown,
  what: string,
  { most, read }: { readonly most: number; readonly read: (entry: unknown) => T },
): readonly T[] {
  if (Array.isArray(value) && value.length <= most) return value.map(read);
  throw new ControlError(`${what} is no list of at most ${most}`);
}

export function oneOf<const T extends string | boolean>(
  value: unknown,
  what: string,
  allowed: readonly T[],
): T {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new ControlError(`${what} is none of ${allowed.join(", ")}`);
}
