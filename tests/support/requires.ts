/** Why this machine cannot run a test; `null` when it can. */
export type Lack = string | null;

/**
 * Registers tests that need what not every machine has. Where something is lacking they are ignored, never passed, and
 * say why in their names, which the end of `deno task test` repeats.
 */
export function requiring(
  ...lacks: readonly Lack[]
): (name: string, test: () => void | Promise<void>) => void {
  const found = lacks.filter((lack) => lack !== null);
  if (found.length === 0) return (name, test) => Deno.test(name, test);
  return (name, test) => Deno.test.ignore(`${name} (skipped: ${found.join(", ")})`, test);
}

/** Asks for a program, by running it with arguments that do nothing. */
export function lackOf(program: string, ...args: readonly string[]): Lack {
  const lack = `${program} is not installed`;
  try {
    const { success } = new Deno.Command(program, { args: [...args], stdout: "null", stderr: "null" })
      .outputSync();
    return success ? null : lack;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return lack;
    throw error;
  }
}

/** Asks for an address of IPv6. */
export function lackOfIpv6(): Lack {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return null;
  } catch {
    return "this system has no IPv6";
  }
}
