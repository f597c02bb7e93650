export interface Terminal {
  print(line: string): void;
  warn(line: string): void;
  ask(question: string): Promise<boolean | null>;
}

export async function askUser(question: string): Promise<boolean | null> {
  if (!Deno.stdin.isTerminal()) return null;
  const write = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  const interrupt = () => {
    write("\ninterrupted\n");
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    write(`${question} [y/N] `);
    const answer = await readLine();
    if (answer === null) write("\n");
    return /^\s*y(es)?\s*$/i.test(answer ?? "");
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

async function readLine(): Promise<string | null> {
  const bytes = new Uint8Array(1024);
  const decoder = new TextDecoder();
  for (let line = "";;) {
    const count = await Deno.stdin.read(bytes);
    if (count === null) return line === "" ? null : line;
    line += decoder.decode(bytes.subarray(0, count), { stream: true });
    if (line.includes("\n") || line.length > bytes.length) return line;
  }
}

/** 1: it could not be done; 2: the command line is wrong; else 128 and the signal's number. */
export type ExitCode = 1 | 2 | 130 | 143;

export class Fatal extends Error {
  override readonly name = "Fatal";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
