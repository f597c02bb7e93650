import { Session } from "node:inspector";

interface FunctionCoverage {
  readonly ranges: readonly {
    readonly startOffset: number;
    readonly endOffset: number;
    readonly count: number;
  }[];
}

/** Tells what code of this project ran that had not run before, or not so often, by V8's block coverage. */
export class Coverage implements Disposable {
  readonly #session = new Session();
  readonly #root: string;
  /** Blocks with the binary logarithm of how often they ran at once, up to 16 times. */
  readonly #seen = new Set<string>();

  private constructor(root: string) {
    this.#root = root;
    this.#session.connect();
  }

  /** Starts counting, for modules whose URLs begin with `root` and are not of the tests. */
  static async start(root: string): Promise<Coverage> {
    const coverage = new Coverage(root);
    await coverage.#post("Profiler.enable");
    await coverage.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    return coverage;
  }

  /** How much was seen in all. */
  get size(): number {
    return this.#seen.size;
  }

  /** Whether something ran since the last call that had not been seen before. */
  async isNew(): Promise<boolean> {
    const before = this.#seen.size;
    const { result } = await this.#post("Profiler.takePreciseCoverage") as {
      readonly result: readonly { readonly url: string; readonly functions: readonly FunctionCoverage[] }[];
    };
    for (const { url, functions } of result) {
      if (!url.startsWith(this.#root) || url.startsWith(`${this.#root}tests/`)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const often = count === 0 ? "never" : Math.min(4, Math.floor(Math.log2(count)));
          this.#seen.add(`${url} ${startOffset} ${endOffset} ${often}`);
        }
      }
    }
    return this.#seen.size > before;
  }

  /** Stops counting. */
  [Symbol.dispose](): void {
    this.#session.disconnect();
  }

  #post(method: string, parameters: object = {}): Promise<unknown> {
    return new Promise((resolve, reject) =>
      this.#session.post(method, parameters, (error, result) => error ? reject(error) : resolve(result))
    );
  }
}
