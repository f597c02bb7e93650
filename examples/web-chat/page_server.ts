import { answerTo, type PageFiles } from "./page_files.ts";

/** How the page is served. */
export interface PageServerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
}

/** A page that is served. */
export interface PageServer extends AsyncDisposable {
  readonly port: number;
}

/** Serves the page from memory. Throws when the port cannot be had. */
export function servePage(page: PageFiles, { host, port }: PageServerOptions): PageServer {
  const answer = (request: Request): Response => {
    const { body, ...init } = answerTo(request, page);
    return new Response(request.method === "HEAD" ? null : body, init);
  };
  const stopping = new AbortController();
  const server = listen({ hostname: host, port, signal: stopping.signal, onListen: () => {} }, answer);
  return {
    port: server.addr.port,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await server.finished;
    },
  };
}

function listen(options: Deno.ServeTcpOptions, answer: (request: Request) => Response) {
  try {
    return Deno.serve(options, answer);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const reason = cause instanceof Error ? cause.message : cause;
    throw new Error(`Cannot listen on ${options.hostname}:${options.port}: ${reason}`, { cause });
  }
}
