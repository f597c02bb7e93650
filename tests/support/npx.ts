import { soon } from "./wait.ts";

/** What npx notes of what it has fetched. */
interface Fetched {
  readonly _npx?: { readonly packages?: readonly string[] };
}

/**
 * The file of a program of a package that npm has fetched before, `node` of `node@22` for instance; `null` when there is
 * none. npx takes a second to say so: it is asked only where its folder is not at its usual place.
 */
export async function fetchedProgram(name: string, program: string): Promise<string | null> {
  const folder = `${Deno.env.get("HOME")}/.npm/_npx`;
  try {
    for await (const { name: entry } of Deno.readDir(folder)) {
      const place = `${folder}/${entry}`;
      const { _npx }: Fetched = JSON.parse(await Deno.readTextFile(`${place}/package.json`));
      if (_npx?.packages?.includes(name)) return await Deno.realPath(`${place}/node_modules/.bin/${program}`);
    }
  } catch {
    // It is somewhere else, or not as it was when this was written.
  }
  const args = ["--offline", "--yes", "--package", name, "which", program];
  try {
    const { success, stdout } = await soon(new Deno.Command("npx", { args, stderr: "null" }).output());
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch {
    return null;
  }
}
