/** Gives what `work` gives for each number, in order, while it works for the next ones already. */
export async function* inOrder<T>(
  work: (number: number) => Promise<T>,
  { from, to, ahead }: { readonly from: number; readonly to: number; readonly ahead: number },
): AsyncGenerator<T> {
  const started: Promise<T>[] = [];
  let next = from;
  const start = () => {
    const promise = work(next++);
    // Whoever stops at a failure does not wait for the others.
    promise.catch(() => {});
    started.push(promise);
  };
  while (next < Math.min(to, from + ahead)) start();
  while (started.length > 0) {
    const value = await started.shift()!;
    if (next < to) start();
    yield value;
  }
}
