/** Texts of others, so that what it takes to lay them out or to compare them grows with their length alone. */
import { make } from "./dom.ts";

/** Characters of a text that are shown at first, and with each further step. */
const shownAtFirst = 4_000, shownMore = 64_000;

/** More marks on one letter than the 30 of a stream-safe text (UAX #15); the last two become marks when they are compared. */
const tooManyMarks = /([\p{M}\uff9e\uff9f]{30})[\p{M}\uff9e\uff9f]+/gu;

/** A text in which no letter has more marks than any language knows: browsers take a square of their number. */
export function withFewMarks(text: string): string {
  return text.replaceAll(tooManyMarks, "$1");
}

/** The start of a text, which has whole characters. */
export function startOf(text: string, length: number = shownAtFirst): string {
  return withFewMarks(text.slice(0, length).replace(/[\ud800-\udbff]$/, ""));
}

/** A text of a message: the rest of a long one is shown when it is asked for. */
export function shownText(text: string): HTMLElement[] {
  const shown = make("p", { class: "text", dir: "auto" }, startOf(text));
  if (text.length <= shownAtFirst) return [shown];
  const more = make("button", { type: "button", class: "more" }, "Show more");
  let length = shownAtFirst;
  more.onclick = () => {
    length += shownMore;
    shown.textContent = startOf(text, length);
    if (length >= text.length) more.remove();
  };
  return [shown, more];
}
