import type { Mutation } from "./mutation.ts";

const sessionStreams = "agent/service/session_streams.ts";
const port = ["tests/agent/service/streams_test.ts"];
const fileName = "agent/cli/file_name.ts";
const names = ["tests/agent/cli/file_name_test.ts"];
const commands = ["tests/agent/cli/send_file_test.ts"];

/** Mutations of what programs and people see of streams: the agent's port and command line. */
export const streamClientMutations: readonly Mutation[] = [
  {
    name: "port-streams-unasked",
    what: "a client has streams that has not asked for them",
    file: "agent/service/session_commands.ts",
    from: 'if (this.extensions.has("streams")) return await',
    to: "if (this.extensions !== null) return await",
    tests: port,
  },
  {
    name: "port-put-beyond-size",
    what: "data beyond the size of a stream ends it instead of being refused",
    file: sessionStreams,
    from: "if (size !== null && entry.written + body.length > size) throw",
    to: "if (size !== null && size < 0) throw",
    tests: port,
  },
  {
    name: "port-put-not-awaited",
    what: "the port reads on from a client whose stream has no room",
    file: sessionStreams,
    from: "    await this.#room(written, { alias, stream });",
    to: "    void this.#room(written, { alias, stream }).catch(() => {});",
    tests: port,
  },
  {
    name: "port-put-of-the-dead",
    what: "a client that has gone while its stream has no room is not noticed",
    file: sessionStreams,
    from: 'this.#session.say(null, alias, { type: "SWAIT", stream })',
    to: 'this.#session.say(null, alias, { type: "SWAIT", stream }).catch(() => {})',
    tests: ["tests/agent/service/waiting_put_test.ts"],
  },
  {
    name: "port-put-of-the-reader",
    what: "a client that leaves its data unread must read that its stream has no room",
    file: sessionStreams,
    from: "if (isWritten || !this.#session.isWritten()) continue;",
    to: "if (isWritten) continue;",
    tests: ["tests/agent/service/waiting_put_test.ts"],
  },
  {
    name: "port-data-not-awaited",
    what: "data of a stream is read although its client does not read",
    file: sessionStreams,
    from: 'await this.#session.say(null, alias, { type: "SDATA"',
    to: 'void this.#session.say(null, alias, { type: "SDATA"',
    tests: port,
  },
  {
    name: "port-client-gone-untold",
    what: "the streams of a client that has gone stay",
    file: sessionStreams,
    from: "if (!isWritten) void stream.cancel(gone)",
    to: "if (isWritten) void stream.cancel(gone)",
    tests: port,
  },
  {
    name: "port-name-unquoted",
    what: "the name of a stream can make lines on the port",
    file: "agent/service/stream_command.ts",
    from: "` ${quoted(mediaType)} ${quoted(name)}`",
    to: '` ${quoted(mediaType)} "${name}"`',
    tests: port,
  },
  {
    name: "file-name-is-path",
    what: "a file is put where its sender says",
    file: fileName,
    from: 'given.normalize("NFC").split(/[/\\\\]/).slice(-1)',
    to: '[given.normalize("NFC")]',
    tests: names,
  },
  {
    name: "file-name-has-controls",
    what: "the name of a file can have control characters",
    file: fileName,
    from: 'x00-\\x1f]/gu, "")',
    to: 'x00-\\x1f]/gu, "$&")',
    tests: names,
  },
  {
    name: "file-name-taken",
    what: "a file is received under a name that another one has",
    file: "agent/cli/receive_file.ts",
    from: "if (!await exists(`${folder}/${numbered(name, number)}`)) return number;",
    to: "if (number > 0) return number;",
    tests: commands,
  },
];
