import { temporaryFolder } from "./server_process.ts";
import { soon } from "./wait.ts";

/** A TCP port whose connections go on to a Unix socket: nginx takes no free port by itself. */
export class Forwarder implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #work: Promise<void>;
  readonly #connections = new Set<Deno.Conn>();
  readonly #forwarding = new Set<Promise<unknown>>();

  /** Forwards to `path`, where somebody must listen when the first connection comes. */
  constructor(path: string) {
    this.#work = this.#accept(path);
  }

  /** The port. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#work;
    for (const connection of this.#connections) close(connection);
    await Promise.all(this.#forwarding);
  }

  async #accept(path: string): Promise<void> {
    for await (const client of this.#listener) {
      const done = this.#forward(client, path).finally(() => this.#forwarding.delete(done));
      this.#forwarding.add(done);
    }
  }

  async #forward(client: Deno.Conn, path: string): Promise<void> {
    const ends = [client];
    this.#connections.add(client);
    try {
      const server = await Deno.connect({ transport: "unix", path });
      this.#connections.add(server);
      ends.push(server);
      // As soon as one direction has ended the other one is of no use.
      await Promise.race([
        client.readable.pipeTo(server.writable),
        server.readable.pipeTo(client.writable),
      ]);
    } catch {
      // Nobody listens any more, or one end was closed.
    }
    for (const end of ends) {
      close(end);
      this.#connections.delete(end);
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

/** An nginx in a process of its own, until it is disposed. */
export async function startNginx(folder: string, server: string): Promise<AsyncDisposable> {
  // Its workers, which are nobody's when it is root's, keep there what does not fit their memory.
  await Deno.chmod(folder, 0o755);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
    `${name}_temp_path ${folder}/${name};`
  );
  const configuration = `pid ${folder}/pid;
daemon off;
error_log stderr notice;
events {}
http {
${temporary.join("\n")}
${server}
}`;
  await Deno.writeTextFile(`${folder}/nginx.conf`, configuration);
  const process = new Deno.Command("nginx", {
    args: ["-p", folder, "-c", `${folder}/nginx.conf`, "-e", "stderr"],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines = process.stderr.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  let printed = "";
  while (!printed.includes("start worker process")) {
    const { value, done } = await soon(lines.next());
    if (done) throw new Error(`nginx did not start: ${printed}`);
    printed += value;
  }
  return {
    async [Symbol.asyncDispose]() {
      process.kill("SIGTERM");
      while (!(await lines.next()).done);
      await process.status;
    },
  };
}

/** A certificate of its own for 127.0.0.1, in a folder that goes with it. */
export async function temporaryCertificate(): Promise<
  AsyncDisposable & { readonly folder: string; readonly certificate: string; readonly key: string }
> {
  const folder = await temporaryFolder();
  const [certificate, key] = [`${folder.path}/fullchain.pem`, `${folder.path}/privkey.pem`];
  const made = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", "-x509", ...made, "-keyout", key, "-out", certificate],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return {
    folder: folder.path,
    certificate,
    key,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
