import { countOf, objectOf, textOf } from "../json.ts";
import { readRegular } from "../regular_file.ts";

/** Bytes of a Unix socket's path: 104 on macOS, 108 on Linux, with the zero at its end. */
const longestPath = 100;

/** Where a server or an agent can be administered: a Unix socket, or where there is none a loopback port that a file names. */
export interface AdminPlace {
  readonly kind: "socket" | "port";
  /** Of the socket, or of the file. */
  readonly path: string;
  /** What is administered, for messages. */
  readonly program: "server" | "agent";
}

/** What the file holds: the port of 127.0.0.1, and what a request must have to be answered. */
export interface PortFile {
  readonly port: number;
  readonly token: string;
}

/** The place beside the files of a program that begin with `start`. */
export function placeBeside(
  start: string,
  { program, os }: { readonly program: AdminPlace["program"]; readonly os: typeof Deno.build.os },
): AdminPlace {
  return os === "windows"
    ? { kind: "port", path: `${start}.admin`, program }
    : { kind: "socket", path: `${start}.sock`, program };
}

/** Throws `Error` for a path that no socket can have. */
export function checkPath(path: string): void {
  const length = new TextEncoder().encode(path).length;
  if (length > longestPath) {
    throw new Error(`${path} is too long for the path of a socket: ${length} bytes, not ${longestPath}`);
  }
}

/** Throws `ControlError`, `SyntaxError`, or what the system says. */
export async function readPortFile(path: string): Promise<PortFile> {
  const given = objectOf(JSON.parse(await readRegular(path)), path);
  return { port: countOf(given["port"], "port", 65_535), token: textOf(given["token"], "token", 100) };
}
