// The lines of a log that are selected: by which numbers, in the address, copied.
// @ts-check

import { hashOf, linesOf, linkOf } from "./log-address.js";
import { textOf } from "./log-row.js";

/** @typedef {import("./log-client.js").LogClient} LogClient */
/** @typedef {import("./log-client.js").Status} Status */
/** @typedef {import("./log-address.js").Range} Range */

const MOST_COPIED = 10_000;

export class Selection {
  /**
   * @param {HTMLElement} section
   * @param {LogClient} client
   */
  constructor(section, client) {
    this.section = section;
    this.client = client;
    this.attempt = section.dataset.attempt ?? "1";
    /** @type {Range | null} */
    this.range = linesOf(location.hash);
    this.marked = "";
    this.timer = 0;
    this.draw();
  }

  /** @param {number} number */
  has(number) {
    return !!this.range && number >= this.range.first && number <= this.range.last;
  }

  /** @param {Range | null} range */
  choose(range) {
    this.range = range;
    this.draw();
    // Browsers bound how often an address may change.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const address = new URL(location.href);
      if (range) address.searchParams.set("attempt", this.attempt);
      address.hash = hashOf(range);
      history.replaceState(history.state, "", address);
    }, 200);
  }

  draw() {
    const [bar, range] = [this.section.querySelector('[data-part="range"]'), this.range];
    if (!(bar instanceof HTMLElement)) return;
    bar.hidden = !range;
    if (!range) return;
    const words = range.first === range.last ? `Line ${range.first}` : `Lines ${range.first}–${range.last}`;
    const head = bar.querySelector("b");
    if (head) head.textContent = words;
    bar.querySelector('[data-part="range-download"]')?.setAttribute("href", this.client.url("raw", { ...range, download: true }));
  }

  /**
   * Where the end that moves comes to, and the lines that are selected then.
   * @param {number} by
   * @param {boolean} more
   * @param {number} lines
   * @returns {[number, Range]}
   */
  moved(by, more, lines) {
    const { first, last } = this.range ?? { first: 1, last: 1 };
    const [end, other] = this.marked === "first" ? [first, last] : [last, first];
    const to = Math.min(Math.max(1, end + by), lines);
    this.marked = more && to < other ? "first" : "last";
    return [to, more ? { first: Math.min(to, other), last: Math.max(to, other) } : { first: to, last: to }];
  }

  async copyLink() {
    const address = new URL(this.section.dataset.page ?? location.href, location.href);
    await copy(linkOf(location.pathname.endsWith("/log") ? location.href : address.href, this.attempt, this.range));
  }

  async copyText() {
    const range = this.range;
    if (!range) return;
    const texts = [];
    let number = range.first;
    while (number <= range.last && texts.length < MOST_COPIED) {
      const status = /** @type {Status | null} */ (await this.client.ask("lines", { number, count: 500 }).catch(() => null));
      const found = (status?.found ?? []).filter((line) => line.n <= range.last);
      texts.push(...found.map(textOf));
      if (!found.length) break;
      number = (found.at(-1)?.n ?? range.last) + 1;
    }
    await copy(texts.map((text) => `${text}\n`).join(""), texts.length >= MOST_COPIED ? `The first ${MOST_COPIED} lines are copied; download has all.` : "");
  }
}

/**
 * @param {string} text
 * @param {string} words
 */
async function copy(text, words = "") {
  try {
    await navigator.clipboard.writeText(text);
    toast(words || "Copied.");
  } catch {
    toast("The browser does not let this page copy: select the text instead.");
  }
}

/** @param {string} words */
function toast(words) {
  document.dispatchEvent(new CustomEvent("said", { detail: words }));
}
