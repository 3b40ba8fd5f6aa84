// Keys: Ctrl K to go somewhere, g and a letter for a page, / for the filter, j and k in lists.
// @ts-check

const pages = new Map([["o", ""], ["a", "agents"], ["q", "queues"], ["j", "jobs"]]);
let going = 0;

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      focus(".goto input");
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) {
      single(event);
    }
  });
}

/** @param {KeyboardEvent} event */
function single(event) {
  const page = pages.get(event.key);
  if (going && page !== undefined && Date.now() - going < 1500) {
    location.href = (document.body.dataset.root ?? "./") + page;
  } else if (event.key === "/") {
    event.preventDefault();
    focus("[data-filter]");
  } else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  going = event.key === "g" ? Date.now() : 0;
}

/** @param {number} by */
function move(by) {
  const links = [...document.querySelectorAll("main tbody td.name a, main tbody th a")];
  const at = links.findIndex((link) => link === document.activeElement);
  const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
  if (next instanceof HTMLElement) next.focus();
}

/** @param {string} selector */
function focus(selector) {
  const field = document.querySelector(selector);
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}

/** @param {EventTarget | null} target */
function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, select, textarea, dialog *"));
}
