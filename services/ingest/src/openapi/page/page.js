// Draws the operations of /openapi.json and sends what the reader fills in.
// Everything that is shown is set as text, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "delete"];
let description = {};

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Follows a reference such as #/components/responses/NotFound. */
function resolve(node) {
  if (!node || !node.$ref) return node || {};
  const parts = node.$ref.slice(2).split("/");
  return parts.reduce((inner, part) => (inner || {})[part], description) || {};
}

function operations() {
  const all = [];
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const method of METHODS) {
      if (methods[method]) all.push({ path, method, ...methods[method] });
    }
  }
  return all;
}

function field(parameter) {
  const options = resolve(parameter.schema).enum;
  const value = parameter.example === undefined ? "" : String(parameter.example);
  const input = options
    ? make("select", {}, make("option", { value: "" }, "(none)"), ...options.map((it) => make("option", { value: it }, it)))
    : make("input", { value, spellcheck: false });
  input.name = parameter.name;
  input.id = `field-${Math.random().toString(36).slice(2)}`;
  const about = make("small", {}, parameter.description || "");
  const label = make("label", { htmlFor: input.id }, parameter.name, parameter.required ? " *" : "", about);
  return { parameter, input, parts: [label, input] };
}

function bodyEditor(operation) {
  const body = operation.requestBody;
  if (!body) return null;
  const types = Object.keys(body.content);
  const json = body.content["application/json"] || {};
  const text = make("textarea", { spellcheck: false, value: json.example ? pretty(json.example) : "" });
  text.setAttribute("aria-label", "Request body");
  const file = make("input", { type: "file", hidden: true });
  file.setAttribute("aria-label", "Request body from a file");
  const type = make("select", {}, ...types.map((it) => make("option", { value: it }, it)));
  type.setAttribute("aria-label", "Content-Type");
  type.addEventListener("change", () => {
    const isText = type.value === "application/json";
    text.hidden = !isText;
    file.hidden = isText;
  });
  return { type, text, file, parts: [make("h3", {}, "Body"), type, text, file] };
}

/** JSON with the innermost lists on one line, as a person would write a tensor. */
function pretty(value) {
  const text = JSON.stringify(value, null, 2);
  return text.replace(/\[[^\[\]{}]*\]/g, (list) => list.replace(/\s+/g, " "));
}

function requestOf(operation, fields, body) {
  const headers = {};
  const query = new URLSearchParams();
  let path = operation.path;
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const secret = document.getElementById("secret").value.trim();
  if (secret) headers.Authorization = `Bearer ${secret}`;
  const request = { method: operation.method.toUpperCase(), headers, credentials: "omit" };
  if (body) {
    headers["Content-Type"] = body.type.value;
    request.body = body.text.hidden ? body.file.files[0] : body.text.value;
  }
  const suffix = query.size ? `?${query}` : "";
  return { url: path + suffix, request };
}

function curlOf({ url, request }) {
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = ["curl", "-i"];
  if (request.method !== "GET") parts.push("-X", request.method);
  for (const [name, value] of Object.entries(request.headers)) {
    const shown = name === "Authorization" ? "Bearer $MILLRACE_KEY" : value;
    parts.push("-H", name === "Authorization" ? `"${name}: ${shown}"` : quote(`${name}: ${shown}`));
  }
  if (typeof request.body === "string") parts.push("-d", quote(request.body));
  else if (request.body) parts.push("--data-binary", quote(`@${request.body.name}`));
  return `${parts.join(" ")} ${quote(location.origin + url)}`;
}

async function send(prepared, out) {
  const began = performance.now();
  const response = await fetch(prepared.url, prepared.request);
  const bytes = await response.arrayBuffer();
  const took = Math.round(performance.now() - began);
  const kind = response.headers.get("content-type") || "";
  const mark = response.ok ? "status good" : "status bad";
  out.status.replaceChildren(make("span", { className: mark }, `${response.status} ${response.statusText}`), ` in ${took} ms, ${bytes.byteLength} bytes`);
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  out.answer.replaceChildren(make("h3", {}, "Answer"), make("pre", {}, shown(bytes, kind)), make("h3", {}, "Headers"), make("pre", {}, headers));
}

function shown(bytes, kind) {
  if (!/json|text/.test(kind)) return bytes.byteLength ? `(${bytes.byteLength} bytes of ${kind || "unknown type"})` : "(empty)";
  const text = new TextDecoder().decode(bytes);
  try {
    return kind.includes("json") ? pretty(JSON.parse(text)) : text;
  } catch {
    return text;
  }
}

function answersTable(operation) {
  const rows = Object.entries(operation.responses).map(([status, response]) =>
    make("tr", {}, make("td", {}, status), make("td", {}, resolve(response).description || "")));
  return [make("h3", {}, "Answers"), make("table", {}, make("tbody", {}, ...rows))];
}

function fill(panel, operation) {
  const fields = (operation.parameters || []).map((it) => field(resolve(it)));
  const body = bodyEditor(operation);
  const out = { status: make("span", {}), answer: make("div", {}) };
  const button = make("button", { type: "button" }, "Send");
  const command = make("pre", {});
  button.addEventListener("click", async () => {
    const prepared = requestOf(operation, fields, body);
    command.textContent = curlOf(prepared);
    button.disabled = true;
    try {
      await send(prepared, out);
    } catch (error) {
      out.status.replaceChildren(make("span", { className: "status bad" }, String(error)));
      out.answer.replaceChildren();
    } finally {
      button.disabled = false;
    }
  });
  command.textContent = curlOf(requestOf(operation, fields, body));
  panel.append(
    make("div", { className: "fields" }, ...fields.flatMap((it) => it.parts)),
    ...(body ? body.parts : []),
    make("div", { className: "run" }, button, out.status),
    command, out.answer, ...answersTable(operation),
  );
}

function card(operation) {
  const panel = make("div", { className: "inside" });
  const head = make("summary", {},
    make("span", { className: `method ${operation.method}` }, operation.method.toUpperCase()),
    make("span", { className: "path" }, operation.path),
    make("span", { className: "what" }, operation.summary || ""));
  const details = make("details", { id: operation.operationId }, head, panel);
  details.addEventListener("toggle", () => {
    if (details.open && !panel.hasChildNodes()) fill(panel, operation);
  });
  return details;
}

function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (named && named.tagName === "DETAILS") {
    named.open = true;
    named.scrollIntoView();
  }
}

async function start() {
  const main = document.getElementById("operations");
  try {
    description = await (await fetch("/openapi.json")).json();
  } catch (error) {
    main.replaceChildren(make("p", { className: "status bad" }, `The description cannot be read: ${error}`));
    return;
  }
  document.getElementById("about").textContent = description.info.description;
  const nav = document.getElementById("contents");
  main.replaceChildren();
  for (const tag of description.tags) {
    const tagged = operations().filter((it) => it.tags[0] === tag.name);
    if (!tagged.length) continue;
    main.append(make("h2", {}, tag.name), make("p", { className: "note" }, tag.description || ""), ...tagged.map(card));
    nav.append(make("h2", {}, tag.name), ...tagged.map((it) => make("a", { href: `#${it.operationId}` }, it.summary)));
  }
  openNamed();
  window.addEventListener("hashchange", openNamed);
}

document.getElementById("credentials").addEventListener("submit", (event) => event.preventDefault());
start();
