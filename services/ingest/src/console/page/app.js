// Which part is shown, and the picture of the line that all parts share, fetched while somebody looks.

import { get, key, setKey } from "./api.js";
import { count, el, find } from "./dom.js";
import * as letters from "./letters.js";
import * as line from "./line.js";
import * as models from "./models.js";
import * as predict from "./predict.js";
import * as replays from "./replays.js";

const PARTS = { line, models, try: predict, letters, replays };
const INTERVAL_MS = 2000;
const KEPT = 60;

/** What all parts know: the newest picture and those before it. */
const state = { picture: null, history: [], show };
let shown = null;
let timer = null;
let tick = 0;

function wanted() {
  const [name, argument] = location.hash.slice(1).split("/");
  return [Object.hasOwn(PARTS, name) ? name : "line", argument ? decodeURIComponent(argument) : ""];
}

function show() {
  const [name, argument] = wanted();
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.hash === `#${name}`;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = find("view");
  if (shown !== name) {
    view.replaceChildren();
    view.className = name;
    shown = name;
    PARTS[name].open(view, state, argument);
  } else if (argument && PARTS[name].choose) {
    PARTS[name].choose(view, state, argument);
  }
  if (state.picture) PARTS[name].update(view, state);
}

function trouble(sentence) {
  const place = find("trouble");
  place.hidden = !sentence;
  place.textContent = sentence || "";
}

function pulse(text, kind) {
  const place = find("pulse");
  // Said aloud only when it changes.
  if (place.textContent !== text) place.textContent = text;
  place.className = `pulse ${kind}`;
}

async function look() {
  clearTimeout(timer);
  const mine = ++tick;
  try {
    const picture = await get("/console/api/line");
    if (mine !== tick) return;
    state.picture = picture;
    state.history.push(picture);
    state.history.splice(0, Math.max(0, state.history.length - KEPT));
    find("prefix").textContent = picture.prefix;
    const letters = picture.dead_letters;
    find("letters-count").hidden = !letters;
    find("letters-count").textContent = count(letters);
    trouble(picture.problem ? `Kafka: ${picture.problem}` : "");
    pulse("Live", "good");
    PARTS[shown].update(find("view"), state);
  } catch (error) {
    if (mine !== tick) return;
    refused(error);
  }
  if (!document.hidden) timer = setTimeout(look, INTERVAL_MS);
}

function refused(error) {
  if (error.status === 401) {
    pulse("Key needed", "bad");
    if (!find("key-dialog").open) askForKey(key() ? error.message : "");
  } else {
    pulse("No answer", "bad");
    trouble(error.message);
  }
}

function askForKey(problem) {
  find("key-problem").textContent = problem;
  find("key-input").value = "";
  find("key-dialog").showModal();
}

find("key").addEventListener("click", () => askForKey(""));
find("key-dialog").addEventListener("close", () => {
  const choice = find("key-dialog").returnValue;
  const secret = find("key-input").value.trim();
  find("key-input").value = "";
  if (choice === "use" && secret) setKey(secret);
  if (choice === "forget") setKey("");
  state.history = [];
  look();
});
window.addEventListener("hashchange", () => {
  show();
  window.scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
window.addEventListener("unhandledrejection", (event) => trouble(String(event.reason)));

find("view").replaceChildren(el("p", { class: "empty" }, "Reading the line…"));
show();
look();
