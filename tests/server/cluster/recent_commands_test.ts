import { assert, assertEquals } from "@std/assert";
import { RecentCommands } from "../../../server/cluster/recent_commands.ts";

const permissions = "none";
const done = { type: "MESSAGE" } as const;
const begin = 1_620_000_000_000, minute = 60_000, hour = 60 * minute;

/** Commands of so many minutes by one owner's clock, one a second. */
function run(commands: RecentCommands, name: string, from: number, minutes: number): void {
  for (let second = 0; second < minutes * 60; second++) {
    commands.remember(`${name}${second}`, done, from + second * 1000);
  }
}

Deno.test("commands are forgotten after two minutes, and not before", { permissions }, () => {
  const commands = new RecentCommands();
  run(commands, "a", begin, 10);
  assertEquals(commands.get("a599"), done);
  assertEquals(commands.get("a480"), done);
  assertEquals(commands.get("a440"), undefined);
});

Deno.test(
  "an owner whose clock is behind that of the one before it forgets commands as well",
  { permissions },
  () => {
    const commands = new RecentCommands();
    run(commands, "a", begin + 24 * hour, 5);
    run(commands, "b", begin, 30);
    assert(commands.size <= 140, `${commands.size} commands are kept`);
    assertEquals(commands.get("b1700"), done);
  },
);

Deno.test(
  "an owner whose clock is ahead of that of the one before it knows what that one has done",
  { permissions },
  () => {
    const commands = new RecentCommands();
    run(commands, "a", begin, 5);
    run(commands, "b", begin + 24 * hour, 1);
    assertEquals(commands.get("a299"), done);
    run(commands, "c", begin + 24 * hour + minute, 5);
    assertEquals(commands.get("a299"), undefined);
    assert(commands.size <= 140, `${commands.size} commands are kept`);
  },
);

Deno.test("what a snapshot has of commands is known as long, whatever clocks said", { permissions }, () => {
  const commands = new RecentCommands(), copy = new RecentCommands();
  run(commands, "a", begin + hour, 1);
  run(commands, "b", begin, 1);
  for (const { commandId, done, at } of commands.entries()) copy.remember(commandId, done, at);
  assertEquals([...copy.entries()].map(({ commandId }) => commandId).length, commands.size);
  run(copy, "c", begin + 2 * hour, 1);
  for (const name of ["a59", "b0", "b59"]) assertEquals(copy.get(name), done);
  run(copy, "d", begin, 4);
  for (const name of ["a59", "b0", "b59"]) assertEquals(copy.get(name), undefined);
});
