import { type ChatMessage, type DeliveryState, deliveryText, integrityText } from "./conversation.ts";
import { element, inside, make } from "./dom.ts";
import { type FileActions, type FileView, fileView } from "./file_view.ts";
import type { Found } from "./search.ts";
import { shownText, startOf } from "./shown_text.ts";
import type { FileState } from "./transfers.ts";

const sameDay = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const otherDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** The messages of the open conversation, in the order of their numbers, and files behind those that they came after. */
export interface LogView {
  /** Adds messages and files that are not there yet. */
  add(messages: readonly ChatMessage[], files?: readonly FileState[]): void;
  /** Lets screen readers read out what has come; they would read out all that is loaded if the list were live. */
  announce(text: string): void;
  /** Tells what became of a message. */
  delivered(id: number, delivery: DeliveryState): void;
  /** Tells what became of a file; one that is not there yet is added. */
  changed(file: FileState): void;
  /** Removes a file. */
  remove(key: string): void;
  /** Shows a message or file that is there among the others. */
  show(found: Found): void;
  /** The lowest number that is shown; `undefined` without messages. */
  first(): number | undefined;
  /** It is not shown any more. */
  close(): void;
}

/** An item with its place: behind the message with a number, and behind what came after that before. */
interface Placed {
  readonly item: HTMLElement;
  readonly number: number;
  readonly at: number;
}

/** Shows an empty log in place of the one before. */
export function showLog(name: string, actions: FileActions): LogView {
  const scroller = element("messages", HTMLElement);
  const list = make("ol", { "aria-label": `Messages with ${name}` });
  element("log", HTMLElement).replaceChildren(list);
  const items = new Map<number, Placed>();
  const files = new Map<string, Placed & { readonly view: FileView }>();
  const deliveries = new Map<number, DeliveryState>();
  const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
  const toEnd = () => scroller.scrollTop = scroller.scrollHeight;
  const grow = (change: () => void) => {
    const wasAtEnd = isAtEnd();
    change();
    if (wasAtEnd) toEnd();
  };

  const place = (placed: Placed) => {
    const next = following([...items.values(), ...files.values()], placed);
    if (next === undefined) list.append(placed.item);
    else list.insertBefore(placed.item, next);
  };
  const addFile = (file: FileState) => {
    const isMine = file.direction === "sending";
    const head = [make("span", { class: "unseen" }, isMine ? "You: " : `${name}: `)];
    const view = fileView(file, { head, actions, grow });
    inside(view.item, ".file", HTMLElement).append(make("p", { class: "meta" }, timeOf(file.at)));
    const placed = { item: view.item, number: file.after, at: file.at, view };
    place(placed);
    files.set(file.key, placed);
  };

  return {
    add(messages, added = []) {
      const wasAtEnd = isAtEnd();
      const heightBefore = scroller.scrollHeight;
      const firstBefore = first(items);
      for (const message of messages) {
        if (items.has(message.id)) continue;
        const known = deliveries.get(message.id);
        const item = itemOf(name, message.from === "me" && known ? { ...message, delivery: known } : message);
        const placed = { item, number: message.id, at: 0 };
        place(placed);
        items.set(message.id, placed);
      }
      for (const file of added) if (!files.has(file.key)) addFile(file);
      if (firstBefore !== undefined && first(items)! < firstBefore) {
        // Earlier ones: what was read stays where it was.
        scroller.scrollTop += scroller.scrollHeight - heightBefore;
      } else if (wasAtEnd || messages.at(-1)?.from === "me") toEnd();
    },
    announce(text) {
      element("announcement", HTMLElement).replaceChildren(make("p", {}, startOf(text)));
    },
    delivered(id, delivery) {
      deliveries.set(id, delivery);
      const placed = items.get(id);
      if (placed !== undefined) showDelivery(placed.item, delivery);
    },
    changed(file) {
      const wasAtEnd = isAtEnd();
      const shown = files.get(file.key);
      if (shown === undefined) addFile(file);
      else shown.view.show(file);
      if (wasAtEnd || shown === undefined && file.direction === "sending") toEnd();
    },
    remove(key) {
      const shown = files.get(key);
      shown?.view.close();
      shown?.item.remove();
      files.delete(key);
    },
    show({ number, file }) {
      list.querySelector(".found")?.classList.remove("found");
      const { item } = (file === null ? items.get(number) : files.get(file)) ?? {};
      item?.classList.add("found");
      item?.scrollIntoView({ block: "center" });
    },
    first: () => first(items),
    close() {
      for (const { view } of files.values()) view.close();
    },
  };
}

function first(items: ReadonlyMap<number, unknown>): number | undefined {
  let least: number | undefined;
  for (const number of items.keys()) least = Math.min(number, least ?? number);
  return least;
}

/** The item that comes after another one; most often there is none. */
function following(items: readonly Placed[], { number, at }: Placed): HTMLElement | undefined {
  let best: Placed | undefined;
  for (const other of items) {
    const isAfter = other.number > number || other.number === number && other.at > at;
    const isBefore = best === undefined || other.number < best.number ||
      other.number === best.number && other.at < best.at;
    if (isAfter && isBefore) best = other;
  }
  return best?.item;
}

function timeOf(milliseconds: number): HTMLElement {
  const at = new Date(milliseconds);
  const format = at.toDateString() === new Date().toDateString() ? sameDay : otherDay;
  return make("time", { datetime: at.toISOString() }, format.format(at));
}

function itemOf(name: string, message: ChatMessage): HTMLElement {
  const isMine = message.from === "me";
  const bubble = make("div", {}, make("span", { class: "unseen" }, isMine ? "You: " : `${name}: `));
  bubble.append(...shownText(message.text));
  bubble.append(make("p", { class: "meta" }, timeOf(message.at), make("span", { class: "delivery" })));
  const item = make("li", { class: isMine ? "mine" : "theirs" });
  const warning = isMine ? null : integrityText(message.integrity);
  if (warning !== null) item.append(make("p", { class: "alert warning" }, `⚠ ${warning}`));
  item.append(bubble);
  if (isMine) showDelivery(item, message.delivery);
  return item;
}

function showDelivery(item: HTMLElement, delivery: DeliveryState): void {
  const shown = inside(item, ".delivery", HTMLElement);
  shown.textContent = ` · ${deliveryText(delivery)}`;
  shown.classList.toggle("failed", delivery.type === "failed");
}
