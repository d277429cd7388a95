// Dead letters: what failed and why, and back to where it came from.

import { get, post } from "./api.js";
import { ago, bytes, chip, el, find, sure, time } from "./dom.js";

let chosen = new Set();
let found = null;
let problem = "";
let seen = null;

export function open(view, state) {
  chosen = new Set();
  found = null;
  seen = null;
  view.append(el("p", { class: "empty" }, "Reading the dead letters…"));
  if (state.picture) update(view, state);
}

export function update(view, { picture }) {
  // Read again only when something was written.
  if (seen === picture.dead_letters && found) return;
  seen = picture.dead_letters;
  read(view, picture);
}

async function read(view, picture) {
  try {
    const model = find("letters-model")?.value || "";
    found = await get(`/console/api/dead-letters?model=${encodeURIComponent(model)}`);
    problem = "";
  } catch (error) {
    found = found || { letters: [], more: false };
    problem = error.message;
  }
  if (view.className === "letters") draw(view, picture);
}

function draw(view, picture) {
  const list = found.letters;
  chosen = new Set([...chosen].filter((place) => list.some((it) => it.letter === place && !it.requeued)));
  const model = find("letters-model")?.value || "";
  const models = [...new Set([...picture.models.map((it) => it.model), ...list.map((it) => it.model)])].filter(Boolean).sort();
  const filter = el("select", { id: "letters-model", onchange: () => read(view, picture) },
    el("option", { value: "" }, "all models"), models.map((name) => el("option", { value: name, selected: name === model }, name)));
  const button = el("button", { type: "button", id: "requeue", onclick: () => requeue(view, picture) });
  const label = () => {
    button.textContent = chosen.size ? `Write ${chosen.size} back` : "Write back";
    button.disabled = !chosen.size || !picture.control_enabled;
  };
  label();
  const bar = el("div", { class: "choice" },
    el("div", { class: "field" }, el("label", { for: "letters-model" }, "Model"), filter), button,
    picture.control_enabled ? null : el("p", { class: "soft" }, "Writing back is off; the setting control.enabled turns it on."));
  const parts = [bar];
  if (problem) parts.push(el("p", { class: "trouble", role: "alert" }, problem));
  if (!list.length) parts.push(el("p", { class: "empty" }, "No dead letters. Every record so far was answered."));
  else parts.push(table(list, picture, label));
  if (found.more) parts.push(el("p", { class: "soft" }, "There are older ones; millrace dead-letters list --all shows them."));
  const focused = document.activeElement?.id;
  view.replaceChildren(...parts);
  if (focused) find(focused)?.focus();
}

function table(list, picture, label) {
  const boxes = [];
  const all = el("input", { type: "checkbox", "aria-label": "Choose all", onchange: () => {
    for (const box of boxes.filter((it) => !it.disabled)) {
      box.checked = all.checked;
      box.dispatchEvent(new Event("change"));
    }
  } });
  const rows = list.map((it) => row(it, picture, boxes, label));
  return el("div", { class: "scroll" }, el("table", { class: "wide letters-table" },
    el("thead", {}, el("tr", {}, el("th", {}, all), ["Failed", "Model", "Stage", "Code", "Reason"].map((name) => el("th", { scope: "col" }, name)))),
    rows));
}

function row(it, picture, boxes, label) {
  const control = picture.models.find((model) => model.model === it.model)?.may_control ?? picture.control_enabled;
  const box = el("input", {
    type: "checkbox", "aria-label": `Choose letter ${it.letter}`, disabled: it.requeued || it.value_bytes === null || !control,
    onchange: () => {
      if (box.checked) chosen.add(it.letter);
      else chosen.delete(it.letter);
      label();
    },
  });
  box.checked = chosen.has(it.letter);
  boxes.push(box);
  const more = el("tr", { class: "more", hidden: true }, el("td", {}), el("td", { colspan: 5 }, facts(it)));
  const toggle = el("button", { type: "button", class: "link", "aria-expanded": "false", onclick: () => {
    more.hidden = !more.hidden;
    toggle.setAttribute("aria-expanded", String(!more.hidden));
  } }, it.reason || "no reason given");
  return el("tbody", {}, el("tr", { class: it.requeued ? "done" : "" },
    el("td", {}, box), el("td", { title: `${time(it.failed_at_unix_ms)} UTC` }, ago(it.failed_at_unix_ms)),
    el("td", {}, it.model), el("td", {}, it.stage), el("td", {}, chip(it.code, "bad")),
    el("td", {}, it.requeued ? chip("written back", "good") : null, " ", toggle)), more);
}

function facts(it) {
  const list = [["Letter", it.letter], ["Record", it.source], ["Failed", `${time(it.failed_at_unix_ms)} UTC, attempts: ${it.attempts}`], ["Key", it.key ?? "none"], ["Value", bytes(it.value_bytes)], ...it.headers.map(([name, value]) => [name, value])];
  return el("dl", {}, list.map(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, value)]).flat());
}

async function requeue(view, picture) {
  const letters = [...chosen];
  const text = "The records go back to the topics they came from, with their keys and headers, and are tried once more. All of them, or none.";
  if (!(await sure(`Write ${letters.length} back?`, text, "Write back"))) return;
  try {
    await post("/console/api/dead-letters/requeue", { letters });
    chosen = new Set();
  } catch (error) {
    await read(view, picture);
    problem = error.message;
    draw(view, picture);
    return;
  }
  read(view, picture);
}
