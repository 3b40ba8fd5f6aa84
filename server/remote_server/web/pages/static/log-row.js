// Draws one line of a log.
// @ts-check

import { cook, plain } from "./ansi.js";

/** @typedef {import("./log-lines.js").Line} Line */

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

/**
 * @param {number} row
 * @param {Line | undefined} line undefined while it is awaited
 * @param {string} words that are looked for
 * @param {boolean} numbered whether a row's place is its number
 */
export function drawRow(row, line, words, numbered) {
  const element = document.createElement("div");
  element.className = "ln";
  const number = line ? line.n : numbered ? row : 0;
  if (number) {
    element.id = `L${number}`;
    element.dataset.number = String(number);
  }
  element.append(part("span", "no", number ? String(number) : ""));
  if (line) {
    element.dataset.stream = line.s;
    element.append(drawTime(line.t), part("span", "src", line.s === "stderr" ? "err" : ""), drawText(line, words));
  } else {
    element.dataset.empty = "";
    element.append(part("code", "", "…"));
  }
  return element;
}

/**
 * The text of a line as it is shown.
 * @param {Line} line
 */
export function textOf(line) {
  const middle = line.left ? ` … ${line.left[0]} bytes left out … ` : "";
  return plain(cook(line.x)) + middle + (line.left ? plain(cook(line.y ?? "")) : "");
}

/** @param {string} at */
function drawTime(at) {
  const time = document.createElement("time");
  const moment = new Date(`${at.slice(0, 23)}Z`);
  if (Number.isNaN(moment.getTime())) return time;
  // `datetime` would have the page write it as it writes all others.
  time.textContent = clock.format(moment);
  time.title = `${exact.format(moment)}, ${at}`;
  return time;
}

/**
 * @param {Line} line
 * @param {string} words
 */
function drawText(line, words) {
  const code = document.createElement("code");
  const cooked = cook(line.x);
  let redraws = cooked.redraws;
  const overwritten = line.left && (line.y ?? "").includes("\r");
  if (!overwritten) drawSpans(code, cooked.spans, words);
  if (line.left) {
    const rest = cook(line.y ?? "");
    redraws += line.left[1] + rest.redraws;
    if (!overwritten) code.append(part("span", "left", ` … ${line.left[0].toLocaleString("en")} bytes left out, the raw log has them … `));
    drawSpans(code, rest.spans, words);
  }
  if (redraws > 0) {
    const drawn = part("span", "cr", `drawn ${(redraws + 1).toLocaleString("en")} times`);
    drawn.title = "What was drawn before is in the raw log";
    code.append(drawn);
  }
  if (!code.firstChild) code.append(" ");
  return code;
}

/**
 * @param {HTMLElement} code
 * @param {import("./ansi.js").Span[]} spans
 * @param {string} words
 */
function drawSpans(code, spans, words) {
  const marks = words ? matches(spans.map((span) => span.text).join(""), words) : [];
  let start = 0;
  for (const { text, style } of spans) {
    for (const [from, to, marked] of pieces(start, start + text.length, marks)) {
      const piece = text.slice(from - start, to - start);
      if (!style && !marked) code.append(piece);
      else {
        const inner = part("span", style, piece);
        if (marked) {
          const mark = document.createElement("mark");
          mark.append(style ? inner : piece);
          code.append(mark);
        } else code.append(inner);
      }
    }
    start += text.length;
  }
}

/**
 * Where words are in a text; letters A to Z in either case, as the server looks for them.
 * @param {string} text
 * @param {string} words
 * @returns {[number, number][]}
 */
export function matches(text, words) {
  const lower = (/** @type {string} */ any) => any.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  const found = /** @type {[number, number][]} */ ([]);
  const [where, what] = [lower(text), lower(words)];
  for (let at = where.indexOf(what); what && at >= 0; at = where.indexOf(what, at + what.length)) {
    found.push([at, at + what.length]);
  }
  return found;
}

/**
 * A stretch of text cut where marks begin and end.
 * @param {number} from
 * @param {number} to
 * @param {[number, number][]} marks
 * @returns {[number, number, boolean][]}
 */
function pieces(from, to, marks) {
  const found = /** @type {[number, number, boolean][]} */ ([]);
  let at = from;
  for (const [first, last] of marks) {
    if (last <= at || first >= to) continue;
    if (first > at) found.push([at, first, false]);
    found.push([Math.max(first, at), Math.min(last, to), true]);
    at = Math.min(last, to);
  }
  if (at < to) found.push([at, to, false]);
  return found;
}

/**
 * @param {string} tag
 * @param {string} name
 * @param {string} text
 */
function part(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = text;
  return element;
}
