import { assertEquals, assertRejects } from "@std/assert";
import { GroupCommit } from "../../../agent/store/group_commit.ts";
import { type StoreChange, StoreError } from "../../../agent/store/store.ts";

const none = { permissions: "none" } as const;

function change(id: number): StoreChange[] {
  return [{ type: "delete event", id }];
}

/** Commits of numbers: what is written, a transaction each; `bad` fail where they are told to. */
class Numbers {
  readonly written: (readonly number[])[] = [];
  readonly commits: GroupCommit<number>;

  constructor(failing: { readonly prepare?: readonly number[]; readonly write?: readonly number[] } = {}) {
    this.commits = new GroupCommit<number>({
      prepare: (changes) => {
        const { id } = changes[0] as { id: number };
        if (failing.prepare?.includes(id)) return Promise.reject(new Error("cannot seal"));
        return Promise.resolve(id);
      },
      write: (ids) => {
        if (ids.some((id) => failing.write?.includes(id))) throw new Error("cannot write it");
        this.written.push(ids);
      },
    });
  }

  outcomes(ids: readonly number[]): Promise<string[]> {
    return Promise.all(
      ids.map((id) => this.commits.commit(change(id)).then(() => "written", (error) => error.message)),
    );
  }
}

Deno.test("commits that are given at once are written in one transaction, in their order", none, async () => {
  const { commits, written, ...numbers } = new Numbers();
  await Promise.all([1, 2, 3].map((id) => commits.commit(change(id))));
  await commits.commit(change(4));
  assertEquals([written, numbers], [[[1, 2, 3], [4]], {}]);
});

Deno.test("a commit that cannot be sealed is refused alone, and later ones are written", none, async () => {
  const numbers = new Numbers({ prepare: [2] });
  const failed = "Cannot write to the store: cannot seal";
  assertEquals(await numbers.outcomes([1, 2, 3]), ["written", failed, "written"]);
  assertEquals(await numbers.outcomes([2]), [failed]);
  assertEquals(await numbers.outcomes([4]), ["written"]);
  assertEquals(numbers.written, [[1, 3], [4]]);
  const error = await assertRejects(() => numbers.commits.commit(change(2)), StoreError);
  assertEquals(error.code, "WRITE");
  await numbers.commits[Symbol.asyncDispose]();
});

Deno.test("a commit that throws while it is sealed is refused alone", none, async () => {
  const commits = new GroupCommit<number>({
    prepare: () => {
      throw new TypeError("at once");
    },
    write: () => {},
  });
  const error = await assertRejects(() => commits.commit(change(1)), StoreError, "at once");
  assertEquals(error.code, "WRITE");
  await commits[Symbol.asyncDispose]();
});

Deno.test("a commit that cannot be written is refused alone, and later ones are written", none, async () => {
  const numbers = new Numbers({ write: [2] });
  const failed = "Cannot write to the store: cannot write it";
  assertEquals(await numbers.outcomes([1, 2, 3]), ["written", failed, "written"]);
  assertEquals(await numbers.outcomes([4]), ["written"]);
  assertEquals(numbers.written, [[1], [3], [4]]);
});

Deno.test("a task that must be alone has its turn between commits, and may fail", none, async () => {
  const { commits, written } = new Numbers();
  const seen: number[] = [];
  const look = () => commits.exclusively(() => void seen.push(written.length));
  const failing = commits.exclusively(() => Promise.reject(new Error("on purpose")));
  const all = [
    commits.commit(change(1)),
    look(),
    commits.commit(change(2)),
    commits.commit(change(3)),
    look(),
  ];
  await assertRejects(() => failing, Error, "on purpose");
  await Promise.all(all);
  assertEquals([written, seen], [[[1], [2, 3]], [1, 2]]);
  assertEquals(await commits.exclusively(() => 7), 7);
});

Deno.test("disposal waits for what was given before and refuses what comes later", none, async () => {
  const { commits, written } = new Numbers();
  const given = [1, 2].map((id) => commits.commit(change(id)));
  const disposed = commits[Symbol.asyncDispose]();
  const late = [commits.commit(change(3)), commits.exclusively(() => 1)];
  for (const refused of late) {
    assertEquals((await assertRejects(() => refused, StoreError, "it is closed")).code, "WRITE");
  }
  await disposed;
  assertEquals(written, [[1, 2]]);
  await Promise.all(given);
});
