// The models: versions, states, labels, signatures and replicas.

import { chip, count, el, milliseconds, time } from "./dom.js";

let drawn = "";
let wanted = "";

export function open(view, state, argument) {
  drawn = "";
  wanted = argument;
  view.append(el("p", { class: "empty" }, "Reading the models…"));
}

export function choose(view, state, argument) {
  wanted = argument;
  drawn = "";
}

export function update(view, { picture }) {
  // Leases run down all the time; nothing else is drawn anew for that.
  const now = JSON.stringify(picture.models, (name, value) => (name === "lease_left_ms" || name === "backlog_records" ? undefined : value));
  if (now === drawn) return;
  drawn = now;
  const opened = new Set([...view.querySelectorAll("details[open]")].map((it) => it.id));
  const focused = document.activeElement?.closest("details")?.id;
  const models = picture.models.map((it) => section(it, opened));
  view.replaceChildren(...(models.length ? models : [el("p", { class: "empty" }, "No model is served.")]));
  if (focused) view.querySelector(`#${CSS.escape(focused)} summary`)?.focus({ preventScroll: true });
  if (wanted) {
    view.querySelector(`[data-model="${CSS.escape(wanted)}"]`)?.scrollIntoView({ block: "start" });
    wanted = "";
  }
}

function section(it, opened) {
  return el("section", { class: "card", "data-model": it.model },
    el("h2", {}, it.model,
      it.may_predict ? el("a", { class: "button small", href: `#try/${encodeURIComponent(it.model)}` }, "Try it") : null),
    it.versions.map((version, index) => details(it, version, opened, index === 0)));
}

function details(it, version, opened, isFirst) {
  const id = `v-${it.model}-${version.version}`;
  const isOpen = opened.size ? opened.has(id) : isFirst;
  return el("details", { id, open: isOpen },
    el("summary", {},
      el("strong", {}, `Version ${version.version}`),
      chip(version.state.toLowerCase(), state(version.state)),
      version.labels.map((label) => chip(label, "label")),
      version.canary_percent ? chip(`canary, ${version.canary_percent} %`, "busy") : null,
      el("span", { class: "soft" }, `${version.engine || "no engine"}, ${count(version.replicas.length)} replica${version.replicas.length === 1 ? "" : "s"}`)),
    version.reason ? el("p", { class: "bad" }, version.reason) : null,
    el("div", { class: "signature" }, tensors("Inputs", version.inputs), tensors("Outputs", version.outputs)),
    facts(version),
    replicas(version));
}

function state(name) {
  return { AVAILABLE: "good", LOADING: "busy", UNLOADING: "busy", FAILED: "bad", GONE: "bad" }[name] || "soft";
}

function tensors(title, list) {
  return el("table", {}, el("caption", {}, title), el("tbody", {}, list.map((it) =>
    el("tr", {}, el("th", { scope: "row" }, it.name), el("td", {}, it.dtype), el("td", { class: "mono" }, shape(it.shape))))));
}

/** [any, 8, 8]: what is open may be any number. */
export function shape(sizes) {
  return `[${sizes.map((size) => (size < 0 ? "any" : size)).join(", ")}]`;
}

function facts(version) {
  const answered = version.answered;
  const list = [
    ["Weights", version.weights_sha256 ? `SHA-256 ${version.weights_sha256}` : "not known"],
    ["Batches", version.max_batch_rows ? `up to ${count(version.max_batch_rows)} rows` : "not known"],
    ["Answered here", answered.requests ? `${count(answered.requests)} requests, ${count(answered.rows)} rows, ${count(answered.failed)} failed; ${milliseconds(answered.total_ms / answered.requests)} on average; last ${time(answered.last_unix_ms)} UTC` : "nothing yet"],
  ];
  return el("dl", {}, list.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
}

function replicas(version) {
  if (!version.replicas.length) return el("p", { class: "soft" }, "No replica is alive.");
  return el("table", { class: "wide" }, el("caption", {}, "Replicas"),
    el("tbody", {}, version.replicas.map((it) => el("tr", {},
      el("th", { scope: "row", class: "mono" }, it.replica),
      el("td", {}, chip(it.state.toLowerCase(), state(it.state))),
      el("td", {}, it.reason || "lease holds")))));
}
