// Replaces the parts of the page that have changed, as the server writes them. Without it the page is whole, but still.
"use strict";

const live = document.getElementById("live");
let told = "";

function tell(text) {
  // Said once by a screen reader, and not again with every change of a number.
  if (text === told) return;
  told = text;
  live.textContent = text;
}

function replace(id, html) {
  const part = document.getElementById(id);
  // Who is in the middle of it keeps what they have: a link that is focused, a text that is selected.
  if (part === null || part.contains(document.activeElement) || selected(part)) return;
  const open = new Set([...part.querySelectorAll("details[open]")].map((each) => each.id));
  part.innerHTML = html;
  for (const each of part.querySelectorAll("details")) each.open = open.has(each.id);
}

function selected(part) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
}

const feed = new EventSource("/feed");
feed.addEventListener("parts", (event) => {
  for (const [id, html] of Object.entries(JSON.parse(event.data))) replace(id, html);
  tell("Live: the numbers move by themselves.");
});
feed.addEventListener("error", () => {
  tell("Not live: the gateway's status does not answer. Trying again; the numbers below are old.");
  // After an answer that is none (too many readers, a login) the browser does not try by itself.
  if (feed.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
});
