/** What bounds a server. Every limit is a whole number of at least 1. */
export interface Limits {
  /** Connections at a time. @default 10000 */
  readonly connections: number;
  /** Milliseconds for a handshake. @default 5000 */
  readonly handshakeTimeout: number;
  /** Transmissions of one connection that may be in work or wait to be answered. @default 32 */
  readonly inWork: number;
  /** Milliseconds within which a peer must take what is written to it. @default 15000 */
  readonly writeTimeout: number;
}

/** The limits of a server that was given none. */
export const defaultLimits: Limits = {
  connections: 10_000,
  handshakeTimeout: 5_000,
  inWork: 32,
  writeTimeout: 15_000,
};

/** Completes and checks limits. Throws `RangeError` that names the limit. */
export function checkLimits(given: Partial<Limits> = {}): Limits {
  const limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`Cannot use limit ${name}: ${value} is not a whole number of at least 1`);
    }
  }
  return limits;
}
