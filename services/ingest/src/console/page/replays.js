// Reports of replays: another version's answers beside those that were given.

import { get } from "./api.js";
import { bar, chip, count, el, find, milliseconds, percent, time } from "./dom.js";

const EVERY_MS = 10000;
let found = null;
let fromFile = null;
let problem = "";
let read = 0;
let drawn = "";

export function open(view, state) {
  found = null;
  read = 0;
  drawn = "";
  view.append(el("p", { class: "empty" }, "Reading the replays…"));
  if (state.picture) update(view, state);
}

export async function update(view, state) {
  if (Date.now() - read < EVERY_MS) return;
  read = Date.now();
  try {
    found = (await get("/console/api/replays")).replays;
    problem = "";
  } catch (error) {
    found = found || [];
    problem = error.message;
  }
  if (view.className === "replays") draw(view, state);
}

function draw(view, state) {
  const now = JSON.stringify([found, fromFile, problem]);
  if (now === drawn) return;
  drawn = now;
  const file = el("input", { type: "file", id: "report-file", accept: ".json,application/json", onchange: () => file.files[0] && load(view, state, file.files[0]) });
  const parts = [el("div", { class: "choice" }, el("div", { class: "field" }, el("label", { for: "report-file" }, "A report from a file (--out)"), file))];
  if (problem) parts.push(el("p", { class: "trouble", role: "alert" }, problem));
  if (fromFile) parts.push(report(fromFile));
  for (const page of found) parts.push(page.report ? report(page.report) : unfinished(page.plan));
  if (!found.length && !fromFile) {
    const prefix = state.picture.prefix;
    parts.push(el("div", { class: "empty" }, el("p", {}, "No replays yet. This runs two hours of requests through version 2 and compares:"),
      el("pre", {}, `millrace --prefix ${prefix} replay --model MODEL@2 --from 2h --to results.shadow`)));
  }
  view.replaceChildren(...parts);
}

async function load(view, state, file) {
  try {
    const given = JSON.parse(await file.text());
    if (typeof given.replay !== "string" || typeof given.compared !== "number") throw new Error("no report");
    fromFile = given;
    problem = "";
  } catch {
    problem = `${file.name} is no report of millrace replay`;
  }
  draw(view, state);
  find("report-file")?.focus();
}

function unfinished(plan) {
  return el("section", { class: "card" }, el("h2", {}, `${plan.model} version ${plan.version}`, chip("not finished", "busy")),
    el("p", { class: "soft" }, `Begun ${time(plan.begun_unix_ms)} UTC, into ${plan.to}. The same command goes on where it stands.`));
}

function report(it) {
  return el("section", { class: "card report" },
    el("h2", {}, `${it.model} version ${it.version}`, el("span", { class: "soft" }, `${time(it.finished_unix_ms)} UTC, ${count(it.results)} results in ${it.to}`)),
    el("div", { class: "figures" },
      figure("Agreement", percent(it.agreement), `${count(it.agreeing)} of ${count(it.compared)} within ${it.tolerance}`, it.agreement),
      it.top1 ? figure("Top-1", percent(it.top1.agreement), `${count(it.top1.agreeing)} of ${count(it.top1.rows)} rows`, it.top1.agreement) : null,
      figure("Latency", milliseconds(it.latency.p50_ms), `99 %: ${milliseconds(it.latency.p99_ms)}, longest ${milliseconds(it.latency.max_ms)}`),
      figure("Before", it.latency_before.count ? milliseconds(it.latency_before.p50_ms) : "–", it.latency_before.count ? `99 %: ${milliseconds(it.latency_before.p99_ms)}` : "not known")),
    apart(it), differences(it));
}

function figure(name, value, about, part) {
  return el("div", { class: "figure" }, el("span", { class: "name" }, name), el("strong", {}, value), part === undefined || part === null ? null : bar(part, part < 0.95 ? "warn" : "good"), el("span", { class: "soft" }, about));
}

const WHY = {
  no_original: "were not answered before", failed: "failed, and did not before", original_failed: "failed before, and do not now", both_failed: "failed, then as now",
  other_outputs: "have other outputs", other_dtypes: "have an output of another type", other_shapes: "have an output of another shape", unreadable: "cannot be read",
};

function apart(it) {
  const some = Object.entries(it.apart).filter(([, number]) => number > 0);
  const failures = Object.entries(it.failures);
  if (!some.length && !failures.length) return null;
  return el("p", {}, "Not compared: ", some.map(([name, number]) => `${count(number)} ${WHY[name] || name}`).join("; "), failures.length ? `. Failures: ${failures.map(([name, number]) => `${count(number)} ${name}`).join(", ")}` : "", ".");
}

function differences(it) {
  if (!it.largest_differences.length) return el("p", { class: "good" }, "All answers that were compared agree.");
  return el("div", { class: "scroll" }, el("table", { class: "wide" }, el("caption", {}, "Largest differences"),
    el("thead", {}, el("tr", {}, ["Difference", "Output", "Row", "Before", "Now", "Key", "Request"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, it.largest_differences.map((one) => el("tr", {},
      el("td", { class: "mono" }, one.amount === null ? "–" : String(Number(one.amount.toPrecision(4)))), el("td", {}, one.output), el("td", {}, one.row),
      el("td", { class: "mono" }, number(one.before)), el("td", { class: "mono" }, number(one.now)), el("td", {}, one.key ?? "–"), el("td", { class: "mono" }, one.request))))));
}

function number(text) {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? String(Number(value.toPrecision(6))) : text;
}
