/** What a person has typed. */
export type Input =
  | { readonly type: "create"; readonly name: string }
  | { readonly type: "accept"; readonly name: string; readonly invitation: string }
  | { readonly type: "send"; readonly name: string; readonly text: string }
  | { readonly type: "history" | "code" | "delete"; readonly name: string }
  | { readonly type: "verify"; readonly name: string; readonly isVerified: boolean }
  | { readonly type: "file"; readonly name: string; readonly path: string }
  /** `number` of a file that was told; `null`: the only one that it can be. */
  | { readonly type: "receive"; readonly number: number | null; readonly path: string | null }
  | { readonly type: "refuse" | "cancel"; readonly number: number | null }
  | { readonly type: "connections" | "files" | "help" | "quit" | "nothing" }
  | { readonly type: "wrong"; readonly message: string };

/** What `/help` shows. */
export const helpLines: readonly string[] = [
  "/c NAME              make an invitation for somebody whom you call NAME",
  "/a NAME INVITATION   accept the invitation of somebody whom you call NAME",
  "@NAME message        send a message",
  "/f @NAME PATH        send a file",
  "/accept [#N] [PATH]  receive a file that somebody offers, under its name or PATH",
  "/refuse [#N]         do not receive it",
  "/cancel [#N]         end a file that is on its way",
  "/files               list files that are offered or on their way",
  "/connections         list the people whom you can talk to",
  "/history NAME        show the last messages",
  "/code NAME           show the safety code, to compare it with the other side's",
  "/verify NAME         it is the same on both sides; /verify NAME not takes that back",
  "/delete NAME         forget somebody, with all messages",
  "/help, /quit",
];

/** Reads a line. Never throws: what is wrong is a value. */
export function parseInput(line: string): Input {
  const text = line.trim();
  if (text === "") return { type: "nothing" };
  const message = /^@(\S+)\s+(.+)$/s.exec(text);
  if (message !== null) return { type: "send", name: message[1]!, text: message[2]! };
  if (text.startsWith("@")) return wrong("write a message after the name: @NAME message");
  if (!text.startsWith("/")) return wrong("write to whom: @NAME message; /help shows what there is");
  const [command, name, ...rest] = text.slice(1).split(/\s+/);
  switch (command) {
    case "c":
    case "history":
    case "code":
    case "delete":
      if (name === undefined || rest.length > 0) return wrong(`write one name: /${command} NAME`);
      return { type: command === "c" ? "create" : command, name };
    case "verify":
      if (name === undefined || rest.length > 1 || (rest[0] ?? "not") !== "not") {
        return wrong("write one name: /verify NAME, or /verify NAME not");
      }
      return { type: command, name, isVerified: rest.length === 0 };
    case "a":
      if (name === undefined || rest.length !== 1) {
        return wrong("write a name and the invitation: /a NAME INVITATION");
      }
      return { type: "accept", name, invitation: rest[0]! };
    case "f":
      return parseFile(text);
    case "accept":
    case "refuse":
    case "cancel":
      return parseChoice(command, text.slice(1 + command.length).trim());
    case "connections":
    case "files":
    case "help":
    case "quit":
      return name === undefined ? { type: command } : wrong(`/${command} takes nothing`);
    default:
      return wrong(`there is no /${command}; /help shows what there is`);
  }
}

function parseFile(text: string): Input {
  const [, name, path] = /^\/f\s+@?(\S+)\s+(.+)$/s.exec(text) ?? [];
  if (name === undefined || path === undefined) return wrong("write to whom, and a path: /f @NAME PATH");
  return { type: "file", name, path };
}

function parseChoice(command: "accept" | "refuse" | "cancel", rest: string): Input {
  const [, digits, path = ""] = /^(?:#(\d{1,9})(?:\s+|$))?(.*)$/s.exec(rest) ?? [];
  const number = digits === undefined ? null : Number(digits);
  if (command === "accept") return { type: "receive", number, path: path === "" ? null : path };
  if (path !== "") return wrong(`write the number of a file: /${command} #N`);
  return { type: command, number };
}

function wrong(message: string): Input {
  return { type: "wrong", message };
}
