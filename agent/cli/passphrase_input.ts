import { UsageError } from "../../cli/options.ts";
import type { Surroundings } from "./command.ts";
import { firstLine } from "./database.ts";

/** What a passphrase is asked for by, and the option that gives it. */
export interface PassphraseInput {
  /** Of what it is: "new passphrase of agent.db". */
  readonly what: string;
  readonly option: string;
  readonly file: string | undefined;
}

/** A passphrase that is there already, from a file or asked for. Throws `UsageError` when nobody is there to ask. */
export async function readPassphrase(
  { what, option, file }: PassphraseInput,
  { askSecret }: Surroundings,
): Promise<string> {
  if (file !== undefined) return await firstLine(file);
  const given = await askSecret(`${what}: `);
  if (given === null) throw new UsageError(`--${option} is missing: nobody is there to ask`);
  if (given === "") throw new Error("the passphrase is empty");
  return given;
}

/** As {@linkcode readPassphrase} a new one, asked for twice: nobody sees what is typed. */
export async function readNewPassphrase(
  input: PassphraseInput,
  surroundings: Surroundings,
): Promise<string> {
  const given = await readPassphrase(input, surroundings);
  if (input.file !== undefined) return given;
  if (await surroundings.askSecret(`${input.what}, again: `) === given) return given;
  throw new Error("the two passphrases differ");
}
