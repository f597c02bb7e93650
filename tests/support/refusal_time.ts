import {
  bytesToBigint,
  type ClientCommand,
  type ClientTransmission,
  decodeClientTransmission,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  makePublicKey,
  type PublicKey,
  randomBytes,
  textBytes,
} from "../../protocol/mod.ts";
import type { PartitionOwner } from "../../server/broker/owner.ts";
import type { BrokerConnection } from "../../server/broker/subscriptions.ts";
import { Authorizer, type Verify } from "../../server/guard/authorization.ts";
import type { ExponentClass } from "../../server/guard/verifier.ts";
import { type Signer, TestBroker, type TestQueue, turn } from "./broker.ts";

/** What a prober can send, and gets AUTH for. */
export interface Probe {
  /** What is asked for; only what is wrong with it differs in a group. */
  readonly group: string;
  /** What is wrong. */
  readonly name: string;
  readonly command: "SUB" | "SEND" | "OPEN";
  /** IDs that are used as often as each other. */
  readonly queueIds: readonly string[];
  readonly isSigned: boolean;
}

/** A probe with the microseconds that its answers took. */
export interface Probed {
  readonly probe: Probe;
  readonly times: number[];
}

/** How the queues are, and what is measured. */
export interface RefusalOptions {
  readonly bits: number;
  readonly costs: ExponentClass;
  /** How often each probe is sent. */
  readonly rounds: number;
  readonly verify: Verify;
  /** Which probes are sent alone. @default all */
  readonly group?: string;
  /** Leaves out the verification where there is no key to decide by, as a broker without the defence would. */
  readonly isDefenceless?: boolean;
  /** What is between the prober and the broker. @default nothing */
  readonly through?: (
    broker: PartitionOwner,
  ) => Promise<AsyncDisposable & { readonly owner: PartitionOwner }>;
}

const queuesOfAKind = 8;

/**
 * Sends every probe as often as the others, in random order, to a broker that accepts no signature but those of whoever
 * opens a queue for another session.
 */
export async function measureRefusals(
  { rounds, through, ...options }: RefusalOptions,
): Promise<readonly Probed[]> {
  const { test, probes } = await prepare(options);
  if (through === undefined) return await measureProbes(test.router, probes, { rounds, ...options });
  await using between = await through(test.router);
  return await measureProbes(between.owner, probes, { rounds, ...options });
}

/** Sends every probe as often as the others, in random order. */
export async function measureProbes(
  owner: PartitionOwner,
  probes: readonly Probe[],
  { rounds, bits }: Pick<RefusalOptions, "rounds" | "bits">,
): Promise<readonly Probed[]> {
  const probed = probes.map((probe): Probed => ({ probe, times: [] }));
  const warmUp = Math.ceil(rounds / 10);
  for (let round = -warmUp; round < rounds; round++) {
    for (const { probe, times } of shuffled(probed)) {
      const time = await measure(owner, transmissionOf(probe, bits));
      if (round >= 0) times.push(time);
    }
  }
  return probed;
}

/**
 * How often a time of `a` is longer than one of `b`, 0 to 1: 0.5 when they are distributed alike (the statistic of Mann
 * and Whitney; for n times each its standard deviation is then about 1 / sqrt(6 n)).
 */
export function superiority(a: readonly number[], b: readonly number[]): number {
  let count = 0;
  for (const x of a) for (const y of b) count += x > y ? 1 : x === y ? 0.5 : 0;
  return count / a.length / b.length;
}

async function prepare(
  { bits, costs, verify, group, isDefenceless = false }: Omit<RefusalOptions, "rounds">,
) {
  let isPreparing = true;
  const keys = new Set<PublicKey>(), accepted = new Set<PublicKey>();
  const authorizer = new Authorizer(async (key, ...work) => {
    if (isPreparing) return true;
    const isRight = (!isDefenceless || keys.has(key)) && await verify(key, ...work);
    return isRight || accepted.has(key);
  });
  const test = new TestBroker({ authorizer });
  const owner = test.connect();
  const create = async (name: string) => {
    const [recipient, sender] = [randomSigner(bits, costs), randomSigner(bits, costs)];
    keys.add(recipient.publicKey).add(sender.publicKey);
    return await owner.create(name, { recipient, sender });
  };
  const [plain, secured] = [[] as TestQueue[], [] as TestQueue[]];
  for (let i = 0; i < queuesOfAKind; i++) {
    plain.push(await create(`plain ${i}`));
    secured.push(await create(`secured ${i}`));
    await owner.ask(secured[i]!, "KEY");
  }
  const own: TestQueue[] = [];
  for (let i = 0; i < queuesOfAKind; i++) {
    own.push(await create(`own ${i}`));
    accepted.add(own[i]!.recipient.publicKey);
  }
  // So that unknown queues are of the class that all keys have.
  for (let i = 0; i < 256; i++) await owner.ask(secured[0]!, "SUB");
  isPreparing = false;
  const unknown = Array.from({ length: queuesOfAKind }, () => encodeBase64(randomBytes(12)));
  const [plainIds, securedIds] = [plain, secured].map((queues) => queues.map(({ senderId }) => senderId));
  const recipientIds = secured.map(({ recipientId }) => recipientId);
  const sub = { command: "SUB", isSigned: true } as const;
  const open = { command: "OPEN", isSigned: true } as const;
  const signed = { command: "SEND", isSigned: true } as const;
  const unsigned = { command: "SEND", isSigned: false } as const;
  const probes: Probe[] = [
    { ...sub, group: "SUB", name: "wrong key", queueIds: recipientIds },
    { ...sub, group: "SUB", name: "unknown", queueIds: unknown },
    { ...sub, group: "SUB", name: "sender's ID", queueIds: securedIds! },
    { ...open, group: "OPEN", name: "wrong key", queueIds: recipientIds },
    { ...open, group: "OPEN", name: "sender's wrong key", queueIds: securedIds! },
    { ...open, group: "OPEN", name: "unsecured", queueIds: plainIds! },
    { ...open, group: "OPEN", name: "unknown", queueIds: unknown },
    { ...open, group: "OPEN", name: "other session", queueIds: own.map(({ recipientId }) => recipientId) },
    { ...signed, group: "signed SEND", name: "wrong key", queueIds: securedIds! },
    { ...signed, group: "signed SEND", name: "unsecured", queueIds: plainIds! },
    { ...signed, group: "signed SEND", name: "unknown", queueIds: unknown },
    { ...signed, group: "signed SEND", name: "recipient's ID", queueIds: recipientIds },
  ];
  // A missing signature costs what one of 2048 bits does.
  if (bits === 2048) {
    probes.push(
      { ...unsigned, group: "unsigned SEND", name: "secured", queueIds: securedIds! },
      { ...unsigned, group: "unsigned SEND", name: "unknown", queueIds: unknown },
      { ...unsigned, group: "unsigned SEND", name: "recipient's ID", queueIds: recipientIds },
    );
  }
  return { test, probes: probes.filter((probe) => group === undefined || probe.group === group) };
}

function anyOf<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)]!;
}

/** Makes a key whose signatures nobody makes: what its modulus is made of makes no difference. */
export function randomSigner(bits: number, costs: ExponentClass): Signer {
  const [modulus, exponent] = [randomBytes(bits / 8), randomBytes(128)];
  modulus[0]! |= 0x80;
  modulus[modulus.length - 1]! |= 1;
  exponent[0] = exponent[0]! & 0x7f | 0x40;
  exponent[exponent.length - 1]! |= 1;
  const publicKey = makePublicKey(
    bytesToBigint(modulus),
    costs === "small" ? 65537n : bytesToBigint(exponent),
  );
  return { publicKey, sign: () => Promise.resolve(new Uint8Array(bits / 8)) };
}

/** A probe as it comes out of a block. */
function transmissionOf({ command, queueIds, isSigned }: Probe, bits: number): ClientTransmission {
  const sent: ClientCommand = command === "SUB"
    ? { type: "SUB" }
    : command === "OPEN"
    ? { type: "OPEN", binding: encodeBase64(randomBytes(32)) }
    : { type: "SEND", body: new Uint8Array(10) };
  const signature = isSigned ? randomBytes(bits / 8) : new Uint8Array(0);
  const signed = encodeSigned(textBytes("1"), anyOf(queueIds), sent);
  const content = encodeClientTransmission(signature, signed);
  const decoded = decodeClientTransmission(content, { has: () => true });
  if (!decoded.ok) throw new Error(`the probe cannot be parsed: ${decoded.error}`);
  return decoded.value;
}

async function measure(owner: PartitionOwner, transmission: ClientTransmission): Promise<number> {
  const answered = Promise.withResolvers<string>();
  const connection: BrokerConnection = {
    blockSize: 4096,
    client: null,
    closed: false,
    binding: new Uint8Array(32),
    isFull: false,
    answer: ({ response }) => answered.resolve(response.type === "ERR" ? response.error : response.type),
    notify() {},
  };
  const began = performance.now();
  await owner.submit(connection, transmission);
  const answer = await answered.promise;
  const time = (performance.now() - began) * 1000;
  owner.disconnect(connection);
  if (answer !== "AUTH") throw new Error(`the answer was ${answer}`);
  await turn();
  return time;
}

function shuffled<T>(values: readonly T[]): T[] {
  return values.map((value) => ({ value, order: Math.random() })).sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}
