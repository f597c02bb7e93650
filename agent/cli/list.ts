import { counted } from "../../cli/counted.ts";
import type { OptionKinds } from "../../cli/options.ts";
import { formatAddress } from "../../protocol/mod.ts";
import { type ConnectionState, stateOf, unreadOf } from "../core/connection_state.ts";
import type { AgentStore, Connection, StreamRecord } from "../store/store.ts";
import { streamsOf } from "../stream/step.ts";
import { databaseHelp, databaseOptions, defaultDatabase, readArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { openStore, withAdvice } from "./database.ts";
import { oneLine, printable } from "./print.ts";

const kinds = { ...databaseOptions, "json": "flag" } as const satisfies OptionKinds;

/** What is printed of a stream that nobody has accepted. */
interface ListedOffer {
  readonly stream: string;
  /** As its sender says; not to be trusted. */
  readonly name: string;
  readonly mediaType: string;
  readonly size: number | null;
  readonly offeredAt: string;
}

/** What is printed of a connection. */
interface Listed {
  readonly connection: string;
  readonly state: ConnectionState;
  /** Messages that came and were not acknowledged; those that servers have are not known here. */
  readonly unread: number;
  /** What is to be sent yet. */
  readonly unsent: number;
  readonly unreadable: number;
  /** Streams of the other side that wait to be accepted here, and those of this side that wait there. */
  readonly offers: readonly ListedOffer[];
  readonly offered: readonly ListedOffer[];
  readonly servers: readonly string[];
  readonly createdAt: string;
  /** When the session began, `null` before; whether its safety code was compared. */
  readonly secretSince: string | null;
  readonly verified: boolean;
}

/** More are counted as so many. */
const mostUnsent = 1000;

/** `smp-agent list`: what connections there are. */
export const list: Command = {
  summary: "print the connections",
  usage: "[options]",
  help: `\
  --json                  print JSON objects: connection
${databaseHelp}

A line has the connection's state, how many messages came here and were not printed (servers may have
more), how many wait to be sent, how many files and streams are offered and wait to be taken here ("offers")
or by the other side ("offered"), where there is a session since when and whether its safety code was
verified, and its name. States: connected, closed (the other side has deleted it), suspended, invited (nobody
has joined yet), joining, failed (joining was refused, or given up).`,
  async run(args, surroundings) {
    const { options } = readArguments(args, kinds, { names: [] });
    const path = options.db ?? defaultDatabase;
    const opening = { path, passphraseFile: options["passphrase-file"], mayMake: false };
    try {
      await using store = await openStore(opening, surroundings);
      const connections = await store.connections();
      if (connections.length === 0) {
        surroundings.tell('there is no connection yet: "smp-agent invite" and "smp-agent join" make one');
      }
      for (const connection of connections) {
        const listed = await describe(connection, store);
        await surroundings.print(options.json ? oneLine({ type: "connection", ...listed }) : lineOf(listed));
      }
    } catch (error) {
      throw withAdvice(error, path);
    }
  },
};

async function describe(connection: Connection, store: AgentStore): Promise<Listed> {
  const { record: { id, alias, createdAt, unreadable }, receiving, inbound, sending, session } = connection;
  const since = session?.keys.since ?? null;
  let unsent = 0;
  for (const { id } of sending) {
    unsent += (await store.deliveries(id, mostUnsent)).filter(({ messageId }) => messageId > 0).length;
  }
  if (session !== null) {
    const sent = Math.max(0, ...connection.outbound.map(({ cursor }) => cursor));
    unsent += (await store.frames(id, sent, mostUnsent)).filter(({ messageId }) => messageId > 0).length;
  }
  return {
    connection: alias,
    state: stateOf(connection),
    unread: unreadOf(connection),
    unsent,
    unreadable,
    offers: offersOf(connection, "receiving"),
    offered: offersOf(connection, "sending"),
    servers: [...new Set([...receiving, ...inbound].map(({ keys }) => formatAddress(keys.server)))],
    createdAt: new Date(createdAt).toISOString(),
    secretSince: since === null ? null : new Date(since).toISOString(),
    verified: session?.keys.verified ?? false,
  };
}

function offersOf(connection: Connection, direction: StreamRecord["direction"]): ListedOffer[] {
  return streamsOf(connection)
    .filter((stream) => stream.direction === direction && stream.status === "offered")
    .map(({ id, name, mediaType, size, at }) => (
      { stream: id, name, mediaType, size, offeredAt: new Date(at).toISOString() }
    ));
}

function lineOf(
  { connection, state, unread, unsent, offers, offered, secretSince, verified }: Listed,
): string {
  const secret = secretSince === null
    ? ""
    : `secret since ${secretSince.slice(0, 10)}${verified ? ", verified" : ""}  `;
  const waiting = (offers.length > 0 ? `${counted(offers.length, "offer")}  ` : "") +
    (offered.length > 0 ? `${offered.length} offered  ` : "");
  return `${state.padEnd(9)}  ${unread} unread  ${unsent} unsent  ${waiting}${secret}${
    printable(connection)
  }`;
}
