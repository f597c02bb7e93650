import { type ChatMessage, type DeliveryState, deliveryText, integrityText } from "./conversation.ts";
import { element, inside, make } from "./dom.ts";

const sameDay = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const otherDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** The messages of the open conversation, in the order of their numbers. */
export interface LogView {
  /** Adds messages that are not there yet. */
  add(messages: readonly ChatMessage[]): void;
  /** Lets screen readers read out what has come; they would read out all that is loaded if the list were live. */
  announce(text: string): void;
  /** Tells what became of a message. */
  delivered(id: number, delivery: DeliveryState): void;
  /** The lowest number that is shown; `undefined` without messages. */
  first(): number | undefined;
}

/** Shows an empty log in place of the one before. */
export function showLog(name: string): LogView {
  const scroller = element("messages", HTMLElement);
  const list = make("ol", { "aria-label": `Messages with ${name}` });
  element("log", HTMLElement).replaceChildren(list);
  const items = new Map<number, HTMLElement>();
  const deliveries = new Map<number, DeliveryState>();

  return {
    add(messages) {
      const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
      const heightBefore = scroller.scrollHeight;
      const firstBefore = first(items);
      for (const message of messages) {
        if (items.has(message.id)) continue;
        const known = deliveries.get(message.id);
        const item = itemOf(name, message.from === "me" && known ? { ...message, delivery: known } : message);
        const next = following(items, message.id);
        if (next === undefined) list.append(item);
        else list.insertBefore(item, next);
        items.set(message.id, item);
      }
      if (firstBefore !== undefined && first(items)! < firstBefore) {
        // Earlier ones: what was read stays where it was.
        scroller.scrollTop += scroller.scrollHeight - heightBefore;
      } else if (isAtEnd || messages.at(-1)?.from === "me") {
        scroller.scrollTop = scroller.scrollHeight;
      }
    },
    announce(text) {
      element("announcement", HTMLElement).replaceChildren(make("p", {}, text));
    },
    delivered(id, delivery) {
      deliveries.set(id, delivery);
      const item = items.get(id);
      if (item !== undefined) showDelivery(item, delivery);
    },
    first: () => first(items),
  };
}

function first(items: ReadonlyMap<number, HTMLElement>): number | undefined {
  return items.size === 0 ? undefined : Math.min(...items.keys());
}

/** The item that comes after a number; most often there is none. */
function following(items: ReadonlyMap<number, HTMLElement>, id: number): HTMLElement | undefined {
  let best: number | undefined;
  for (const other of items.keys()) if (other > id && (best === undefined || other < best)) best = other;
  return best === undefined ? undefined : items.get(best);
}

function itemOf(name: string, message: ChatMessage): HTMLElement {
  const isMine = message.from === "me";
  const bubble = make("div", {}, make("span", { class: "unseen" }, isMine ? "You: " : `${name}: `));
  bubble.append(make("p", { class: "text", dir: "auto" }, message.text));
  const at = new Date(message.at);
  const format = at.toDateString() === new Date().toDateString() ? sameDay : otherDay;
  const time = make("time", { datetime: at.toISOString() }, format.format(at));
  bubble.append(make("p", { class: "meta" }, time, make("span", { class: "delivery" })));
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
