// What the page asks ingest, and who asks.

const KEPT = "millrace-key";

export function key() {
  return sessionStorage.getItem(KEPT) || "";
}

export function setKey(secret) {
  if (secret) sessionStorage.setItem(KEPT, secret);
  else sessionStorage.removeItem(KEPT);
}

/** A refusal: the sentence of ingest and the status. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch {
    throw new Refused(0, "ingest does not answer; the page tries again");
  }
  const text = await answer.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refused(answer.status, `the answer is no JSON (status ${answer.status})`);
  }
  if (!answer.ok) throw new Refused(answer.status, (body && body.error) || `status ${answer.status}`);
  return body;
}

export const get = (path) => ask(path);

export function post(path, body) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return ask(path, { method: "POST", body: text, headers: { "Content-Type": "application/json" } });
}
