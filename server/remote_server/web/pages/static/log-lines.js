// The lines that a viewer holds, by their row: bounded, whatever the log has. Pure.
// @ts-check

/**
 * A line as the server sends it: `n` its number, `k` its place in its stream, `s` the stream, `t`
 * its time, `x` its text; of a long one `left` says how many bytes and carriage returns are left
 * out, and `y` is what follows them.
 * @typedef {{ n: number, k: number, s: string, t: string, x: string, y?: string, left?: [number, number], open?: boolean }} Line
 */

export const MOST = 20_000;
export const BLOCK = 200;

export class Lines {
  /** @param {string} stream "" for both */
  constructor(stream) {
    this.stream = stream;
    /** @type {Map<number, Line>} */
    this.held = new Map();
    /** Rows that there are, as far as they are counted. */
    this.counted = 0;
    /** Rows that there may be. */
    this.total = 0;
    /** The last lines of a log whose lines are not counted yet. @type {Line[]} */
    this.ending = [];
  }

  /** @param {Line} line */
  row(line) {
    return this.stream ? line.k : line.n;
  }

  /** @param {Line[]} lines */
  put(lines) {
    for (const line of lines) {
      if (line.n && (!this.stream || line.s === this.stream)) this.held.set(this.row(line), line);
    }
  }

  /**
   * How much there is: `rows` in the first `counted` bytes of `size`; the rest is guessed.
   * @param {number} rows
   * @param {number} counted
   * @param {number} size
   */
  count(rows, counted, size) {
    this.counted = rows;
    const left = size - counted;
    const each = rows ? counted / rows : 100;
    this.total = left > 0 ? Math.max(rows + Math.ceil(left / each), this.ending.length) : rows;
    if (left <= 0) this.ending = [];
  }

  /** @param {number} row */
  at(row) {
    const held = this.held.get(row);
    if (held || row <= this.counted) return held;
    return this.ending[this.ending.length - 1 - (this.total - row)];
  }

  /**
   * What to ask for to have all of these rows: where it begins, and how many; null for nothing.
   * @param {number} first
   * @param {number} last
   * @returns {[number, number] | null}
   */
  missing(first, last) {
    let from = Math.max(1, first);
    const to = Math.min(last, this.total);
    while (from <= to && this.at(from)) from += 1;
    if (from > to) return null;
    // Who goes on reading wants what is near, too: forwards, or backwards when that is there.
    let count = 0;
    while (count < BLOCK && from + count <= this.total && !this.at(from + count)) count += 1;
    while (count < BLOCK && from > 1 && !this.at(from - 1)) {
      from -= 1;
      count += 1;
    }
    return [from, count];
  }

  /**
   * Let go what is far from a row when there is too much.
   * @param {number} row
   */
  trim(row) {
    if (this.held.size <= MOST) return;
    const near = MOST / 4;
    for (const held of this.held.keys()) {
      if (Math.abs(held - row) > near) this.held.delete(held);
    }
  }
}
