// Looks for words in the whole log: the server does it, part by part, while matches are shown.
// @ts-check

const MOST = 10_000;

/** @typedef {{ hits: [number, number][], at: number, size: number, done: boolean }} Found */

export class Search {
  /**
   * @param {(query: Record<string, string | number>) => Promise<Found>} ask
   * @param {() => void} changed
   */
  constructor(ask, changed) {
    this.ask = ask;
    this.changed = changed;
    this.words = "";
    /** Numbers of lines, rising. @type {number[]} */
    this.hits = [];
    this.current = -1;
    this.looking = false;
    this.part = 0;
    this.fault = "";
    this.round = 0;
  }

  /**
   * Look for words; stops when others are wanted.
   * @param {string} words
   * @param {number} from the line at or after which the first match is wanted
   */
  async start(words, from) {
    const round = (this.round += 1);
    Object.assign(this, { words, hits: [], current: -1, looking: words !== "", part: 0, fault: "" });
    this.changed();
    const known = new Set();
    let offset = 0;
    while (words && this.round === round) {
      /** @type {Found} */
      let found;
      try {
        found = await this.ask({ words, offset });
      } catch (error) {
        if (this.round === round) this.fault = error instanceof Error ? error.message : "failed";
        break;
      }
      if (this.round !== round) return;
      const line = this.line;
      for (const [number] of found.hits) {
        if (known.has(number)) continue;
        known.add(number);
        this.hits.push(number);
      }
      if (found.hits.length) this.hits.sort((one, other) => one - other);
      if (line) this.current = this.hits.indexOf(line);
      offset = found.at;
      this.part = found.size ? found.at / found.size : 1;
      if (this.current < 0) this.current = this.hits.findIndex((number) => number >= from);
      if (found.done || this.hits.length >= MOST) break;
      this.changed();
    }
    if (this.round !== round) return;
    this.looking = false;
    if (this.current < 0 && this.hits.length) this.current = 0;
    this.changed();
  }

  /** @param {number} by */
  step(by) {
    const count = this.hits.length;
    if (!count) return;
    this.current = this.current < 0 ? 0 : (this.current + by + count) % count;
    this.changed();
  }

  /** The line of the current match. */
  get line() {
    return this.hits[this.current];
  }

  /** What is found, in words. */
  get said() {
    if (!this.words) return "";
    if (this.fault) return this.fault;
    const more = this.looking || this.hits.length >= MOST ? "+" : "";
    if (!this.hits.length) return this.looking ? `${Math.floor(this.part * 100)}\u00a0%` : "none";
    return `${(this.current + 1).toLocaleString("en")} of ${this.hits.length.toLocaleString("en")}${more}`;
  }
}
