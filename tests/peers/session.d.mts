// Types of session.mjs, for tests that run it in Deno.

export type Role = "joiner" | "initiator";

export interface Refusal {
  readonly refused: string;
}

/** ML-KEM-768 as in @noble/post-quantum, and a source of random bytes. */
export interface Kit {
  readonly mlKem: {
    keygen(seed?: Uint8Array): { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
    encapsulate(
      publicKey: Uint8Array,
      seed?: Uint8Array,
    ): { readonly cipherText: Uint8Array; readonly sharedSecret: Uint8Array };
    decapsulate(cipherText: Uint8Array, secretKey: Uint8Array): Uint8Array;
  };
  random(length: number): Uint8Array;
}

export interface Pair {
  readonly dhPrivate: Uint8Array;
  readonly kemSeed: Uint8Array;
  readonly kemSecret: Uint8Array;
  /** X25519 key 32 bytes, ML-KEM key 1184. */
  readonly public: Uint8Array;
}

export const SKIP_LIMIT: number;
export const SKIP_AGE_LIMIT: number;
export const HEADER_SIZE: number;
export const MESSAGE_LIMIT: number;
export const FRAMES_LIMIT: number;

export function makePair(kit: Kit): Pair;
export function pairFromSeeds(kit: Kit, dhPrivate: Uint8Array, kemSeed: Uint8Array): Pair;

export interface RatchetState {
  readonly role: Role;
  readonly transcript: Uint8Array;
  readonly rootKey: Uint8Array;
  readonly pair: Pair;
  readonly isStepDue: boolean;
  readonly receiving: null | {
    readonly dh: Uint8Array;
    readonly chainKey: Uint8Array;
    readonly number: number;
  };
  /** The DH keys of chains of the other side that are over. */
  readonly retired: readonly Uint8Array[];
  readonly skipped: ReadonlyMap<string, { readonly key: Uint8Array; readonly time: number }>;
}

export function startRatchet(start: {
  readonly role: Role;
  readonly transcript: Uint8Array;
  readonly root: Uint8Array;
  readonly pair: Pair;
  readonly other: Uint8Array;
}): RatchetState;
export function encrypt(
  kit: Kit,
  state: RatchetState,
  plaintext: Uint8Array,
): { readonly state: RatchetState; readonly message: Uint8Array; readonly refused?: undefined } | Refusal;
export function decrypt(
  kit: Kit,
  state: RatchetState,
  message: Uint8Array,
  now: number,
): { readonly state: RatchetState; readonly plaintext: Uint8Array; readonly refused?: undefined } | Refusal;

export interface Route {
  readonly id: Uint8Array;
  readonly server: string;
  readonly senderId: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly key: Uint8Array;
  readonly blockSize: number;
}

export function encodeRoute(route: Route): Uint8Array;
export function decodeRoute(
  bytes: Uint8Array,
): { readonly route: Route; readonly refused?: undefined } | Refusal;

export interface Piece {
  readonly tag: Uint8Array;
  readonly index: number;
  readonly count: number;
  readonly total: number;
  readonly piece: Uint8Array;
  readonly message?: undefined;
  readonly refused?: undefined;
}

export interface ReassemblyLimits {
  readonly bytes: number;
  readonly unfinished: number;
  readonly age: number;
}

export interface Reassembly {
  readonly limits: ReassemblyLimits;
  readonly unfinished: readonly unknown[];
}

export function packetSize(blockSize: number): number;
export function bodySize(blockSize: number): number;
export function packetsOf(message: Uint8Array, blockSize: number): Uint8Array[];
export function parsePacket(
  packet: Uint8Array,
  blockSize: number,
): { readonly message: Uint8Array; readonly refused?: undefined } | Piece | Refusal;
export function sealPacket(kit: Kit, route: Route, packet: Uint8Array): Uint8Array;
export function openPacket(
  route: Route,
  body: Uint8Array,
): { readonly packet: Uint8Array; readonly refused?: undefined } | Refusal;
export const REASSEMBLY_LIMITS: ReassemblyLimits;
export function startReassembly(limits?: ReassemblyLimits): Reassembly;
export function addPiece(
  state: Reassembly,
  added: { readonly routeId: Uint8Array; readonly piece: Piece; readonly now: number },
): {
  readonly state: Reassembly;
  readonly message: Uint8Array | null;
  readonly dropped: readonly { readonly tag: Uint8Array; readonly reason: string }[];
  readonly refused?: undefined;
} | Refusal;

export interface Progress {
  readonly upTo: number;
  readonly ranges: readonly { readonly from: number; readonly to: number }[];
}

export type Frame =
  & { readonly number: number; readonly time: number }
  & (
    | {
      readonly kind: "message";
      readonly userNumber: number;
      readonly previousHash: Uint8Array;
      readonly body: Uint8Array;
    }
    | { readonly kind: "receipt"; readonly stored: Progress; readonly acknowledged: Progress }
    | {
      readonly kind: "routeAdd";
      readonly route: Route;
      readonly replaces: Uint8Array | null;
      readonly isLost: boolean;
    }
    | { readonly kind: "routeOk" | "routeEnd"; readonly routeId: Uint8Array }
    | { readonly kind: "routeRefused"; readonly routeId: Uint8Array; readonly reason: number }
    | { readonly kind: "skip"; readonly from: number; readonly to: number }
    | { readonly kind: "ready"; readonly kinds: readonly number[] }
    | { readonly kind: "last"; readonly userNumber: number }
    | { readonly kind: "close" }
    | { readonly kind: "digest"; readonly digest: Uint8Array }
    | { readonly kind: "unknown"; readonly code: number; readonly content: Uint8Array }
  );

export function encodeFrame(frame: Frame): Uint8Array;
export function parseFrames(
  plaintext: Uint8Array,
): { readonly frames: readonly Frame[]; readonly refused?: undefined } | Refusal;

export function hashOfMessage(
  message: Pick<
    Extract<Frame, { readonly kind: "message" }>,
    "userNumber" | "previousHash" | "time" | "body"
  >,
): Uint8Array;

/** Of frames as `encodeFrame` gives them. */
export function digestOf(frames: readonly Uint8Array[]): Uint8Array;
export function numbersOf(numbers: Progress): readonly number[];
export function judgeReceipt(
  receipt: { readonly stored: Progress; readonly digest: Uint8Array },
  side: { readonly sent: ReadonlyMap<number, Uint8Array>; readonly told: ReadonlySet<number> },
): "believed" | "late" | "other";

/** The numbers up to one, and others beyond it. */
export interface Window {
  readonly upTo: number;
  readonly others: readonly number[];
}

export interface Account {
  readonly stored: Window;
  readonly greatest: number;
  readonly user: number;
  readonly hash: Uint8Array;
}

export interface Told {
  readonly digest: Uint8Array;
  readonly names: readonly Uint8Array[];
}

export interface Rest {
  readonly receipted: Window;
  readonly kept: number;
  readonly next: number;
}

export function toldOf(side: {
  readonly stored: Window;
  readonly frames: ReadonlyMap<number, Uint8Array>;
  readonly digest: Uint8Array;
}): Told;

/** What each step of a repair says. */
export interface RepairSayings {
  readonly call: { readonly time: number; readonly id: Uint8Array; readonly asked: number };
  readonly ask: {
    readonly time: number;
    readonly id: Uint8Array;
    readonly account: Account;
    readonly told?: Told;
  };
  readonly offer: {
    readonly id: Uint8Array;
    readonly publicPair: Uint8Array;
    readonly account: Account;
    readonly told?: Told;
    readonly rest: Rest;
  };
  readonly answer: {
    readonly id: Uint8Array;
    readonly publicPair: Uint8Array;
    readonly ciphertext: Uint8Array;
    readonly rest: Rest;
  };
}

export interface RepairKeys {
  readonly repairKey: Uint8Array;
  readonly before?: readonly Uint8Array[];
}

export function repairPacket<Step extends keyof RepairSayings>(
  step: Step,
  said: RepairSayings[Step],
  keys: RepairKeys,
): Uint8Array;
export function readRepairPacket(
  packet: Uint8Array,
  keys: RepairKeys,
):
  | {
    [Step in keyof RepairSayings]: {
      readonly step: Step;
      readonly said: RepairSayings[Step];
      readonly bytes: Uint8Array;
      readonly refused?: undefined;
    };
  }[keyof RepairSayings]
  | Refusal;
export function repairTranscript(packets: {
  readonly ask: Uint8Array;
  readonly offer: Uint8Array;
  readonly answer: Uint8Array;
}): Uint8Array;
export function repairedRoot(parts: {
  readonly transcript: Uint8Array;
  readonly kemSecret: Uint8Array;
  readonly ownPair: Pair;
  readonly otherPublic: Uint8Array;
  readonly repairKey: Uint8Array;
}): Uint8Array;
export function encapsulateFirst(
  kit: Kit,
  publicPair: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array };
export function decapsulateFirst(kit: Kit, ciphertext: Uint8Array, pair: Pair): Uint8Array;

/** One side of a session between agents that tell digests. */
export class SessionSide {
  constructor(options: {
    readonly kit: Kit;
    readonly role: Role;
    readonly ratchet: RatchetState;
    readonly repairKey: Uint8Array;
    readonly safetyCode: string;
    /** Milliseconds since 1970. */
    readonly clock: { readonly now: number };
  });
  /** Packets that it sends, in their order. */
  readonly outbox: (
    | { readonly type: "message"; readonly message: Uint8Array }
    | { readonly type: "repair"; readonly content: Uint8Array }
  )[];
  /** What its program was told, in order. */
  readonly had: readonly string[];
  /** What has come, also what waits for something before it. */
  readonly came: ReadonlySet<string>;
  /** What it has told to be delivered. */
  readonly delivered: readonly string[];
  /** How many sessions have taken the place of the one before. */
  readonly repairs: number;
  readonly isAtRest: boolean;
  readonly safetyCode: string;
  backup(): unknown;
  restore(backup: unknown): void;
  send(text: string): void;
  /** Sends again what has no receipt. */
  repeat(): void;
  /** Tells what it has, if that is due. */
  tell(): void;
  /** What is due by the clock. */
  look(): void;
  receive(
    packet: { readonly type: "message"; readonly message: Uint8Array } | {
      readonly type: "repair";
      readonly content: Uint8Array;
    },
  ): void;
}
