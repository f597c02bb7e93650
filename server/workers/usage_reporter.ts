import { ServerUsage, type UsageReport } from "../guard/server_usage.ts";

/** Milliseconds: a change is told to the others within 100. */
const interval = 50, urgentDelay = 2;

/** Tells what a worker uses of the server's limits, soon when it is much. */
export class UsageReporter implements Disposable {
  readonly usage: ServerUsage;
  readonly #send: (report: UsageReport) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #urgent: ReturnType<typeof setTimeout> | undefined;

  constructor(workers: number, send: (report: UsageReport) => void) {
    this.usage = new ServerUsage({ processes: workers, onUrgent: () => this.#onUrgent() });
    this.#send = send;
    this.#timer = setInterval(() => this.#report(), interval);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    clearTimeout(this.#urgent);
  }

  #onUrgent(): void {
    this.#urgent ??= setTimeout(() => this.#report(), urgentDelay);
  }

  #report(): void {
    clearTimeout(this.#urgent);
    this.#urgent = undefined;
    for (let report = this.usage.report(); report !== null; report = this.usage.report()) this.#send(report);
  }
}
