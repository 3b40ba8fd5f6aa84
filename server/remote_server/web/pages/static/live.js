// Draws a page again when the server says that something changed: fetches it and changes in place
// what differs (idiomorph), so that focus, selection and scrolling stay. Only a page that is being
// looked at holds a connection: a browser has six of them for a server, over all its tabs.
// @ts-check

import { Idiomorph } from "./idiomorph.js";
import { duration, showTimes } from "./times.js";

const LATE = 12_000;
const POLL = 5_000;

/** @type {EventSource | null} */
let source = null;
let updated = Date.now();
let fetching = false;
let again = false;
let held = false;

export function startLive() {
  const status = document.querySelector(".live[data-live]");
  if (!status || status.getAttribute("data-live") === "ended") return;
  status.addEventListener("click", hold);
  document.addEventListener("keydown", (event) => {
    if (event.key === "p" && event.target === document.body) hold();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  setInterval(show, 1000);
  open();
}

function open() {
  if (source || document.hidden) return;
  source = new EventSource(`${document.body.dataset.root ?? "./"}live`);
  source.addEventListener("changed", () => void draw());
  source.addEventListener("open", () => void draw());
  source.addEventListener("error", () => {
    // A proxy may forbid streams, a restarted server answer later: ask now and then, and try again.
    close();
    setTimeout(() => {
      void draw();
      open();
    }, POLL);
  });
}

function close() {
  source?.close();
  source = null;
}

function hold() {
  held = !held;
  if (!held) void draw();
  show();
}

async function draw() {
  if (held) return;
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (new URL(answer.url).pathname !== location.pathname) location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = document.querySelector("main");
    const fresh = page.querySelector("main");
    if (!main || !fresh) return;
    showTimes(fresh);
    Idiomorph.morph(main, fresh, { ignoreActiveValue: true, callbacks: { beforeNodeMorphed: mayChange, beforeNodeRemoved: mayGo, beforeAttributeUpdated: mayTurn } });
    const nav = document.querySelector(".nav");
    const freshNav = page.querySelector(".nav");
    if (nav && freshNav) Idiomorph.morph(nav, freshNav);
    updated = Date.now();
    document.dispatchEvent(new Event("redrawn"));
  } catch {
    // The server is away: `show` says since when.
  } finally {
    fetching = false;
    show();
    if (again) {
      again = false;
      setTimeout(() => void draw(), 250);
    }
  }
}

/**
 * What the page itself keeps: open dialogs and menus, the log, messages.
 * @param {Node} old
 */
function mayChange(old) {
  return !(old instanceof Element && (old.matches("[data-keep], dialog[open], details[open] > summary") || old.matches(":popover-open")));
}

/**
 * Whether somebody looks into it stays as they left it.
 * @param {string} name
 * @param {Element} element
 */
function mayTurn(name, element) {
  return !(name === "open" && element instanceof HTMLDetailsElement);
}

/** @param {Node} old */
function mayGo(old) {
  return !(old instanceof Element && old.matches(".toast, [data-keep], dialog[open]"));
}

function show() {
  const status = document.querySelector(".live[data-live]");
  if (!(status instanceof HTMLElement) || status.dataset.live === "ended") return;
  const words = status.querySelector("span");
  const silent = Date.now() - updated;
  const state = held ? "held" : silent > LATE ? "away" : "on";
  if (status.dataset.live !== state) status.dataset.live = state;
  if (!words) return;
  const ago = duration(Math.round(silent / 1000));
  words.textContent = held
    ? "Held by you"
    : silent > LATE
      ? `Reconnecting · known ${ago} ago`
      : `Live · updated ${ago} ago`;
}
