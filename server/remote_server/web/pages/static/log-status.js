// Around the lines of a log: whether all of it is there, its attempts, and where matches are.
// @ts-check

/** @typedef {import("./log-client.js").Status} Status */

const SVG = "http://www.w3.org/2000/svg";
const MOST_MARKS = 400;

/**
 * @param {HTMLElement} section
 * @param {Status} status
 */
export function drawWhole(section, status) {
  const line = section.querySelector('[data-part="whole"]');
  const said = JSON.stringify([status.whole, status.attempts]);
  if (!(line instanceof HTMLElement) || line.dataset.said === said) return;
  line.dataset.said = said;
  const { state, icon, word, says, checksum, end } = status.whole;
  line.dataset.state = state;
  const head = text("span", "state", word);
  head.dataset.state = state;
  head.prepend(drawIcon(icon, 14));
  const parts = [head, ...says.map((words) => text("span", "", words))];
  if (checksum) {
    const sum = text("span", "", "CRC-32 ");
    sum.append(text("code", "", checksum), ", the same on agent and server");
    parts.push(sum);
  }
  line.replaceChildren(...parts, text("span", "end", end));
  drawAttempts(section, status);
}

/**
 * That nothing is heard: what the line says is how it was. It is drawn again when something is.
 * @param {HTMLElement} section
 * @param {string} words
 */
export function drawFault(section, words) {
  const line = section.querySelector('[data-part="whole"]');
  const head = line?.querySelector(".state");
  if (!(line instanceof HTMLElement) || !(head instanceof HTMLElement)) return;
  line.dataset.said = "";
  head.dataset.state = "stale";
  head.replaceChildren(drawIcon("stale", 14), words);
}

/**
 * @param {HTMLElement} section
 * @param {Status} status
 */
function drawAttempts(section, { attempt, attempts }) {
  section.querySelector('[data-part="attempts"]')?.replaceChildren(
    ...attempts.map(([number, state]) => {
      const link = document.createElement("a");
      link.href = `?attempt=${number}`;
      link.dataset.state = state;
      link.setAttribute("aria-label", `Attempt ${number}, ${state}`);
      if (number === attempt) link.setAttribute("aria-current", "true");
      const words = document.createElement("span");
      words.append(text("span", "only-phone-not", "Attempt "), String(number));
      link.append(drawIcon(state === "lost" ? "failed" : state, 13), words);
      return link;
    }),
  );
}

/**
 * Where in the whole log are the lines that are seen, the matches, and the selection.
 * @param {HTMLElement} section
 * @param {number} total
 * @param {number[]} see
 * @param {number[]} hits
 * @param {import("./log-address.js").Range | null} range
 */
export function drawRuler(section, total, [first = 1, last = 1], hits, range) {
  const [ruler, box] = [section.querySelector(".ruler"), section.querySelector(".log")];
  if (!(ruler instanceof SVGElement) || !(box instanceof HTMLElement) || !total) return;
  // Beside the scroll bar, where that takes room.
  ruler.style.right = `${box.offsetWidth - box.clientWidth}px`;
  const at = (/** @type {number} */ row) => `${((100 * (row - 1)) / total).toFixed(2)}%`;
  const tall = (/** @type {number} */ rows) => `${((100 * rows) / total).toFixed(2)}%`;
  const marks = [];
  if (range) marks.push(mark("sel", 0, 12, at(range.first), tall(range.last - range.first + 1)));
  marks.push(mark("see", 0, 12, at(first), tall(last - first + 1)));
  const every = Math.max(1, Math.ceil(hits.length / MOST_MARKS));
  for (let index = 0; index < hits.length; index += every) marks.push(mark("hit", 7, 4, at(hits[index] ?? 1), "2"));
  ruler.replaceChildren(...marks);
}

/**
 * @param {string} name
 * @param {number} x
 * @param {number} width
 * @param {string} y
 * @param {string} height
 */
function mark(name, x, width, y, height) {
  const rect = document.createElementNS(SVG, "rect");
  for (const [key, value] of Object.entries({ class: name, x, width, y, height })) rect.setAttribute(key, String(value));
  return rect;
}

/**
 * @param {string} name
 * @param {number} size
 */
function drawIcon(name, size) {
  const icon = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ width: size, height: size, viewBox: "0 0 16 16", "aria-hidden": "true" })) {
    icon.setAttribute(key, String(value));
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  icon.append(use);
  return icon;
}

/**
 * @param {string} tag
 * @param {string} name
 * @param {string} words
 */
function text(tag, name, words) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = words;
  return element;
}
