// Try a prediction: draw, drop an image, or write JSON.

import { post } from "./api.js";
import { bar, el, milliseconds } from "./dom.js";
import { shape } from "./models.js";
import { Pad, imageOf } from "./pad.js";

const PAUSE_MS = 150;
const MOST_BARS = 20;

/** What is on the page now. */
let form = null;

export function open(view, state, argument) {
  form = { wanted: argument, choices: "" };
  view.append(el("p", { class: "empty" }, "Reading the models…"));
  if (state.picture) update(view, state);
}

export function choose(view, state, argument) {
  form.wanted = argument;
  form.choices = "";
}

export function update(view, { picture }) {
  const models = picture.models.filter((it) => it.may_predict && it.versions.some(isServed));
  const choices = JSON.stringify(models.map((it) => [it.model, it.versions.filter(isServed).map((version) => [version.version, version.inputs])]));
  // Whoever is drawing is left alone.
  if (choices === form.choices) return;
  form.choices = choices;
  if (!models.length) {
    view.replaceChildren(el("p", { class: "empty" }, "No model is served that you may use."));
    return;
  }
  const model = select("Model", "try-model", models.map((it) => [it.model, it.model]));
  const version = select("Version", "try-version", []);
  const room = el("div", { class: "room" });
  const fill = () => {
    const served = models.find((it) => it.model === model.input.value).versions.filter(isServed);
    // As a request gets it that names none.
    const usual = served.find((it) => it.labels.includes("stable")) || served[0];
    version.input.replaceChildren(...served.map((it) => el("option", { value: it.version, selected: it === usual }, [it.version, ...it.labels].join(" "))));
    build();
  };
  const build = () => {
    const served = models.find((it) => it.model === model.input.value).versions.find((it) => String(it.version) === version.input.value);
    room.replaceChildren(...bench(model.input.value, served));
  };
  if (models.some((it) => it.model === form.wanted)) model.input.value = form.wanted;
  model.input.addEventListener("change", fill);
  version.input.addEventListener("change", build);
  view.replaceChildren(el("div", { class: "choice" }, model.box, version.box), room);
  fill();
}

const isServed = (version) => version.state === "AVAILABLE";

function select(title, id, options) {
  const input = el("select", { id }, options.map(([value, text]) => el("option", { value }, text)));
  return { input, box: el("div", { class: "field" }, el("label", { for: id }, title), input) };
}

/** What is asked at the left, what is answered at the right. */
function bench(model, version) {
  const answer = el("div", { class: "answer", "aria-live": "polite" }, el("p", { class: "soft" }, "The answer stands here."));
  const path = `/v1/models/${encodeURIComponent(model)}/versions/${version.version}:predict`;
  const body = el("textarea", { id: "try-body", spellcheck: "false", rows: 12, "aria-label": "Request body, JSON" });
  const send = () => ask(path, body.value, answer);
  const asked = el("section", { class: "card asked" }, el("h2", {}, "Ask"));
  const image = version.inputs.length === 1 ? imageOf(version.inputs[0]) : null;
  if (image) asked.append(drawing(image, body, send));
  const picked = version.inputs.length === 1 && version.inputs[0].dtype === "BYTES" ? bytesOf(body, send) : null;
  body.value = pretty({ instances: [example(version.inputs)] });
  const json = el("details", { open: !image }, el("summary", {}, image ? "As JSON" : "JSON"), body);
  asked.append(...[picked, json].filter(Boolean), el("button", { type: "button", id: "try-send", onclick: send }, "Ask the model"));
  asked.append(el("p", { class: "soft" }, version.inputs.map((it) => `${it.name} ${it.dtype} ${shape(it.shape)}`).join("; ")));
  return [asked, el("section", { class: "card" }, el("h2", {}, "Answer"), answer)];
}

function drawing(image, body, send) {
  const most = el("select", { id: "try-most" }, [1, 16, 255].map((value) => el("option", { value, selected: value === image.most }, `0 to ${value}`)));
  const problem = el("p", { class: "bad", role: "alert" });
  let timer = null;
  const changed = (sentence) => {
    problem.textContent = sentence || "";
    body.value = compact({ instances: [pad.instance(Number(most.value))] });
    clearTimeout(timer);
    if (!pad.isEmpty && !sentence) timer = setTimeout(send, PAUSE_MS);
  };
  const pad = new Pad(image, (sentence) => changed(sentence));
  most.addEventListener("change", () => changed());
  const file = el("input", { type: "file", accept: "image/*", id: "try-file", onchange: () => file.files[0] && pad.load(file.files[0]) });
  return el("div", { class: "drawing" }, pad.canvas, el("div", { class: "tools" },
    el("p", {}, "Draw, or drop an image."),
    el("button", { type: "button", class: "quiet", id: "try-clear", onclick: () => { pad.clear(); changed(); } }, "Clear"),
    el("div", { class: "field" }, el("label", { for: "try-most" }, "Values"), most),
    el("div", { class: "field" }, el("label", { for: "try-file" }, "Image file"), file), problem));
}

/** A file as it is, for models that read encoded images themselves. */
function bytesOf(body, send) {
  const take = async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    body.value = compact({ instances: [{ b64: btoa(text) }] });
    send();
  };
  const file = el("input", { type: "file", id: "try-file", onchange: () => file.files[0] && take(file.files[0]) });
  return el("div", { class: "drop", ondragover: (event) => event.preventDefault(), ondrop: (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); } },
    el("label", { for: "try-file" }, "Drop a file here, or choose one"), file);
}

async function ask(path, body, answer) {
  const mine = (form.asked = (form.asked || 0) + 1);
  answer.classList.add("waits");
  const began = performance.now();
  let parts;
  try {
    const result = await post(path, body);
    parts = answered(result, performance.now() - began);
  } catch (error) {
    parts = [el("p", { class: "bad" }, error.message)];
  }
  if (mine !== form.asked) return;
  answer.classList.remove("waits");
  answer.replaceChildren(...parts);
}

function answered(result, took) {
  const parts = [el("p", { class: "soft" }, `Answered in ${milliseconds(Math.round(took))}.`)];
  (result.predictions || []).slice(0, 8).forEach((row, index, rows) => {
    if (rows.length > 1) parts.push(el("h3", {}, `Row ${index}`));
    const outputs = row !== null && typeof row === "object" && !Array.isArray(row) ? Object.entries(row) : [["", row]];
    for (const [name, value] of outputs) parts.push(output(name, value));
  });
  parts.push(el("details", {}, el("summary", {}, "As JSON"), el("pre", {}, pretty(result))));
  return parts;
}

function output(name, value) {
  const title = name ? el("h3", {}, name) : null;
  const isVector = Array.isArray(value) && value.length > 1 && value.every((it) => typeof it === "number");
  if (!isVector) return el("div", { class: "output" }, title, el("strong", { class: Array.isArray(value) ? "mono" : "big" }, compact(value)));
  const top = Math.max(...value);
  const ranked = value.map((number, index) => [index, number]);
  const shown = value.length <= MOST_BARS ? ranked : ranked.sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS);
  const low = Math.min(0, ...value);
  return el("div", { class: "output" }, title, el("table", { class: "bars" }, el("tbody", {}, shown.map(([index, number]) =>
    el("tr", { class: number === top ? "top" : "" }, el("th", { scope: "row" }, index), el("td", {}, bar((number - low) / (top - low || 1))), el("td", { class: "mono" }, short(number)))))));
}

const short = (number) => (Math.abs(number) >= 0.001 || number === 0 ? String(Math.round(number * 10000) / 10000) : number.toExponential(1));
const pretty = (value) => JSON.stringify(value, null, 1);
const compact = (value) => JSON.stringify(value);

/** An instance of zeros that fits the signature. */
function example(inputs) {
  const filled = (sizes, dtype) => {
    if (!sizes.length) return { BOOL: false, STRING: "text", BYTES: { b64: "" } }[dtype] ?? 0;
    return Array.from({ length: sizes[0] < 0 ? 2 : Math.min(sizes[0], 4096) }, () => filled(sizes.slice(1), dtype));
  };
  const values = inputs.map((it) => [it.name, filled(it.shape.slice(1), it.dtype)]);
  return values.length === 1 ? values[0][1] : Object.fromEntries(values);
}
