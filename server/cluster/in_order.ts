/** Gives what `work` gives for each number, in order, while it works for the next ones already: `ahead` is asked each time. */
export async function* inOrder<T>(
  work: (number: number) => Promise<T>,
  { from, to, ahead }: { readonly from: number; readonly to: number; readonly ahead: () => number },
): AsyncGenerator<T> {
  const started: Promise<T>[] = [];
  let next = from;
  const start = () => {
    const promise = work(next++);
    // Whoever stops at a failure does not wait for the others.
    promise.catch(() => {});
    started.push(promise);
  };
  const startMore = () => {
    while (next < to && started.length < ahead()) start();
  };
  startMore();
  while (started.length > 0) {
    const value = await started.shift()!;
    startMore();
    yield value;
  }
}
