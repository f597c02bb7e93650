/** Does the same for several cases at once, which takes no longer than for one where it is mostly waiting. */
export async function together<Case>(
  cases: readonly Case[],
  run: (one: Case) => Promise<void>,
): Promise<void> {
  const results = await Promise.allSettled(cases.map(run));
  for (const [i, result] of results.entries()) {
    if (result.status === "fulfilled") continue;
    const { reason } = result;
    const message = reason instanceof Error ? reason.message : String(reason);
    throw new Error(`${JSON.stringify(cases[i])}: ${message}`, { cause: reason });
  }
}
