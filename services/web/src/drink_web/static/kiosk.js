// The kiosk: cards that type like a keyboard, one page that is never left, and the way back to the
// start. Forms are sent and answers shown here, since a browser that loads a page while the network is
// away shows a page of its own and stays there.
"use strict";

const SILENT_MS = 15000; // without a sign of life on the stream the kiosk is cut off
const RETRY_MS = 2000;
const SEND_LIMIT_MS = 12000;
const KEY_GAP_MS = 1000; // readers take some milliseconds for a key, a busy computer longer
const CARD_LENGTH_MIN = 6;
const CARD_KEY = /^[A-Za-z0-9_.-]$/;
const QUIET_SHOWN_S = 10;
const RELOAD_MS = 60 * 60 * 1000; // at the start, for a page of a newer version

const offline = document.getElementById("offline");
const began = performance.now();
let stream = null;
let heard = performance.now();
let touched = performance.now();
let sending = false;
let left = null;
let ends = null;

const main = () => document.getElementById("main");

function cutOff(isCut) {
  offline.hidden = !isCut;
  document.body.toggleAttribute("data-offline", isCut);
}

function show(html) {
  const drawn = new DOMParser().parseFromString(html, "text/html").getElementById("main");
  if (!drawn) return false;
  const focused = document.activeElement?.id;
  const before = main().dataset;
  // The same screen drawn again, such as after a lost connection, is no reason to stay longer.
  const isNew = before.kind !== drawn.dataset.kind;
  main().replaceWith(document.importNode(drawn, true));
  if (focused && focused !== "main") document.getElementById(focused)?.focus();
  if (isNew) {
    touched = performance.now();
    scrollTo(0, 0);
  }
  begin();
  return true;
}

// What is drawn counts from now on this computer's clock only.
function begin() {
  const { leftMs } = main().dataset;
  left = leftMs ? performance.now() + Number(leftMs) : null;
  const count = document.querySelector("[data-remaining-ms]");
  ends = count ? performance.now() + Number(count.dataset.remainingMs) : null;
  if (!main().dataset.quietS) touched = performance.now();
}

function follow() {
  stream?.close();
  stream = null;
  heard = performance.now();
  if (main().dataset.kind === "pair") return;
  const { page, still } = main().dataset;
  const here = new EventSource(`/kiosk/events?${new URLSearchParams({ page, still: still || "" })}`);
  const alive = (work) => (event) => {
    if (here !== stream) return;
    heard = performance.now();
    if (!sending) cutOff(false);
    work?.(event);
  };
  here.onopen = alive();
  here.onmessage = alive((event) => { if (!sending) show(event.data); });
  here.addEventListener("beat", alive());
  here.addEventListener("lost", alive(() => load()));
  here.addEventListener("reload", alive(() => load()));
  // A card at the machine's own reader.
  here.addEventListener("card", alive((event) => sendCard("ticket", event.data)));
  here.onerror = () => { if (here === stream && here.readyState === EventSource.CLOSED) heard = -SILENT_MS; };
  stream = here;
}

async function answer(url, options) {
  const got = await fetch(url, {
    ...options,
    signal: AbortSignal.timeout(SEND_LIMIT_MS),
    headers: { accept: "text/html" },
  });
  return got.text();
}

async function load() {
  if (sending) return;
  sending = true;
  try {
    const shown = show(await answer("/kiosk", {}));
    cutOff(!shown);
    if (shown) follow();
  } catch {
    cutOff(true);
  } finally {
    sending = false;
  }
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// A form in doubt is sent again as it was: the server takes the same order twice for once.
async function send(form, isPatient) {
  if (sending) return;
  sending = true;
  // Nobody else is logged in before the answer is shown.
  stream?.close();
  stream = null;
  form.querySelector("button:not([type=button])")?.setAttribute("aria-busy", "true");
  const body = new URLSearchParams(new FormData(form));
  const until = left ?? performance.now() + SEND_LIMIT_MS;
  const url = form.getAttribute("action");
  try {
    for (;;) {
      try {
        const html = await answer(url, { method: "POST", body });
        cutOff(!show(html));
        break;
      } catch {
        cutOff(true);
        if (!isPatient || performance.now() > until) break;
        await wait(RETRY_MS);
      }
    }
  } finally {
    sending = false;
    for (const each of document.querySelectorAll("[aria-busy]")) each.removeAttribute("aria-busy");
  }
  if (document.body.hasAttribute("data-offline")) await load();
  else follow();
}

function sendCard(name, value) {
  const card = document.getElementById("card");
  if (!card || sending) return;
  card.elements.number.value = "";
  card.elements.ticket.value = "";
  card.elements[name].value = value;
  send(card, false);
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  send(form, form.getAttribute("action") === "/kiosk/drops");
});

// A reader types the number of a card and Enter, wherever the focus is.
let read = "";
let readAt = 0;
addEventListener("keydown", (event) => {
  touched = performance.now();
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.timeStamp - readAt > KEY_GAP_MS) read = "";
  if (event.key === "Enter") {
    const number = read;
    read = "";
    if (number.length < CARD_LENGTH_MIN || event.target.matches?.("input:not([type=hidden])")) return;
    event.preventDefault();
    sendCard("number", number);
  } else if (CARD_KEY.test(event.key)) {
    read += event.key;
    readAt = event.timeStamp;
    // The rest of a card must not press what has the focus.
    if (read.length > 1 && !event.target.matches?.("input:not([type=hidden])")) event.preventDefault();
  }
}, true);

addEventListener("pointerdown", () => { touched = performance.now(); }, true);
document.addEventListener("click", (event) => {
  const key = event.target.closest?.("[data-key]");
  if (!key) return;
  const code = document.getElementById("code");
  code.value = key.dataset.key ? (code.value + key.dataset.key).slice(0, 8) : code.value.slice(0, -1);
});
for (const kind of ["contextmenu", "dragstart"]) addEventListener(kind, (event) => event.preventDefault());
addEventListener("offline", () => cutOff(true));
addEventListener("online", () => load());

function leave() {
  const form = document.getElementById("leave");
  if (form) send(form, false);
  else load();
}

function tick() {
  const now = performance.now();
  const count = document.querySelector("[data-remaining-ms]");
  if (count && ends !== null) {
    const text = String(Math.max(0, Math.ceil((ends - now) / 1000)));
    if (count.textContent !== text) {
      count.textContent = text;
      const unit = count.parentElement.querySelector("[data-one]");
      unit.textContent = text === "1" ? unit.dataset.one : unit.dataset.many;
    }
  }
  const quietS = Number(main().dataset.quietS || 0);
  const note = document.getElementById("quiet-left");
  if (quietS && !sending && note) {
    const remaining = Math.min(quietS - (now - touched) / 1000, left === null ? Infinity : (left - now) / 1000);
    const shown = Math.max(0, Math.ceil(remaining));
    const isShown = shown <= Math.min(QUIET_SHOWN_S, quietS - 2) && main().dataset.kind !== "start";
    note.hidden = !isShown;
    const text = isShown ? note.dataset.text.replace("{n}", shown) : "";
    if (note.textContent !== text) note.textContent = text;
    if (remaining <= 0) {
      touched = now;
      leave();
    }
  }
}
setInterval(tick, 200);

setInterval(() => {
  const again = document.querySelector("form[data-again]");
  if (again && !sending) send(again, false);
  else if (stream && performance.now() - heard > SILENT_MS) load();
  else if (document.body.hasAttribute("data-offline") && !sending) load();
  else if (main().dataset.kind === "start" && performance.now() - began > RELOAD_MS && navigator.onLine) {
    fetch("/kiosk").then((got) => { if (got.ok) location.reload(); }, () => {});
  }
}, RETRY_MS);

begin();
follow();
// The connection may have been lost before this script ran; a stream that opens says otherwise.
if (!navigator.onLine) cutOff(true);
