/** Reads values of unknown origin: each function gives the value, or throws `TypeError` that names the place of what is wrong. */
export type Parse<T> = (value: unknown, place: string) => T;

/** What is read of a property that may be missing. */
type Optional<T> = Parse<T | undefined>;

/** The parsers of the properties of an object; one that may be missing has one made by {@linkcode optional}. */
export type Properties<T> = {
  readonly [Name in keyof T]-?: undefined extends T[Name] ? Optional<Exclude<T[Name], undefined>>
    : Parse<T[Name]>;
};

/** An object with these properties and no others. */
export function object<T extends object>(properties: Properties<T>): Parse<T> {
  const parsers = Object.entries<Parse<unknown>>(properties);
  const names = new Set(parsers.map(([name]) => name));
  return (value, place) => {
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw wrong(place, "an object");
    }
    const given = new Map(Object.entries(value));
    for (const name of given.keys()) if (!names.has(name)) throw wrong(`${place}.${name}`, "left out");
    const entries = parsers.map(([name, parse]) =>
      [name, parse(given.get(name), `${place}.${name}`)] as const
    );
    return Object.fromEntries(entries.filter(([, property]) => property !== undefined)) as T;
  };
}

/** A property that may be missing. */
export function optional<T>(parse: Parse<T>): Optional<T> {
  return (value, place) => value === undefined ? undefined : parse(value, place);
}

/** One of several shapes, told apart by the property `type`. */
export function union<T extends { readonly type: string }>(
  shapes: { readonly [Type in T["type"]]: Parse<Extract<T, { readonly type: Type }>> },
): Parse<T> {
  const byType = new Map(Object.entries<Parse<T>>(shapes));
  return (value, place) => {
    const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
    const parse = typeof type === "string" ? byType.get(type) : undefined;
    if (parse === undefined) throw wrong(`${place}.type`, `one of ${[...byType.keys()].join(", ")}`);
    return parse(value, place);
  };
}

/** One of these values. */
export function oneOf<T extends string | boolean>(...values: readonly T[]): Parse<T> {
  return (value, place) => {
    const found = values.find((each) => each === value);
    if (found === undefined) throw wrong(place, `one of ${values.join(", ")}`);
    return found;
  };
}

/** `null`, or what `parse` reads. */
export function nullable<T>(parse: Parse<T>): Parse<T | null> {
  return (value, place) => value === null ? null : parse(value, place);
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): Parse<number> {
  return (value, place) => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
      throw wrong(place, `a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** Text of at most `max` UTF-16 units that `pattern` matches. */
export function text(max: number, pattern: RegExp): Parse<string> {
  return (value, place) => {
    if (typeof value !== "string" || value.length > max || !pattern.test(value)) {
      throw wrong(place, `text of at most ${max} characters, ${pattern}`);
    }
    return value;
  };
}

/** From `min` to `max` bytes. */
export function bytes(min: number, max: number): Parse<Uint8Array<ArrayBuffer>> {
  return (value, place) => {
    if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
      throw wrong(place, `${min} to ${max} bytes`);
    }
    return value as Uint8Array<ArrayBuffer>;
  };
}

/** At most `max` values that `parse` reads. */
export function list<T>(max: number, parse: Parse<T>): Parse<T[]> {
  return (value, place) => {
    if (!Array.isArray(value) || value.length > max) throw wrong(place, `a list of at most ${max}`);
    return value.map((item, i) => parse(item, `${place}[${i}]`));
  };
}

/** A list of two. */
export function pairOf<T>(parse: Parse<T>): Parse<readonly [T, T]> {
  const items = list(2, parse);
  return (value, place) => {
    const [first, second, ...rest] = items(value, place);
    if (first === undefined || second === undefined || rest.length > 0) throw wrong(place, "a list of two");
    return [first, second];
  };
}

/** What `parse` reads, or `fallback` where it is missing. */
export function withDefault<T>(parse: Parse<T>, fallback: T): Parse<T> {
  return (value, place) => value === undefined ? fallback : parse(value, place);
}

function wrong(place: string, expected: string): TypeError {
  return new TypeError(`${place} is not ${expected}`);
}
