import { deferred, passwordExtension, SmpError } from "../protocol/mod.ts";
import { checkPassword } from "./options.ts";

/** Shows the server of a connection that its password is known, before the first queue that is created with it. */
export class PasswordGate {
  readonly #isListed: boolean;
  readonly #password: () => string | undefined;
  readonly #show: (password: string) => Promise<void>;
  /** What was shown last; whether the server has taken it. */
  #shown: { readonly password: string; readonly taken: Promise<void> } | null = null;
  #isRefused = false;

  /** `extensions`: what the server lists; `show` gives PASS. */
  constructor(
    { extensions, password, show }: {
      readonly extensions: readonly string[];
      readonly password: () => string | undefined;
      readonly show: (password: string) => Promise<void>;
    },
  ) {
    this.#isListed = extensions.includes(passwordExtension);
    this.#password = password;
    this.#show = show;
  }

  /** Whether there is a password to be shown, perhaps again. */
  get isAsked(): boolean {
    return this.#isListed && this.#password() !== undefined;
  }

  /** Whether the server has called the password wrong that was shown last. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Throws `SmpError` (`AUTH`) for a wrong password, `RangeError`, the signal's reason, and what commands throw. */
  async pass(signal: AbortSignal | undefined): Promise<void> {
    const password = this.#password();
    if (!this.#isListed || password === undefined) return;
    checkPassword(password);
    const shown = this.#shown?.password === password
      ? this.#shown
      : this.#shown = { password, taken: this.#show(password) };
    try {
      await unlessAborted(shown.taken, signal);
      this.#isRefused = false;
    } catch (error) {
      this.#isRefused = error instanceof SmpError && error.code === "AUTH";
      // The next queue is tried with it again: the server may have it by then.
      if (this.#shown === shown && !signal?.aborted) this.#shown = null;
      throw error;
    }
  }

  /** What NEW is refused with by `AUTH`. */
  refused(): SmpError {
    const hasPassword = this.#password() !== undefined;
    // It may have another one by now, and this one again later.
    this.#shown = null;
    const reason = !this.#isListed
      ? hasPassword ? "; it has asked for no password when the connection was made, connect again" : ""
      : hasPassword
      ? "; its password has changed"
      : "; it wants its password";
    return new SmpError("AUTH", `the server takes no new queues from this client${reason}`);
  }
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return await work;
  const aborted = deferred<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  try {
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    work.catch(() => {});
  }
}
