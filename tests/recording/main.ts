/**
 * Makes docs/recording.svg anew, from terminals of tmux in which a server starts and two people talk:
 * `deno task recording`
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { readTaskArguments } from "../../deploy/task_arguments.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { TmuxTerminal } from "../support/tmux.ts";
import { type Film, filmSvg, type Frame } from "./film.ts";

const root = new URL("../../", import.meta.url);
/** Milliseconds between two looks, between two pieces of what is typed, and after the end. */
const [look, pause, rest] = [100, 110, 4_000];

/** A terminal with a shell, of which every change is kept. */
class Recorded {
  readonly frames: Frame[] = [];
  #isOver = false;
  #watching: Promise<void> | null = null;

  constructor(readonly terminal: TmuxTerminal) {}

  /** Keeps what is shown from now on; `began` is when the film begins. */
  watch(began: number): void {
    this.#watching = (async () => {
      while (!this.#isOver) {
        const lines = (await this.terminal.visible()).split("\n").slice(0, -1);
        const at = this.frames.length === 0 ? 0 : Math.round(performance.now() - began);
        if (lines.join("\n") !== this.frames.at(-1)?.lines.join("\n")) this.frames.push({ at, lines });
        await wait(look);
      }
    })();
    // Where something else fails, the terminal is gone.
    this.#watching.catch(() => {});
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#watching;
  }

  /** Types a line as a person does. */
  async say(text: string): Promise<void> {
    for (const part of text.match(/.{1,4}/gs)!) {
      await this.terminal.typePart(part);
      await wait(pause);
    }
    await this.terminal.press("Enter");
  }
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const help = `deno task recording

Makes docs/recording.svg anew, from terminals of tmux in which a server starts and two people talk.`;

readTaskArguments({}, { help, most: 0 });
await using folder = await temporaryFolder();
// A checkout whose data are its own.
const checkout = `${folder.path}/smp`;
await Deno.mkdir(checkout);
for await (const { name } of Deno.readDir(root)) {
  if (!["data", ".git"].includes(name)) await Deno.symlink(new URL(name, root), `${checkout}/${name}`);
}
const shell = (variables: readonly string[] = []) => [
  ...["env", "PS1=$ ", `HOME=${Deno.env.get("HOME")}`, "DENO_NO_UPDATE_CHECK=1", ...variables],
  ...["sh", "-c", `cd ${checkout} && exec bash --norc`],
];
const [top, half] = [{ columns: 145, rows: 10 }, { columns: 71, rows: 20 }];
await using terminal = await TmuxTerminal.start(folder.path, shell(), top);
const server = new Recorded(terminal);
// The end of its terminal is no end for a server, which reads its settings again at the signal.
await using _stopped = {
  async [Symbol.asyncDispose]() {
    await terminal.press("C-c");
    await terminal.packed(/stopp|inuse/);
  },
};
const began = performance.now();
server.watch(began);
await wait(800);
await server.say("npx deno@2.9.6 task start");
const address = (await terminal.packed(/tryitfromanotherterminal:.*=?"/)).match(/serveraddress:(\S+?=)/)![1]!;
await using left = await TmuxTerminal.start(folder.path, shell([`ADDRESS=${address}`]), half);
await using right = await TmuxTerminal.start(folder.path, shell([`ADDRESS=${address}`]), half);
const [alice, bob] = [new Recorded(left), new Recorded(right)];
alice.watch(began);
bob.watch(began);
await wait(1_500);
await alice.say('npx deno@2.9.6 task terminal-chat --server "$ADDRESS"');
await bob.say('npx deno@2.9.6 task terminal-chat --server "$ADDRESS" --db data/bob.db');
await Promise.all([left.packed(/\/help/), right.packed(/\/help/)]);
await wait(1_000);
await alice.say("/c bob");
const [, invitation] = (await left.packed(/smp::[^>]*>/)).match(/(smp::[^>]*?)>/)!;
await wait(1_500);
// Over a channel that both have; it comes as a whole.
await bob.terminal.typePart(`/a alice ${invitation}`);
await wait(800);
await bob.terminal.press("Enter");
await Promise.all([left.packed(/connected/), right.packed(/connected/)]);
await wait(1_500);
await alice.say("@bob shall we meet at noon?");
await right.packed(/alice:shallwe/);
await wait(700);
await bob.say("@alice yes, bring the papers");
await left.packed(/bob:yes/);
await wait(700);
await bob.say("/code alice");
await wait(1_000);
await alice.say("/code bob");
await wait(3_000);
for (const one of [server, alice, bob]) await one.end();
const duration = performance.now() - began + rest;
const films: Film[] = [
  { title: "a server", ...top, place: [0, 0], frames: server.frames },
  { title: "alice", ...half, place: [0, 13], frames: alice.frames },
  { title: "bob", ...half, place: [74, 13], frames: bob.frames },
];
await Deno.writeTextFile(new URL("docs/recording.svg", root), filmSvg(films, Math.round(duration)));
const count = films.reduce((sum, { frames }) => sum + frames.length, 0);
console.log(`wrote docs/recording.svg: ${count} pictures in ${Math.round(duration / 1000)} s`);
