import { assertEquals } from "@std/assert";
import { needPasswords } from "../../examples/web-chat/page/password_view.ts";
import { type Access, Passwords } from "../../examples/web-chat/page/passwords.ts";
import { until } from "../support/wait.ts";

type Listener = () => void;

/** As much of an element as dialogs use. */
class Element {
  textContent = "";
  value = "";
  disabled = false;
  hidden = true;
  open = false;
  onclick: Listener | null = null;
  onclose: Listener | null = null;
  onsubmit: ((event: { preventDefault(): void }) => void) | null = null;
  readonly #inside = new Map<string, Element>();
  #listeners: Listener[] = [];

  querySelector(selector: string): Element {
    const found = this.#inside.get(selector) ?? new Element();
    this.#inside.set(selector, found);
    return found;
  }

  addEventListener(_: "close", listener: Listener): void {
    this.#listeners.push(listener);
  }

  showModal(): void {
    this.open = true;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    // A browser does it in a task.
    queueMicrotask(() => {
      this.onclose?.();
      for (const listener of this.#listeners.splice(0)) listener();
    });
  }

  reset(): void {}
}

/** A page with the dialog that asks for a password. */
function dialogPage() {
  const elements = new Map<string, Element>();
  const names = [
    "HTMLElement",
    "HTMLDialogElement",
    "HTMLInputElement",
    "HTMLFormElement",
    "HTMLButtonElement",
  ];
  const document = {
    getElementById(id: string) {
      const found = elements.get(id) ?? new Element();
      elements.set(id, found);
      return found;
    },
  };
  const localStorage = { getItem: () => null, setItem() {}, removeItem() {} };
  const stubs = { document, localStorage, ...Object.fromEntries(names.map((name) => [name, Element])) };
  const before = Object.keys(stubs).map((name) =>
    [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const
  );
  for (const [name, value] of Object.entries(stubs)) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
  }
  const dialog = document.getElementById("password-dialog");
  return {
    dialog,
    wanted: document.getElementById("wanted"),
    give: () => document.getElementById("wanted-give").onclick!(),
    get label() {
      return document.getElementById("password-label").textContent;
    },
    get problem() {
      return dialog.querySelector(".error").textContent;
    },
    use(password: string) {
      document.getElementById("server-password").value = password;
      dialog.querySelector("form").onsubmit!({ preventDefault() {} });
    },
    cancel: () => dialog.querySelector(".cancel").onclick!(),
    [Symbol.dispose]() {
      for (const [name, descriptor] of before) {
        Reflect.deleteProperty(globalThis, name);
        if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor);
      }
    },
  };
}

/** Servers that want passwords, and what they were given; each answers when the test lets it. */
function askingServers() {
  const given: string[] = [];
  const waiting = new Map<string, (access: Access) => void>();
  class Asking extends Passwords {
    override isMissing(server: string): boolean {
      return this.of(server) === undefined;
    }

    override give(server: string, password: string): boolean {
      given.push(`${server} ${password}`);
      return super.give(server, password);
    }

    override try(server: string): Promise<Access> {
      return new Promise<Access>((resolve) => waiting.set(server, resolve));
    }
  }
  const passwords = new Asking({ server: "own", webSocketUrl: "", anyServer: true, sessions: true });
  return {
    given,
    ask: (server: string, isUnexpected = false) =>
      needPasswords([server], passwords, { tries: false, isUnexpected }),
    answer: (server: string, access: Access) => waiting.get(server)!(access),
  };
}

const open: Access = { type: "open" };

Deno.test({
  name:
    "a server is asked for when the dialog for another one is closed: none is given a password of another",
  permissions: "none",
  async fn() {
    using page = dialogPage();
    const { ask, answer, given } = askingServers();
    const first = ask("one"), second = ask("two"), third = ask("one");
    await until(() => page.dialog.open);
    assertEquals(page.label, "Password of one");
    page.use("secret-of-one");
    assertEquals(given, ["one secret-of-one"]);
    answer("one", open);
    assertEquals(await first, null);
    await until(() => page.label === "Password of two" && page.dialog.open);
    page.use("secret-of-two");
    answer("two", open);
    assertEquals([await second, await third], [null, null]);
    assertEquals(given, ["one secret-of-one", "two secret-of-two"]);
  },
});

Deno.test({
  name: "the answer of a server for which the dialog was closed does nothing to that for another one",
  permissions: "none",
  async fn() {
    using page = dialogPage();
    const { ask, answer } = askingServers();
    const answers = [["one", "two", open], ["three", "four", { type: "password", isWrong: true }]] as const;
    for (const [one, two, access] of answers) {
      const first = ask(one);
      await until(() => page.dialog.open);
      page.use("secret");
      page.cancel();
      assertEquals(await first, `${one} makes conversations for those alone who know its password.`);
      const second = ask(two);
      await until(() => page.dialog.open);
      answer(one, access);
      // What it does is done.
      for (let turn = 0; turn < 10; turn++) await null;
      assertEquals([page.label, page.dialog.open, page.problem], [`Password of ${two}`, true, ""]);
      assertEquals(page.dialog.querySelector("button[type=submit]").disabled, false);
      page.cancel();
      await second;
    }
  },
});

Deno.test({
  name: "nobody is asked unexpectedly for a password: the page says that it wants one until the person does",
  permissions: "none",
  async fn() {
    using page = dialogPage();
    const { ask } = askingServers();
    const asked = ask("one", true);
    await until(() => !page.wanted.hidden);
    assertEquals(page.dialog.open, false);
    page.give();
    await until(() => page.dialog.open);
    assertEquals(page.wanted.hidden, true);
    page.cancel();
    assertEquals(await asked, "one makes conversations for those alone who know its password.");
  },
});

Deno.test({
  name: "the page goes on saying that it wants a password until that server has it, from whatever dialog",
  permissions: "none",
  async fn() {
    using page = dialogPage();
    const { ask, answer } = askingServers();
    const asked = ask("one", true);
    await until(() => !page.wanted.hidden);
    const other = ask("two");
    await until(() => page.dialog.open);
    page.use("secret-of-two");
    answer("two", open);
    assertEquals([await other, page.wanted.hidden], [null, false]);
    const cancelled = ask("one");
    await until(() => page.dialog.open);
    page.use("secret-of-one");
    page.cancel();
    await cancelled;
    // Whether it is the right one is not known yet.
    assertEquals(page.wanted.hidden, false);
    answer("one", open);
    assertEquals([await asked, page.wanted.hidden], [null, true]);
  },
});
