import type { Logger } from "../../cli/logger.ts";
import type { Metrics } from "../observe/metrics.ts";

/** docs/decisions.md, "An error that nothing catches". For a program, as it takes the process's events. */
export function survive({ metrics, logger }: {
  readonly metrics: Metrics;
  readonly logger: Logger;
}): Disposable {
  const onError = (event: Event, error: unknown) => {
    event.preventDefault();
    metrics.internalErrors++;
    logger.error("Nothing has caught an error, the server goes on", error);
  };
  const listening = new AbortController();
  const { signal } = listening;
  addEventListener("error", (event) => onError(event, event.error), { signal });
  addEventListener("unhandledrejection", (event) => onError(event, event.reason), { signal });
  return { [Symbol.dispose]: () => listening.abort() };
}
