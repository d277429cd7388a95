// Elements and figures. Everything that is shown is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (onclick: …) and children; nothing is left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" && "value" in element) element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** 12,345; a dash for what is not known. */
export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** A rate with as many digits as it deserves. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100 ? whole.format(value) : short.format(Math.round(value * 100) / 100);
}

export function milliseconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 10000) return `${short.format(value / 1000)} s`;
  return `${short.format(value)} ms`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "none";
  if (value < 1024) return `${value} B`;
  return value < 1 << 20 ? `${short.format(value / 1024)} KiB` : `${short.format(value / (1 << 20))} MiB`;
}

/** All but everything is not 100 %. */
export function percent(part) {
  if (part === null || part === undefined) return "–";
  const shown = (part * 100).toFixed(2);
  return part < 1 && shown === "100.00" ? "99.99 %" : `${shown.replace(/\.?0+$/, "")} %`;
}

export function ago(unixMs, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - unixMs) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export function time(unixMs) {
  return new Date(unixMs).toISOString().replace("T", " ").slice(0, 19);
}

/** A line over the last values, the newest at the right. */
export function spark(values, label) {
  const [width, height] = [120, 28];
  const known = values.filter((value) => value !== null);
  const top = Math.max(...known, 1e-9);
  const step = width / Math.max(values.length - 1, 1);
  const points = values.map((value, index) =>
    `${(index * step).toFixed(1)},${(height - 2 - ((value || 0) / top) * (height - 4)).toFixed(1)}`);
  const drawing = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" });
  if (known.length > 1) {
    drawing.append(
      svg("polygon", { points: `0,${height} ${points.join(" ")} ${width},${height}` }),
      svg("polyline", { points: points.join(" ") }),
    );
  }
  return drawing;
}

/** A horizontal bar of a part of 1. */
export function bar(part, kind = "") {
  const width = Math.max(0, Math.min(1, part || 0)) * 100;
  return svg("svg", { class: `bar ${kind}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "bar-back", width: 100, height: 8 }),
    svg("rect", { class: "bar-part", width: width.toFixed(2), height: 8 }));
}

export function chip(text, kind = "") {
  return el("span", { class: `chip ${kind}` }, text);
}

/** Asks before something that cannot be taken back; true for yes. */
export function sure(title, text, yes) {
  const dialog = find("sure-dialog");
  find("sure-title").textContent = title;
  find("sure-text").textContent = text;
  find("sure-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
