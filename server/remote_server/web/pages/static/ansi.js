// What a terminal would show of one line: colours, and what was overwritten by carriage return,
// backspace and erasing (ECMA-48). Cursor moves to other lines are left out. Pure.
// @ts-check

/** @typedef {{ text: string, style: string }} Span */
/** @typedef {{ spans: Span[], redraws: number }} Cooked */

const MOST_COLUMNS = 20_000;
/** Places that the sequences of one line may fill, move or blank, all together: a line of nothing but
 * sequences must not hold the page. Those that come later do nothing. */
const MOST_WORK = 2_000_000;
const SPECIAL = /[\x00-\x08\x0b-\x1f\x7f]/;
// One control sequence (§5.4), one string that a sequence begins (§5.6), or any other escape.
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|[ -/]*[0-~]?)?/y;

/** The sixteen colours as terminals have them, to find the nearest one of any other. */
const SIXTEEN = [
  [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
  [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
];

/**
 * A line as it is drawn last, in parts of one look each.
 * @param {string} text without its line feed
 * @returns {Cooked}
 */
export function cook(text) {
  const whole = text.endsWith("\r") ? text.replace(/\r+$/, "") : text;
  if (!SPECIAL.test(whole)) return { spans: whole ? [{ text: whole, style: "" }] : [], redraws: 0 };
  const line = new ScreenLine();
  let redraws = 0;
  for (let at = 0; at < whole.length; ) {
    const code = whole.charCodeAt(at);
    if (code === 0x1b) {
      ESCAPE.lastIndex = at;
      const found = ESCAPE.exec(whole);
      if (found?.[2]) line.control(found[2], found[1] ?? "");
      at += Math.max(1, found?.[0].length ?? 1);
    } else if (code === 0x0d) {
      line.column = 0;
      redraws += 1;
      at += 1;
    } else if (code === 0x08) {
      line.column = Math.max(0, line.column - 1);
      at += 1;
    } else if (code === 0x09) {
      line.tab();
      at += 1;
    } else if (code < 0x20 || code === 0x7f) {
      at += 1;
    } else {
      const char = String.fromCodePoint(whole.codePointAt(at) ?? 0xfffd);
      line.put(char);
      at += char.length;
    }
  }
  return { spans: line.spans(), redraws };
}

/**
 * The text of a line as it is shown.
 * @param {Cooked} cooked
 */
export function plain(cooked) {
  return cooked.spans.map((span) => span.text).join("");
}

/** One line of a terminal. */
class ScreenLine {
  constructor() {
    this.column = 0;
    this.left = MOST_WORK;
    /** @type {string[]} */
    this.chars = [];
    /** @type {string[]} */
    this.styles = [];
    this.look = new Look();
  }

  /**
   * Whether so much may be done still.
   * @param {number} places
   */
  spend(places) {
    if (places > this.left) return false;
    this.left -= Math.max(0, places);
    return true;
  }

  /** @param {string} char */
  put(char) {
    this.fill(this.column);
    this.column = Math.min(this.column, this.chars.length);
    this.chars[this.column] = char;
    this.styles[this.column] = this.look.name;
    if (this.column < MOST_COLUMNS) this.column += 1;
  }

  tab() {
    this.column = Math.min(MOST_COLUMNS, (Math.floor(this.column / 8) + 1) * 8);
    this.fill(this.column);
  }

  /** @param {number} to */
  fill(to) {
    if (!this.spend(to - this.chars.length)) return;
    while (this.chars.length < to) {
      this.chars.push(" ");
      this.styles.push("");
    }
  }

  /**
   * @param {string} final
   * @param {string} given
   */
  control(final, given) {
    const numbers = given.split(/[;:]/).map((part) => (part === "" ? 0 : Number(part)));
    const first = numbers[0] ?? 0;
    const count = Number.isFinite(first) ? Math.min(Math.max(1, first), MOST_COLUMNS) : 1;
    if (final === "m") {
      if (!/[<-?]/.test(given)) this.look.select(numbers);
    } else if (final === "K") this.erase(first);
    else if (final === "G" || final === "`") this.column = count - 1;
    else if (final === "C") this.column = Math.min(MOST_COLUMNS, this.column + count);
    else if (final === "D") this.column = Math.max(0, this.column - count);
    else if (final === "P") this.cut(this.column, count);
    else if (final === "X") this.blank(this.column, Math.min(this.chars.length, this.column + count));
    else if (final === "@") this.insert(count);
    else if (final === "J" && first >= 2) this.cut(0, this.chars.length);
  }

  /** @param {number} which */
  erase(which) {
    if (which === 0) this.cut(this.column, this.chars.length);
    else if (which === 1) this.blank(0, Math.min(this.chars.length, this.column + 1));
    else if (which === 2) this.cut(0, this.chars.length);
  }

  /**
   * @param {number} from
   * @param {number} count
   */
  cut(from, count) {
    if (!this.spend(this.chars.length - from)) return;
    this.chars.splice(from, count);
    this.styles.splice(from, count);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  blank(from, to) {
    if (!this.spend(to - from)) return;
    for (let column = from; column < to; column += 1) {
      this.chars[column] = " ";
      this.styles[column] = "";
    }
  }

  /** @param {number} count */
  insert(count) {
    if (this.column >= this.chars.length) return;
    const room = Math.max(0, Math.min(count, MOST_COLUMNS - this.chars.length));
    if (!this.spend(this.chars.length - this.column + room)) return;
    this.chars.splice(this.column, 0, ...Array(room).fill(" "));
    this.styles.splice(this.column, 0, ...Array(room).fill(""));
  }

  /** @returns {Span[]} */
  spans() {
    /** @type {Span[]} */
    const spans = [];
    let start = 0;
    for (let column = 1; column <= this.chars.length; column += 1) {
      if (column < this.chars.length && this.styles[column] === this.styles[start]) continue;
      spans.push({ text: this.chars.slice(start, column).join(""), style: this.styles[start] ?? "" });
      start = column;
    }
    return spans;
  }
}

/** How characters look from now on (SGR, §8.3.117). */
class Look {
  constructor() {
    this.name = "";
    this.ink = -1;
    this.ground = -1;
    /** @type {Set<string>} */
    this.extras = new Set();
  }

  reset() {
    this.ink = -1;
    this.ground = -1;
    this.extras.clear();
  }

  /** @param {number[]} numbers */
  select(numbers) {
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at] ?? 0;
      if (number === 38 || number === 48) {
        const [colour, used] = extended(numbers, at + 1);
        if (number === 38) this.ink = colour;
        else this.ground = colour;
        at += used;
      } else this.one(number);
    }
    this.name = this.named();
  }

  /** @param {number} number */
  one(number) {
    const extra = EXTRAS.get(number);
    if (number === 0) this.reset();
    else if (extra) this.extras.add(extra);
    else if (OFF.has(number)) for (const name of OFF.get(number) ?? []) this.extras.delete(name);
    else if (number >= 30 && number <= 37) this.ink = number - 30;
    else if (number === 39) this.ink = -1;
    else if (number >= 40 && number <= 47) this.ground = number - 40;
    else if (number === 49) this.ground = -1;
    else if (number >= 90 && number <= 97) this.ink = number - 82;
    else if (number >= 100 && number <= 107) this.ground = number - 92;
  }

  named() {
    const names = [];
    if (this.ground >= 0) names.push(`b${this.ground}`);
    else if (this.ink >= 0) names.push(`a${this.ink}`);
    return [...names, ...this.extras].join(" ");
  }
}

const EXTRAS = new Map([[1, "ab"], [2, "ad"], [3, "ai"], [4, "au"], [7, "ar"], [9, "as"], [21, "au"]]);
const OFF = new Map([[22, ["ab", "ad"]], [23, ["ai"]], [24, ["au"]], [27, ["ar"]], [29, ["as"]]]);

/**
 * A colour that is given by its number of 256, or by red, green and blue: the nearest of sixteen,
 * which are legible on our ground.
 * @param {number[]} numbers
 * @param {number} at
 * @returns {[number, number]} and how many numbers it took
 */
function extended(numbers, at) {
  if (numbers[at] === 5) return [indexed(numbers[at + 1] ?? 0), 2];
  if (numbers[at] === 2) return [nearest(numbers[at + 1] ?? 0, numbers[at + 2] ?? 0, numbers[at + 3] ?? 0), 4];
  return [-1, 1];
}

/** @param {number} number */
function indexed(number) {
  if (number < 16) return Math.max(0, number);
  if (number >= 232) {
    const grey = 8 + (number - 232) * 10;
    return nearest(grey, grey, grey);
  }
  const level = (/** @type {number} */ part) => (part ? 55 + part * 40 : 0);
  const cube = number - 16;
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

/**
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 */
function nearest(red, green, blue) {
  let best = 0;
  let least = Infinity;
  SIXTEEN.forEach(([r = 0, g = 0, b = 0], index) => {
    const far = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (far < least) [best, least] = [index, far];
  });
  return best;
}
