import type { Mutation } from "./mutation.ts";

const aliased = "server/workers/aliased_owner.ts";
const remoteOwner = "server/link/remote_owner.ts";
const servedLink = "server/link/served_link.ts";
const aliasedTests = ["tests/server/workers/aliased_owner_test.ts"];
const hops = ["tests/server/link/hops_test.ts"];
const limits = ["tests/server/workers/limits_test.ts"];

/** Mutations of what joins the workers of a server. */
export const workerMutations: readonly Mutation[] = [
  {
    name: "aliases-not-restored",
    what: "connections to a worker with aliases are closed when their link is lost",
    file: aliased,
    from: "    if (parts.own.restoring !== undefined) this.restoring = parts.own.restoring;\n",
    to: "",
    tests: aliasedTests,
  },
  {
    name: "aliases-seen",
    what: "only sender IDs that somebody has go on to another worker",
    file: aliased,
    from: "return isElsewhere ? others[chosen % others.length]! : own;",
    to: "return own;",
    tests: ["tests/server/link/refusal_time_test.ts"],
  },
  {
    name: "hop-new-message",
    what: "a message that goes on to another worker gets another ID",
    file: remoteOwner,
    from: "forwarded?.messageId ?? encodeBase64(",
    to: "encodeBase64(",
    tests: aliasedTests,
  },
  {
    name: "given-up-answered",
    what: "a command of which nobody knows what has become of it is answered INTERNAL",
    file: servedLink,
    from: "const isUnknown = connection.isGivenUp ||",
    to: "const isUnknown = false ||",
    tests: hops,
  },
  {
    name: "lost-answered",
    what: "a command is answered INTERNAL because the link that it came on was lost",
    file: servedLink,
    from: "connection.closed && isInternal(response) ||",
    to: "false ||",
    tests: hops,
  },
  {
    name: "stalled-links-read",
    what: "what waited at a worker that stood still is executed",
    file: servedLink,
    from: "    this.#parts.runs?.();\n",
    to: "",
    tests: ["tests/server/link/stall_test.ts"],
  },
  {
    name: "refused-after-done",
    what: "a DEL that was executed before its worker died is answered AUTH",
    file: servedLink,
    from: 'work.isRepeated && !this.#parts.knowsRepeated && isKept(work.type) && response.type === "ERR";',
    to: "false;",
    tests: ["tests/server/link/next_owner_test.ts"],
  },
  {
    name: "opened-at-each-worker",
    what: "a connection may have so many queues open at each worker",
    file: "server/workers/worker_router.ts",
    from: "opened += counter.opened(connection);",
    to: "opened = Math.max(opened, counter.opened(connection));",
    tests: limits,
  },
  {
    name: "far-work-free",
    what: "what other workers do for a connection is not counted",
    file: remoteOwner,
    from: "return connected.connection.charge?.(message.budget, message.work);",
    to: "return;",
    tests: limits,
  },
];
