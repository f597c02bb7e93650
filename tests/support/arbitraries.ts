import fc from "fast-check";
import {
  blockSizes,
  type ClientCommand,
  type ClientHandshake,
  encodeBase64,
  keySizes,
  largestWindow,
  makePublicKey,
  type PublicKey,
  type QueueInfo,
  type ServerAddress,
  type ServerResponse,
  type ServerTransmission,
  smpErrorCodes,
} from "../../protocol/mod.ts";

/** Any bytes, often ones that mean something in a transmission. */
export const bytes: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.oneof(
  fc.uint8Array({ maxLength: 100, size: "max" }),
  fc.array(fc.constantFrom(0x20, 0x23, 0x30, 0x35, 0x41, 0x3d, 0x0a, 0, 0xff), {
    maxLength: 100,
    size: "max",
  })
    .map((bytes) => Uint8Array.from(bytes)),
);

/** A corrId: any bytes but spaces. */
export const corrId: fc.Arbitrary<Uint8Array<ArrayBuffer>> = bytes.map((id) =>
  id.filter((byte) => byte !== 0x20)
);

/** An ID that is not empty, in base64. */
export const id: fc.Arbitrary<string> = fc.uint8Array({ minLength: 1, maxLength: 30 }).map(encodeBase64);

/** A public key of any size with any exponent, also greater than the modulus; hardly one that has a private key. */
export const publicKey: fc.Arbitrary<PublicKey> = fc.constantFrom(16, 512, 1024, 1025, 2047, 2048, 4096)
  .chain((bits) =>
    fc.tuple(
      fc.bigInt({ min: 1n << BigInt(bits - 1), max: (1n << BigInt(bits)) - 1n }),
      fc.oneof(fc.constant(3n), fc.bigInt({ min: 3n, max: (1n << 1024n) - 1n })),
    )
  )
  .map(([modulus, exponent]) => makePublicKey(modulus | 1n, exponent | 1n));

/** A client transmission with the credentials that its command must have. */
export interface ClientParts {
  readonly signature: Uint8Array<ArrayBuffer>;
  readonly corrId: Uint8Array<ArrayBuffer>;
  readonly queueId: string;
  readonly command: ClientCommand;
}

const signature = fc.tuple(fc.constantFrom(...keySizes), fc.integer({ min: 0, max: 255 }))
  .map(([bits, byte]) => new Uint8Array(bits / 8).fill(byte));
const unsigned = fc.constant(new Uint8Array(0));
const noId = fc.constant("");
const clientCommand: Record<ClientCommand["type"], fc.Arbitrary<ClientCommand>> = {
  NEW: publicKey.map((recipientKey) => ({ type: "NEW", recipientKey })),
  SUB: fc.constant({ type: "SUB" }),
  KEY: publicKey.map((senderKey) => ({ type: "KEY", senderKey })),
  ACK: fc.constant({ type: "ACK" }),
  OFF: fc.constant({ type: "OFF" }),
  DEL: fc.constant({ type: "DEL" }),
  SEND: bytes.map((body) => ({ type: "SEND", body })),
  PING: fc.constant({ type: "PING" }),
  OPEN: id.map((binding) => ({ type: "OPEN", binding })),
  SUBN: fc.integer({ min: 1, max: largestWindow }).map((window) => ({ type: "SUBN", window })),
  ACKM: id.map((messageId) => ({ type: "ACKM", messageId })),
  PASS: bytes.map((proof) => ({ type: "PASS", proof })),
  REKEY: bytes.map((payload) => ({ type: "REKEY", payload })),
};

/** Any client transmission. */
export const clientTransmission: fc.Arbitrary<ClientParts> = fc.oneof(
  fc.record({ signature, corrId, queueId: noId, command: clientCommand.NEW }),
  fc.record({ signature: unsigned, corrId, queueId: noId, command: clientCommand.PING }),
  fc.record({ signature: fc.oneof(unsigned, signature), corrId, queueId: id, command: clientCommand.SEND }),
  fc.record({
    signature,
    corrId,
    queueId: id,
    command: fc.oneof(...(["SUB", "KEY", "ACK", "OFF", "DEL"] as const).map((type) => clientCommand[type])),
  }),
);

/** Any client transmission, those of the server extensions too. */
export const extendedTransmission: fc.Arbitrary<ClientParts> = fc.oneof(
  clientTransmission,
  fc.record({
    signature: unsigned,
    corrId,
    queueId: noId,
    command: fc.oneof(clientCommand.PASS, clientCommand.REKEY),
  }),
  fc.record({
    signature,
    corrId,
    queueId: id,
    command: fc.oneof(...(["OPEN", "SUBN", "ACKM"] as const).map((type) => clientCommand[type])),
  }),
);

const timestamp = fc.date({
  min: new Date("0000-01-01T00:00:00.000Z"),
  max: new Date("9999-12-31T23:59:59.999Z"),
  noInvalidDate: true,
});
const error = fc.constantFrom(...smpErrorCodes).map((error): ServerResponse => ({ type: "ERR", error }));
const ids = fc.record({ type: fc.constant("IDS" as const), recipientId: id, senderId: id });
const message = fc.record({ type: fc.constant("MSG" as const), messageId: id, timestamp, body: bytes });

/** Any server transmission. */
export const serverTransmission: fc.Arbitrary<ServerTransmission> = fc.oneof(
  fc.record({ corrId, queueId: fc.oneof(noId, id), response: fc.oneof(ids, error) }),
  fc.record({ corrId, queueId: noId, response: fc.constant<ServerResponse>({ type: "PONG" }) }),
  fc.record({
    corrId,
    queueId: noId,
    response: bytes.map((payload): ServerResponse => ({ type: "REKEY", payload })),
  }),
  fc.record({
    corrId,
    queueId: id,
    response: fc.oneof(message, fc.constantFrom<ServerResponse>({ type: "END" }, { type: "OK" })),
  }),
);

/** A list of extensions that can be announced. */
export const extensions: fc.Arbitrary<string[]> = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,29}\d{1,3}$/), {
  maxLength: 16,
});

/** Any server address. */
export const address: fc.Arbitrary<ServerAddress> = fc.record({
  host: fc.oneof(
    fc.stringMatching(/^[a-zA-Z0-9.\-_][a-zA-Z0-9.\-_[\]]{0,29}$/),
    // RFC 5952, as they are written.
    fc.ipV6().map((text) => new URL(`http://[${text}]`).hostname.slice(1, -1)),
  ),
  port: fc.integer({ min: 1, max: 65535 }),
  keyHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(encodeBase64),
}, { requiredKeys: ["host"] });

/** Any queue info. */
export const queueInfo: fc.Arbitrary<QueueInfo> = fc.record({
  server: address,
  senderId: id,
  encryptionKey: publicKey,
});

const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Any client handshake. */
export const handshake: fc.Arbitrary<ClientHandshake> = fc.record({
  blockSize: fc.constantFrom(...blockSizes),
  keys: fc.record({
    sndKey: exactly(32),
    sndBaseIv: exactly(16),
    rcvKey: exactly(32),
    rcvBaseIv: exactly(16),
  }),
});

/** An encoding that was changed in one to four places, often near its end: bytes replaced, put in, taken out, or cut off. */
export function mutated(encoding: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const at = fc.integer({ min: -60, max: 1000 });
  const change = fc.tuple(fc.constantFrom("replace", "insert", "remove", "cut"), at, bytes);
  return fc.tuple(encoding, fc.array(change, { minLength: 1, maxLength: 4 })).map(([encoding, changes]) => {
    const changed = Array.from(encoding);
    for (const [kind, position, [byte = 0x20]] of changes) {
      const at = position < 0 ? Math.max(0, changed.length + position) : position % (changed.length + 1);
      if (kind === "replace") changed.splice(at, 1, byte);
      else if (kind === "insert") changed.splice(at, 0, byte);
      else if (kind === "remove") changed.splice(at, 1);
      else if (position % 8 === 0) changed.length = at;
    }
    return Uint8Array.from(changed);
  });
}
