import type { AgentEvent } from "@simplexmq/smp/agent";
import type { IndexedDbStore, StoreError } from "@simplexmq/smp/agent/indexeddb";
import { formatAddress, formatQueueInfo, parseAddress } from "@simplexmq/smp/protocol";
import type { PageConfig } from "../smp_server.ts";
import { fileNameOf } from "../../files.ts";
import { bindFiles } from "./attach.ts";
import { bindChat, type ChatView } from "./chat_view.ts";
import {
  afterEvent,
  type Conversation,
  conversationOf,
  errorText,
  isNews,
  isRefusedReply,
  messageOf,
} from "./conversation.ts";
import { element } from "./dom.ts";
import { FileStore } from "./file_store.ts";
import type { FileActions } from "./file_view.ts";
import { showInformation } from "./information_view.ts";
import { linkOf } from "./invitation.ts";
import { bindJoin } from "./join_view.ts";
import { showList } from "./list_view.ts";
import { type LogView, showLog } from "./log_view.ts";
import { bindNotifications, Notifications } from "./notifications.ts";
import { Outbox } from "./outbox.ts";
import { describe } from "./problem_text.ts";
import { forgetOthersRead, forgetRead, markRead, withUnread } from "./read_marks.ts";
import { find, type Found } from "./search.ts";
import { bindSearch } from "./search_view.ts";
import { LostServers, type ServerState, serverText } from "./server_state.ts";
import { bindServers } from "./servers_view.ts";
import { ChatSession } from "./session.ts";
import { createInvitation, needPasswords } from "./password_view.ts";
import { Passwords } from "./passwords.ts";
import { bindExport, bindImport, bindPassphrase } from "./backup_view.ts";
import type { Reserve } from "./reserve.ts";
import { showSection } from "./sections.ts";
import { renewShell } from "./shell.ts";
import { forgetEverything } from "./start_view.ts";
import { type FileState, Transfers } from "./transfers.ts";

/** Messages that are read from the store at a time. */
const pageSize = 100;
const title = document.title;

/** What a page has opened. */
export interface Opened {
  readonly store: IndexedDbStore;
  /** What keeps the page; it shows notifications where there is one. */
  readonly shell: Promise<ServiceWorkerRegistration | null>;
  readonly reserve: Reserve;
}

/** The page after the store was opened: conversations, and the one of them that is open. */
export class App {
  readonly #config: PageConfig;
  readonly #session: ChatSession;
  readonly #chat: ChatView;
  readonly #passwords: Passwords;
  readonly #shell: Opened["shell"];
  readonly #transfers: Transfers;
  readonly #conversations = new Map<string, Conversation>();
  readonly #ended = new AbortController();
  readonly #outbox: Outbox;
  readonly #notifications: Notifications;
  readonly #search: { close(): void };
  readonly #lost = new LostServers();
  #server: ServerState = null;
  #hasAsked = false;
  #open: { readonly name: string; readonly log: LogView } | null = null;
  /** What is to be shown when what is between it and what is shown has been loaded. */
  #sought: Found | null = null;

  private constructor(
    config: PageConfig,
    session: ChatSession,
    { store, files, shell, passwords }: Omit<Opened, "reserve"> & {
      readonly files: FileStore;
      readonly passwords: Passwords;
    },
  ) {
    this.#config = config;
    this.#session = session;
    this.#passwords = passwords;
    this.#shell = shell;
    const { agent } = session;
    const infos = agent.connections();
    for (const info of infos) this.#reload(info.connection);
    forgetOthersRead(infos.map(({ id }) => id));
    this.#transfers = new Transfers(agent, files, (file) => this.#changed(file));
    this.#chat = bindChat({
      send: (text) => this.#send(text),
      earlier: () => this.#loadEarlier(),
      delete: () => this.#delete(),
      information: () => this.#showInformation(),
      back: () => this.#close(),
    });
    const { signal } = this.#ended;
    this.#notifications = new Notifications(shell, (id) => this.#openById(id), signal);
    this.#search = bindSearch({
      find: (text, signal) => {
        const name = this.#open?.name ?? "";
        return find(agent, name, { text, files: this.#filesOf(name), signal });
      },
      show: (found) => this.#showFound(found),
    });
    this.#outbox = new Outbox(this.#transfers, this.#chat);
    this.#bindDialogs(signal);
    this.#bindMenu(store);
    bindFiles({
      isOpen: () => this.#conversations.get(this.#open?.name ?? "")?.canSend ?? false,
      send: (chosen) => void this.#outbox.send(this.#open?.name, chosen),
    }, signal);
    element("forget", HTMLButtonElement).onclick = () => void forgetEverything(() => agent.close());
    this.#show();
  }

  /**
   * Starts the agent and shows the page; resolves when the store is closed, with why it was lost or `null`. Throws what
   * the agent throws.
   */
  static async run(config: PageConfig, opened: Opened): Promise<StoreError | null> {
    const { store } = opened;
    const files = await FileStore.open(!store.isEncrypted, opened.reserve);
    const passwords = new Passwords(config);
    const session = await ChatSession.start(config, { store, files, passwords });
    const { agent } = session;
    const closing = store.closed.then(() => agent.close());
    const app = new App(config, session, { ...opened, files, passwords });
    await app.#count();
    showSection("app");
    session.subscribe().then((isReached) => isReached && app.#showServer(app.#server ?? "reached"));
    for await (const event of agent.events()) app.#take(event);
    app.#end();
    await closing;
    return await store.closed;
  }

  async #count(): Promise<void> {
    const counted = [...this.#conversations.values()].map((each) => withUnread(each, this.#session.agent));
    for (const conversation of await Promise.all(counted)) {
      this.#conversations.set(conversation.name, conversation);
    }
    this.#show();
  }

  /** Nothing of it reacts any more. */
  #end(): void {
    this.#ended.abort();
    this.#transfers.close();
    document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    document.title = title;
    this.#open?.log.close();
    this.#open = null;
    this.#search.close();
    this.#chat.show(null, null);
  }

  #take(event: AgentEvent): void {
    this.#showServer(this.#lost.take(this.#server, event));
    if (event.type === "down" || event.type === "up") return;
    const { connection: name } = event;
    const conversation = this.#conversations.get(name);
    if (conversation === undefined) return;
    if (isRefusedReply(conversation, event)) void this.#askPasswords();
    const known = event.type === "error" ? this.#known(conversation) : conversation;
    const log = this.#open?.name === name ? this.#open.log : null;
    if (event.type === "message") {
      const { id, receivedAt, body, integrity } = event.message;
      const text = new TextDecoder().decode(body);
      log?.add([{ id, at: receivedAt.getTime(), text, from: "them", integrity }]);
      log?.announce(`${name}: ${text}`);
    } else if (event.type === "sent") {
      log?.delivered(event.id, { type: "sent" });
    } else if (event.type === "delivered") {
      log?.delivered(event.id, { type: "delivered" });
    } else if (event.type === "error" && event.id !== undefined) {
      log?.delivered(event.id, { type: "failed", reason: errorText(event.error) });
    } else if (event.type === "stream offered") {
      void this.#transfers.offered(event.offer);
      log?.announce(`${name} offers ${fileNameOf(event.offer.name)}`);
    }
    if (isNews(conversation, event)) void this.#notifications.tell(conversation);
    const isRead = log !== null && document.visibilityState === "visible";
    this.#conversations.set(name, afterEvent(known, event, isRead));
    if (isRead) this.#read();
    this.#show();
  }

  async #select(name: string): Promise<void> {
    this.#open?.log.close();
    this.#search.close();
    const log = showLog(name, this.#fileActions());
    this.#open = { name, log };
    this.#read();
    this.#chat.setEarlier(false);
    this.#show();
    this.#chat.focus();
    await this.#load(log, name);
  }

  #openById(id: string): void {
    const found = [...this.#conversations.values()].find((conversation) => conversation.id === id);
    if (found !== undefined && found.name !== this.#open?.name) void this.#select(found.name);
  }

  #close(): void {
    const name = this.#open?.name;
    this.#open?.log.close();
    this.#open = null;
    this.#search.close();
    this.#show();
    element("list", HTMLElement).querySelectorAll("button").forEach((button) => {
      if (button.dataset.name === name) button.focus();
    });
  }

  /** What is open is read as soon as it is seen. */
  #read(): void {
    const conversation = this.#conversations.get(this.#open?.name ?? "");
    if (conversation === undefined) return;
    markRead(conversation.id, conversation.newest);
    if (conversation.unread === 0) return;
    this.#conversations.set(conversation.name, { ...conversation, unread: 0 });
    this.#show();
  }

  async #load(log: LogView, name: string, before?: number): Promise<void> {
    const { agent } = this.#session;
    try {
      const records = await agent.messages(name, {
        limit: pageSize,
        ...(before !== undefined && { before }),
      });
      // After the messages: one that is written in between would look as if it was not to be sent any more. One that was
      // sent in between does, until its event comes.
      const waiting = await this.#session.queued(this.#conversations.get(name)?.id ?? "");
      const isFirst = records.length < pageSize;
      const from = isFirst ? 0 : records[0]!.id;
      log.add(
        records.map((record) => messageOf(record, waiting)),
        this.#filesOf(name).filter(({ after }) => after >= from),
      );
      if (this.#open?.log === log) this.#chat.setEarlier(!isFirst);
    } catch (error) {
      this.#chat.problem(describe(error));
    }
  }

  async #loadEarlier(): Promise<void> {
    if (this.#open !== null) await this.#load(this.#open.log, this.#open.name, this.#open.log.first());
  }

  #filesOf(name: string): FileState[] {
    return this.#transfers.of(this.#conversations.get(name)?.id ?? "");
  }

  /** Loads what is between what was found and what is shown. */
  async #showFound(found: Found): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    this.#sought = found;
    for (let first = open.log.first(); first !== undefined && first > found.number;) {
      await this.#loadEarlier();
      if (this.#open !== open) return;
      const now = open.log.first();
      // A file that is before all messages is there now, or it cannot be read.
      if (now === first) break;
      first = now;
    }
    if (this.#sought === found) open.log.show(found);
  }

  async #send(text: string): Promise<string | null> {
    if (this.#open === null) return null;
    const { name, log } = this.#open;
    try {
      const id = await this.#session.agent.send(name, new TextEncoder().encode(text));
      log.add([{ id, at: Date.now(), text, from: "me", delivery: { type: "queued" } }]);
      return null;
    } catch (error) {
      return describe(error);
    }
  }

  #fileActions(): FileActions {
    const transfers = this.#transfers;
    return {
      accept: (key) => transfers.accept(key),
      acceptAs: (key, place) => transfers.acceptAs(key, place),
      cancel: (key) => void transfers.cancel(key).catch((error) => this.#chat.failed(describe(error))),
      pause: (key) => transfers.pause(key),
      resume: (key) => transfers.resume(key),
      remove: (key) => {
        void transfers.remove(key);
        this.#open?.log.remove(key);
      },
    };
  }

  #changed(file: FileState): void {
    const name = this.#open?.name ?? "";
    if (this.#conversations.get(name)?.id === file.conversation) this.#open?.log.changed(file);
  }

  #showInformation(): void {
    const name = this.#open?.name;
    if (name === undefined) return;
    const { agent } = this.#session;
    const code = agent.safetyCode(name);
    showInformation({
      info: agent.connection(name),
      code,
      verify: async (isVerified) => {
        // That which is shown: the session may have been repaired meanwhile.
        await agent.verify(name, isVerified && (code ?? true));
        const conversation = this.#conversations.get(name);
        if (conversation !== undefined) this.#conversations.set(name, this.#known(conversation));
        this.#show();
      },
    });
  }

  async #delete(): Promise<void> {
    const open = this.#open;
    const question = `Delete the conversation with ${open?.name} and all its messages and files?`;
    if (open === null || !confirm(question)) return;
    const { name } = open;
    const id = this.#conversations.get(name)?.id ?? "";
    const { agent } = this.#session;
    try {
      await agent.delete(name);
    } catch (error) {
      // It is gone at once, but servers may not have answered the first time.
      if (agent.connections().some((info) => info.id === id)) {
        return this.#chat.problem(`It was not deleted: ${describe(error)}`);
      }
    }
    forgetRead(id);
    void this.#transfers.forget(id);
    // By now there may be another one of that name, and another one be open.
    if (this.#conversations.get(name)?.id === id) {
      this.#conversations.delete(name);
      this.#lost.forget(name);
    }
    if (this.#open === open) this.#close();
    else this.#show();
  }

  /** The servers of new conversations. */
  get #servers(): readonly string[] {
    return this.#session.agent.servers.map(formatAddress);
  }

  /** Once: who does not give them now finds them under the servers. */
  async #askPasswords(): Promise<void> {
    if (this.#hasAsked) return;
    this.#hasAsked = true;
    await needPasswords(this.#servers, this.#passwords, { tries: true, isUnexpected: true });
  }

  #bindDialogs(signal: AbortSignal): void {
    const { agent } = this.#session;
    bindJoin(this.#config, {
      invite: (name) =>
        this.#add(name, async () => {
          const problem = await createInvitation(agent, name, this.#passwords);
          if (problem === null) this.#showServer(this.#server ?? "reached");
          return problem;
        }),
      join: (name, invitation) =>
        this.#add(name, async () => {
          const problem = await needPasswords(this.#servers, this.#passwords, { tries: false });
          if (problem === null) await agent.join(invitation, { alias: name });
          return problem;
        }),
      // The dialog that closes gives the keyboard back to its button.
      done: () => this.#chat.focus(),
      servers: () => agent.servers,
    }, signal);
    document.addEventListener("visibilitychange", () => this.#read(), { signal });
  }

  #bindMenu(store: IndexedDbStore): void {
    const { agent } = this.#session;
    bindServers(element("servers", HTMLElement), this.#config, {
      get: () => this.#servers,
      set: (servers) => agent.setServers(servers),
      passwords: this.#passwords,
    });
    bindExport(element("export", HTMLElement), store);
    bindNotifications(element("notifications", HTMLElement));
    bindPassphrase(element("change-passphrase", HTMLElement), store, async () => {
      if (store.isEncrypted) await this.#transfers.stopLasting();
    });
    // The agent does nothing with a store without conversations, and no other is read into.
    bindImport(element("import", HTMLElement), store, {
      before: () => Promise.resolve(),
      failed: () => Promise.resolve(),
      done: () => location.reload(),
    });
  }

  /** Makes a conversation and opens it; gives what went wrong. */
  async #add(name: string, make: () => Promise<string | null>): Promise<string | null> {
    if (name === "") return "Give the conversation a name.";
    try {
      const problem = await make();
      if (problem !== null) return problem;
      this.#reload(name);
      await this.#select(name);
    } catch (error) {
      return describe(error);
    }
    // Asked for when there is something to keep. A browser may ask the person, which takes any time, or refuse.
    navigator.storage.persist().catch(() => {});
    return null;
  }

  #reload(name: string): void {
    const conversation = this.#stored(name);
    if (conversation !== null) this.#conversations.set(name, conversation);
  }

  #stored(name: string): Conversation | null {
    const { agent } = this.#session;
    const info = agent.connections().find(({ connection }) => connection === name);
    return info === undefined ? null : conversationOf(info, agent.invitation(name) !== null);
  }

  /** A conversation with what the agent knows now of its state. */
  #known(conversation: Conversation): Conversation {
    const { phase, canSend, verified } = this.#stored(conversation.name) ?? conversation;
    return { ...conversation, phase, canSend, verified };
  }

  #show(): void {
    const open = this.#open?.name ?? null;
    element("app", HTMLElement).toggleAttribute("data-open", open !== null);
    const conversation = open === null ? null : this.#conversations.get(open) ?? null;
    this.#chat.show(conversation, conversation?.phase === "invited" ? this.#link(conversation.name) : null);
    showList(this.#conversations.values(), open, (name) => void this.#select(name));
    const unread = [...this.#conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
    document.title = unread === 0 ? title : `(${unread}) ${title}`;
    Notifications.count(unread);
  }

  /** What the browser keeps of the page may be older than what the server has that is there again. */
  async #renew(): Promise<void> {
    const shell = await this.#shell;
    if (shell !== null) await renewShell(shell, this.#ended.signal);
  }

  #showServer(state: ServerState): void {
    // Screen readers read out each change.
    if (state === null) return;
    if (state === "reached" && this.#server !== "reached") void this.#renew();
    this.#server = state;
    const shown = element("server", HTMLElement);
    const text = serverText(state, this.#lost.hosts, parseAddress(this.#config.server).host);
    if (shown.textContent === text) return;
    shown.dataset.state = state;
    shown.textContent = text;
  }

  #link(name: string): string | null {
    const { agent } = this.#session;
    // It may have been deleted a moment ago.
    const isThere = agent.connections().some(({ connection }) => connection === name);
    const invitation = isThere ? agent.invitation(name) : null;
    return invitation === null
      ? null
      : linkOf(location.origin + location.pathname, formatQueueInfo(invitation));
  }
}
