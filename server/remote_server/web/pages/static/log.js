// The log viewer: the lines of one attempt, by number, as far as they are looked at.
// @ts-check

import { linesOf } from "./log-address.js";
import { LogClient } from "./log-client.js";
import { Search } from "./log-find.js";
import { Lines } from "./log-lines.js";
import { drawRow } from "./log-row.js";
import { Selection } from "./log-selection.js";
import { drawFault, drawRuler, drawWhole } from "./log-status.js";
import { Scroller } from "./log-scroll.js";

/** @typedef {import("./log-client.js").Status} Status */
/** @typedef {import("./log-address.js").Range} Range */

const AGAIN = 250;

class Viewer {
  /** @param {HTMLElement} section */
  constructor(section) {
    this.section = section;
    this.box = /** @type {HTMLElement} */ (section.querySelector(".log"));
    this.attempt = section.dataset.attempt ?? "1";
    this.client = new LogClient(section.dataset.log ?? "", this.attempt, (status) => this.take(status), (fault) => this.say(fault));
    this.lines = new Lines("");
    this.scroller = new Scroller(this.box, {
      at: (row) => this.lines.at(row),
      draw: (row) => this.draw(row),
      shown: (first, last) => this.shown(first, last),
    });
    this.search = new Search((query) => this.client.ask("find", query), () => this.found());
    /** @type {Status | null} */
    this.status = null;
    this.selection = new Selection(section, this.client);
    this.asking = false;
    this.wanted = 0;
    this.round = 0;
    this.listen();
    this.restore();
    section.dataset.ready = "";
    if (this.selection.range) void this.go(this.selection.range.first);
    else void this.fetch({ row: 1 });
    this.client.open();
  }

  /** @param {string} name */
  part(name) {
    return /** @type {HTMLElement | null} */ (this.section.querySelector(`[data-part="${name}"]`));
  }

  /** @param {string} name */
  button(name) {
    return this.section.querySelector(`[data-do="${name}"]`);
  }

  // What the server says ------------------------------------------------------------------------

  /** @param {Status} status */
  take(status) {
    const first = !this.status;
    if (status.anew) this.lines = new Lines(this.lines.stream);
    this.status = status;
    if (status.ending) this.lines.ending = status.ending;
    this.lines.count(status.rows, status.counted, status.size);
    if (status.found?.length) this.lines.put(status.found);
    this.scroller.total = this.lines.total;
    this.box.dataset.digits = status.lines >= 9_999_999 ? "9" : status.lines >= 999_999 ? "7" : "";
    if (first && !status.over && !this.selection.range) this.follow(true);
    this.lines.trim(this.scroller.row);
    // Who follows the last attempt follows the next one, too.
    const next = (status.attempts.at(-1)?.[0] ?? 0) > status.attempt;
    if (next && this.scroller.stuck && !new URLSearchParams(location.search).has("attempt")) location.reload();
    drawWhole(this.section, status);
    this.scroller.schedule();
  }

  /** @param {string} fault */
  say(fault) {
    if (!this.status?.over) drawFault(this.section, fault);
  }

  /** @param {Record<string, string | number | boolean>} query */
  async fetch(query) {
    const round = this.round;
    try {
      const status = /** @type {Status} */ (await this.client.ask("lines", query));
      if (round === this.round) this.take(status);
      return status;
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  /**
   * These rows are looked at: ask for those that are not there, one part at a time.
   * @param {number} first
   * @param {number} last
   */
  shown(first, last) {
    this.see = [first, last];
    drawRuler(this.section, this.lines.total, this.see, this.lines.stream ? [] : this.search.hits, this.lines.stream ? null : this.selection.range);
    void this.fill();
  }

  async fill() {
    if (this.asking || !this.see) return;
    const missing = this.lines.missing(this.see[0] ?? 1, this.see[1] ?? 1);
    if (!missing) return;
    this.asking = true;
    const status = await this.fetch({ row: missing[0], count: missing[1] });
    this.asking = false;
    // What is not counted yet cannot be there yet.
    if (status?.found?.length) void this.fill();
    else setTimeout(() => void this.fill(), status ? AGAIN : 20 * AGAIN);
  }

  // What is shown -------------------------------------------------------------------------------

  /** @param {number} row */
  draw(row) {
    const line = this.lines.at(row);
    const element = drawRow(row, line, this.search.words, !this.lines.stream && row <= this.lines.counted);
    const number = Number(element.dataset.number);
    if (this.selection.has(number)) element.dataset.selected = "";
    if (number === this.search.line) element.querySelector("mark")?.setAttribute("aria-current", "true");
    return element;
  }

  /** @param {boolean} on */
  follow(on) {
    this.scroller.stick(on);
    this.pressed();
  }

  pressed() {
    const [end, going] = [this.button("end"), !!this.status && !this.status.over];
    end?.setAttribute("aria-pressed", String(this.scroller.stuck && going));
  }

  /** @param {string} stream */
  choose(stream) {
    if (stream === this.lines.stream) return;
    const number = this.top();
    this.round += 1;
    this.client.close();
    this.client.ended = false;
    this.client.stream = stream;
    this.lines = new Lines(stream);
    this.box.dataset.src = stream ? "off" : "on";
    for (const button of this.section.querySelectorAll("[data-stream][aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("data-stream") === stream));
    }
    for (const name of ["raw", "download"]) {
      this.part(name)?.setAttribute("href", this.client.url("raw", name === "raw" ? {} : { download: true }));
    }
    this.scroller.redraw();
    if (!this.scroller.stuck) void this.go(number, 0);
    this.client.open();
    if (this.search.words) void this.search.start(this.search.words, number);
  }

  /** The number of the line at the top of what is seen. */
  top() {
    for (let row = this.scroller.row; row < this.scroller.row + 50; row += 1) {
      const line = this.lines.at(row);
      if (line?.n) return line.n;
    }
    return this.lines.stream ? 1 : this.scroller.row;
  }

  /**
   * Show a line; of a stream that has not this one, the next.
   * @param {number} number
   * @param {number} above
   */
  async go(number, above = 0.3) {
    const [round, wanted] = [this.round, (this.wanted += 1)];
    this.scroller.stick(false);
    for (;;) {
      const first = Math.max(1, number - 40);
      const status = await this.fetch({ number: first, count: 120 });
      if (!status || round !== this.round || wanted !== this.wanted) return;
      const found = status.found?.find((line) => line.n >= number) ?? status.found?.at(-1);
      const counted = status.counted >= status.size;
      if (found && (found.n >= number || counted)) {
        this.scroller.show(this.lines.row(found), above);
        this.pressed();
        return;
      }
      if (counted) {
        // No such line: the nearest one is the last.
        this.scroller.show(status.rows, 0.9);
        this.pressed();
        return;
      }
      this.scroller.show(Math.min(number, this.lines.total), above);
    }
  }

  /** @param {Range | null} range */
  select(range) {
    this.selection.choose(range);
    for (const [row, { element }] of this.scroller.drawn) {
      const number = Number(element.dataset.number ?? (this.lines.stream ? 0 : row));
      element.toggleAttribute("data-selected", this.selection.has(number));
    }
    this.scroller.schedule();
  }

  /**
   * Move the line that is selected, or one end of the lines.
   * @param {number} by
   * @param {boolean} more
   */
  step(by, more) {
    if (!this.selection.range) return this.select({ first: this.top(), last: this.top() });
    const [to, range] = this.selection.moved(by, more, this.status?.lines ?? 1);
    this.select(range);
    if (!this.lines.stream) this.scroller.reveal(to);
  }

  // Searching -----------------------------------------------------------------------------------

  /** Something was found, or another match is the current one. */
  found() {
    const [said, line] = [this.part("hits"), this.search.line];
    if (said) said.textContent = this.search.said;
    said?.parentElement?.toggleAttribute("data-any", this.search.hits.length > 0);
    if (this.drawnFor !== `${this.search.words}\n${line}`) {
      this.drawnFor = `${this.search.words}\n${line}`;
      this.scroller.redraw();
      if (line) void this.go(line);
    } else this.scroller.schedule();
  }

  /** @param {number} by */
  next(by) {
    const field = this.field();
    if (field && field.value !== this.search.words) void this.search.start(field.value, this.top());
    else this.search.step(by);
  }

  field() {
    return /** @type {HTMLInputElement | null} */ (this.section.querySelector(".find input"));
  }

  // What people do ------------------------------------------------------------------------------

  listen() {
    const { box, section } = this;
    section.addEventListener("click", (event) => this.click(event));
    section.querySelector(".find")?.addEventListener("submit", (event) => {
      event.preventDefault();
      this.next(1);
    });
    let typed = 0;
    this.field()?.addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(() => void this.search.start(this.field()?.value ?? "", this.top()), 300);
    });
    this.field()?.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        this.next(-1);
      } else if (event.key === "Escape") this.clear();
    });
    box.addEventListener("keydown", (event) => this.boxKey(event));
    box.addEventListener("scroll", () => this.pressed(), { passive: true });
    document.addEventListener("keydown", (event) => {
      if (section.isConnected && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) this.key(event);
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.client.close() : this.client.open()));
    addEventListener("hashchange", () => {
      const range = linesOf(location.hash);
      if (!range) return;
      this.select(range);
      void this.go(range.first);
    });
  }

  /** @param {Event} event */
  click(event) {
    if (!(event.target instanceof Element) || !(event instanceof MouseEvent)) return;
    const number = Number(event.target.closest(".no")?.parentElement?.dataset.number ?? 0);
    const stream = event.target.closest("button[data-stream]");
    const action = event.target.closest("[data-do]")?.getAttribute("data-do");
    if (number) {
      const from = event.shiftKey ? (this.selection.range?.first ?? number) : number;
      this.select({ first: Math.min(from, number), last: Math.max(from, number) });
    } else if (stream) this.choose(stream.getAttribute("data-stream") ?? "");
    else if (action) this.act(action);
  }

  /** @param {string} action */
  act(action) {
    if (action === "end") this.follow(!this.scroller.stuck || !!this.status?.over);
    else if (action === "times" || action === "wrap") this.toggle(action);
    else if (action === "next") this.next(1);
    else if (action === "before") this.next(-1);
    else if (action === "link") void this.selection.copyLink();
    else if (action === "copy") void this.selection.copyText();
    else if (action === "clear") this.select(null);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const actions = { f: "end", t: "times", w: "wrap", n: "next", N: "before", y: "link" };
    const action = actions[/** @type {keyof typeof actions} */ (event.key)];
    const stream = { 1: "", 2: "stdout", 3: "stderr" }[event.key];
    if (action) this.act(action);
    else if (stream !== undefined) this.choose(stream);
    else if (event.key === "Escape") this.clear();
  }

  /** @param {KeyboardEvent} event */
  boxKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") this.step(event.key === "ArrowDown" ? 1 : -1, event.shiftKey);
    else if (event.key === "Home") this.scroller.show(1, 0);
    else if (event.key === "End") this.follow(true);
    else return;
    event.preventDefault();
  }

  clear() {
    const field = this.field();
    if (field) field.value = "";
    void this.search.start("", 0);
    this.select(null);
  }

  /** @param {"times" | "wrap"} what */
  toggle(what) {
    const on = this.box.dataset[what] !== "on";
    this.box.dataset[what] = on ? "on" : "off";
    this.button(what)?.setAttribute("aria-pressed", String(on));
    remember(this.box.dataset.times ?? "", this.box.dataset.wrap ?? "");
    this.scroller.schedule();
  }

  restore() {
    const kept = remembered();
    for (const what of /** @type {const} */ (["times", "wrap"])) {
      if (kept[what] && kept[what] !== this.box.dataset[what]) this.toggle(what);
    }
  }
}

/** @returns {{ times?: string, wrap?: string }} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem("remote_log") ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/**
 * @param {string} times
 * @param {string} wrap
 */
function remember(times, wrap) {
  try {
    localStorage.setItem("remote_log", JSON.stringify({ times, wrap }));
  } catch {
    // A browser that keeps nothing.
  }
}

/** @param {EventTarget | null} target */
function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, select, textarea, dialog *"));
}

function start() {
  for (const section of document.querySelectorAll("[data-log]:not([data-ready])")) {
    if (section instanceof HTMLElement) new Viewer(section);
  }
}

start();
document.addEventListener("redrawn", start);
