// What the pages do beside plain forms and htmx: countdowns, buttons that were pressed.
"use strict";

const ends = new WeakMap();

// The server sends what remains; only this computer's own count goes on from there.
function countDown() {
  for (const each of document.querySelectorAll("[data-remaining-ms]")) {
    const given = each.dataset.remainingMs;
    let end = ends.get(each);
    if (!end || end.given !== given) {
      end = { given, at: performance.now() + Number(given) };
      ends.set(each, end);
    }
    const text = String(Math.max(0, Math.ceil((end.at - performance.now()) / 1000)));
    if (each.textContent === text) continue;
    each.textContent = text;
    const unit = each.parentElement.querySelector("[data-one]");
    unit.textContent = text === "1" ? unit.dataset.one : unit.dataset.many;
  }
}

function connected(isConnected) {
  document.documentElement.toggleAttribute("data-offline", !isConnected);
}

// The server takes a form twice for once; this only shows that it was sent.
document.addEventListener("submit", (event) => {
  const form = event.target;
  // Told before it is sent; the server refuses it too.
  const file = form.querySelector("[type=file]")?.files[0];
  if (file && file.size > Number(form.dataset.bytesMax)) {
    event.preventDefault();
    document.getElementById("picture-large").hidden = false;
    return;
  }
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's memory may be sent again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

// htmx connects an open stream again, but not one whose first request failed.
const followed = new WeakSet();
function follow() {
  for (const each of document.querySelectorAll("[hx-sse\\:connect]")) {
    if (followed.has(each) || document.hidden) continue;
    const url = each.getAttribute("hx-sse:connect");
    htmx.ajax("GET", url, { source: each, swap: "none" }).catch(() => connected(false));
  }
}
setInterval(follow, 3000);

// A stream that misses its signs of life is dead, though nobody told the browser: the computer slept, or
// a router forgot the connection. Given up here, htmx opens it again, and it begins with what is so now.
const silentMs = Number(document.body.dataset.silentMs);
const heard = new Map();
function hear(event) {
  heard.set(event.target, { connection: event.detail.connection, at: Date.now() });
}
setInterval(() => {
  for (const each of heard.values()) {
    if (document.hidden || Date.now() - each.at < silentMs) continue;
    each.at = Date.now();
    connected(false);
    each.connection.reader?.cancel();
  }
}, 1000);

// Where there are too many streams, a drop on its way is loaded again, as it is without scripts.
function refused(element, status) {
  const seconds = Number(element.dataset?.refusedS || 0);
  if (status === 429 && seconds) setTimeout(() => location.reload(), seconds * 1000);
}
document.addEventListener("htmx:response:error", (event) => {
  refused(event.target, event.detail.ctx.response.status);
});

document.addEventListener("htmx:sse:error", (event) => {
  // The login has ended: the page itself leads to a new one.
  if (event.detail?.status === 401) location.reload();
  refused(event.target, event.detail?.status);
  connected(false);
});
document.addEventListener("htmx:sse:after:connection", (event) => {
  followed.add(event.target);
  hear(event);
  connected(true);
});
document.addEventListener("htmx:sse:close", (event) => {
  heard.delete(event.target);
  if (event.detail.reason !== "message") followed.delete(event.target);
});
// What the page shows is no longer kept where it was.
document.addEventListener("reload", () => location.reload());
document.addEventListener("htmx:sse:after:message", (event) => {
  hear(event);
  countDown();
  narrow();
});
// What is typed narrows what is shown at once; the server looks for the rest.
const search = document.getElementById("search");
const searched = search?.hasAttribute("data-searched") ? search.value.trim().toLowerCase() : "";
let searching = 0;
function narrow() {
  if (!search) return;
  const text = search.value.trim().toLowerCase();
  let found = 0;
  for (const machine of document.querySelectorAll(".machine")) {
    let here = 0;
    for (const tile of machine.querySelectorAll(".tile")) {
      const fits = tile.querySelector("h3").textContent.toLowerCase().includes(text);
      tile.hidden = !fits;
      here += fits;
    }
    machine.hidden = text !== "" && !here;
    found += here;
  }
  document.getElementById("nothing").hidden = text === "" || found > 0 || searched !== "";
  clearTimeout(searching);
  if (!text.includes(searched)) searching = setTimeout(() => search.form.requestSubmit(), 600);
}
search?.addEventListener("input", narrow);

window.addEventListener("offline", () => connected(false));
window.addEventListener("online", () => connected(true));
// The connection may have been lost before this script ran; a stream that opens says otherwise.
if (!navigator.onLine) connected(false);

const reloadS = Number(document.body.dataset.reloadS || 0);
if (reloadS) setTimeout(() => location.reload(), reloadS * 1000);

countDown();
narrow();
setInterval(countDown, 200);
