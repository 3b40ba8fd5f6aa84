// Writes times of day in the browser's zone, and how long ago something was.
// @ts-check

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const day = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

/**
 * How long, with the two largest units that say something; as the server writes it.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 9.95) return `${Math.round(Math.max(0, seconds))}\u00a0s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([number], index) => number || index === 3);
  const shown = parts.slice(first, first + 2).filter(([number], index) => number || !index);
  return shown.map(([number, unit]) => `${number}\u00a0${unit}`).join(" ");
}

/** @param {ParentNode} part */
export function showTimes(part) {
  const now = new Date();
  for (const element of part.querySelectorAll("time[datetime]")) {
    if (!(element instanceof HTMLTimeElement)) continue;
    const at = new Date(element.dateTime);
    if (element.dataset.since !== undefined) {
      put(element, `${duration((now.getTime() - at.getTime()) / 1000)} ago`);
    } else {
      const words = at.toDateString() === now.toDateString() ? clock.format(at) : day.format(at);
      const exactly = element.dataset.millis !== undefined;
      put(element, exactly ? `${words}.${String(at.getMilliseconds()).padStart(3, "0")}` : words);
    }
    if (!element.dataset.exact) {
      element.dataset.exact = "yes";
      element.title = exact.format(at);
    }
  }
  for (const element of part.querySelectorAll("[data-zone]")) put(element, `Times are ${zone}`);
}

/**
 * @param {Element} element
 * @param {string} words
 */
function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
