import { type AgentStore, type StoreChange, StoreError } from "../../agent/mod.ts";

/**
 * A store that makes so many changes more, and then none for ever, as if the program had ended: before a change is made,
 * or after it, so that the agent does not know of it.
 */
export function dyingStore(
  store: AgentStore,
  { commits, isAfter, died }: { commits: number; readonly isAfter: boolean; died(): void },
): AgentStore {
  return new Proxy(store, {
    get(target, name) {
      if (name !== "commit") {
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (changes: readonly StoreChange[]) => {
        if (commits-- > 0) return await target.commit(changes);
        if (commits === -1 && isAfter) await target.commit(changes);
        died();
        throw new StoreError("WRITE", "the program has ended");
      };
    },
  });
}
