// The line as it is: ingest → requests → infer → results → sink, a row per model.

import { chip, count, el, milliseconds, rate, spark } from "./dom.js";

/** Rates are those of about so much time. */
const WINDOW_MS = 10000;

export function open(view) {
  view.append(el("p", { class: "empty" }, "Reading the line…"));
}

/** Growth per second of a number that only grows, over the last seconds; null where it is not known. */
export function growth(history, read) {
  const newest = history.at(-1);
  const from = history.find((it) => newest.now_unix_ms - it.now_unix_ms <= WINDOW_MS);
  return between(from, newest, read);
}

function between(before, after, read) {
  const [a, b] = [read(before), read(after)];
  const seconds = (after.now_unix_ms - before.now_unix_ms) / 1000;
  if (seconds <= 0 || typeof a !== "number" || typeof b !== "number") return null;
  return Math.max(0, (b - a) / seconds);
}

/** The growth from each picture to the next. */
function course(history, read) {
  return history.slice(1).map((after, index) => between(history[index], after, read));
}

const model = (picture, name) => picture.models.find((it) => it.model === name);
const sum = (list, read) => list.reduce((total, it) => total + (read(it) || 0), 0);
const answered = (it, field) => it && sum(it.versions, (version) => version.answered[field]);

/** The mean over the last seconds of a time that requests took here. */
function latency(history, read, field) {
  const requests = growth(history, (it) => answered(read(it), "requests"));
  const took = growth(history, (it) => answered(read(it), field));
  return requests ? took / requests : null;
}

export function update(view, { picture, history }) {
  if (!picture.models.length) {
    view.replaceChildren(el("p", { class: "empty" }, "No infer process serves a model yet. Start one with the same topics.prefix, ", el("code", {}, picture.prefix), "."));
    return;
  }
  const rows = picture.models.map((it) => row(it, picture, history));
  view.replaceChildren(summary(picture, history), ...rows);
}

function summary(picture, history) {
  const all = (field) => (it) => sum(it.models, (one) => one[field]);
  const waiting = sum(picture.models, (it) => it.backlog_records);
  const everything = (it) => ({ versions: it.models.flatMap((one) => one.versions) });
  const figures = [
    ["Requests", `${rate(growth(history, all("requests_written")))}/s`, course(history, all("requests_written"))],
    ["Results", `${rate(growth(history, all("results_written")))}/s`, course(history, all("results_written"))],
    ["Waiting for infer", count(waiting), history.map((it) => sum(it.models, (one) => one.backlog_records))],
    ["Answer, on average", milliseconds(latency(history, everything, "total_ms")), []],
    ["Dead letters", count(picture.dead_letters), []],
  ];
  return el("section", { class: "figures", "aria-label": "The whole line" }, figures.map(([name, value, values]) =>
    el("div", { class: "figure" }, el("span", { class: "name" }, name), el("strong", {}, value), values.length > 1 ? spark(values, `${name}, the last minutes`) : null)));
}

function row(it, picture, history) {
  const read = (field) => (at) => model(at, it.model)?.[field];
  const requests = growth(history, read("requests_written"));
  const results = growth(history, read("results_written"));
  const here = growth(history, (at) => answered(model(at, it.model), "requests"));
  const mine = (at) => model(at, it.model);
  const sinks = picture.sinks.filter((sink) => sink.model === it.model);
  return el("section", { class: "race", "aria-label": `Model ${it.model}` },
    el("h2", {}, el("a", { href: `#models/${encodeURIComponent(it.model)}` }, it.model), ...it.versions.filter((version) => version.state !== "GONE").map((version) => chip(`${version.version} ${version.labels.join(" ")}`.trim(), kind(version.state)))),
    el("div", { class: "flow" },
      node("ingest", "Ingest", `${rate(here)}/s`, [`${count(picture.ingest.waiting)} waiting for an answer`, `${milliseconds(latency(history, mine, "total_ms"))} from head to answer`]),
      stream(here),
      topic("requests", requests, course(history, read("requests_written")), it.requests_written, it.partitions),
      stream(requests),
      infer(it, history, mine),
      stream(results),
      topic("results", results, course(history, read("results_written")), it.results_written, it.partitions),
      stream(sinks.length ? results : 0),
      sink(sinks, history)));
}

function kind(state) {
  return { AVAILABLE: "good", LOADING: "busy", UNLOADING: "busy", FAILED: "bad" }[state] || "soft";
}

function node(name, title, value, lines) {
  return el("div", { class: `node ${name}` }, el("h3", {}, title), el("strong", {}, value), lines.map((text) => el("p", {}, text)));
}

function topic(name, perSecond, values, written, partitions) {
  return el("div", { class: "topic" }, el("h3", {}, name), el("strong", {}, `${rate(perSecond)}/s`), spark(values, `${name} per second, the last minutes`), el("p", {}, written === null ? "not looked at" : `${count(written)} in ${partitions} partition${partitions === 1 ? "" : "s"}`));
}

function infer(it, history, mine) {
  const names = new Set(it.versions.flatMap((version) => version.replicas.map((replica) => replica.replica)));
  const lines = [`${names.size} replica${names.size === 1 ? "" : "s"}`, `${milliseconds(latency(history, mine, "infer_ms"))} with Kafka, there and back`];
  return node("infer", "Infer", `${count(it.backlog_records)} waiting`, lines);
}

function sink(sinks, history) {
  if (!sinks.length) return node("sink idle", "Sink", "none", ["No pipeline reads these results"]);
  const box = node("sink", "Sink", `${count(sum(sinks, (it) => it.lag))} waiting`, []);
  for (const one of sinks) {
    const same = (at) => at.sinks.find((it) => it.pipeline === one.pipeline && it.model === one.model);
    const perSecond = growth(history, (at) => same(at)?.written);
    box.append(el("p", {}, el("b", {}, one.pipeline), ` ${rate(perSecond)}/s, ${count(one.lag)} behind`));
  }
  return box;
}

/** The water between two places; it moves while something flows. */
function stream(perSecond) {
  return el("div", { class: `stream ${perSecond > 0 ? "flows" : ""}`, "aria-hidden": "true" });
}
