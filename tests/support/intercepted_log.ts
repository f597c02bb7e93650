import type { LogStream } from "../../server/cluster/log_stream.ts";
import type { SnapshotStore } from "../../server/cluster/snapshot_store.ts";

/** What is done with a log or its snapshots: `publish batch`, `publish snapshot`, `purge`, `write`, `names` and so on. */
export type Operation = string;

/** Does an operation, or not, and gives what comes of it. */
export type Intercept = (operation: Operation, perform: () => Promise<unknown>) => Promise<unknown>;

/** The log and the snapshots of a partition as one of its owners sees them: what becomes of its operations can be chosen. */
export class InterceptedLog {
  readonly stream: LogStream;
  readonly snapshots: SnapshotStore;
  intercept: Intercept | null = null;

  constructor(stream: LogStream, snapshots: SnapshotStore) {
    this.stream = this.#around(stream, (name, args) => {
      return name === "publish" ? `publish ${(args[1] as { kind: string }).kind}` : name;
    });
    this.snapshots = this.#around(snapshots, (name) => name);
  }

  #around<T extends object>(target: T, nameOf: (name: string, args: readonly unknown[]) => Operation): T {
    return new Proxy(target, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): Promise<unknown> => {
          const perform = (): Promise<unknown> => Reflect.apply(member, target, args);
          return this.intercept?.(nameOf(String(name), args), perform) ?? perform();
        };
      },
    });
  }
}
