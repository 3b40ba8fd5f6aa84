// What every page does beyond links and forms: theme, times, copying, keys, and drawing itself again
// when something changed. Pages work without it; they only stand still then.
// @ts-check

import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { showTimes } from "./times.js";

const root = document.documentElement;
const themes = ["auto", "light", "dark"];

/** @param {string} theme */
function showTheme(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.setAttribute("aria-label", `Theme: ${theme}`);
    button.setAttribute("title", `Theme: ${theme}`);
    for (const icon of button.querySelectorAll("svg")) {
      icon.toggleAttribute("hidden", icon.dataset.for !== theme);
    }
  }
}

function nextTheme() {
  const theme = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
  // The server draws it from the cookie, so that a page never flashes.
  const base = new URL(document.body.dataset.root ?? "./", location.href).pathname;
  document.cookie = `remote_theme=${theme}; Path=${base}; Max-Age=31536000; SameSite=Lax`;
  showTheme(theme);
}

/** @param {Element} button */
async function copy(button) {
  const text = button.closest(".cmd")?.querySelector("pre")?.textContent ?? button.getAttribute("data-copy") ?? "";
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("The browser does not let this page copy: select the text instead.");
  }
}

/**
 * Show a sentence for a few seconds.
 * @param {string} words
 */
export function say(words) {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.setAttribute("role", "status");
  toast.textContent = words;
  document.querySelector(".toasts")?.append(toast);
  setTimeout(() => toast.remove(), 6000);
}

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const copying = event.target.closest("[data-copy]");
  const opening = event.target.closest("[data-opens]");
  const closing = event.target.closest("[data-closes]");
  if (event.target.closest("[data-theme-toggle]")) nextTheme();
  else if (copying) void copy(copying);
  else if (opening) {
    const dialog = document.getElementById(opening.getAttribute("data-opens") ?? "");
    if (dialog instanceof HTMLDialogElement) dialog.showModal();
  } else if (closing) closing.closest("dialog")?.close();
});

document.addEventListener("said", (event) => {
  if (event instanceof CustomEvent) say(String(event.detail));
});

for (const toast of document.querySelectorAll("[data-toast]")) {
  setTimeout(() => toast.remove(), 6000);
}
if (new URLSearchParams(location.search).has("done")) {
  // Said once: not again when the page is loaded again.
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(history.state, "", address);
}

// A form that came back with faults.
const open = document.querySelector("dialog[data-open]");
if (open instanceof HTMLDialogElement) open.showModal();

showTheme(root.dataset.theme ?? "auto");
showTimes(document);
setInterval(() => showTimes(document), 1000);
startKeys();
startLive();
