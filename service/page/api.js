// The service's REST interface, as the page uses it.

const COLLECTION = "gaitkeeper.collection";

/** The address of something at this service, which may lie below a path of its host: this file lies in `static`. */
export const at = (address) => new URL(`..${address}`, import.meta.url);

/** A problem document as an error: `detail` is its sentence, `code` is stable. */
export class Problem extends Error {
  constructor(document) {
    super(document.detail);
    Object.assign(this, document);
  }
}

const silent = () =>
  new Problem({ status: 0, code: "server_unreachable", detail: "The service does not answer. Is it still running?" });

/**
 * Signing in with a key, and out. The service gives the browser a cookie that stands for the key, which no script can read;
 * the key itself is kept nowhere.
 */
export const session = {
  async open(key) {
    await ask("POST", "/session", { json: { key } });
    await ask("GET", "/key").catch((problem) => {
      if (problem.code === "unauthorised")
        throw new Problem({ ...problem, detail: "The browser keeps no cookie of this service: allow cookies for this address." });
    });
  },
  close: () => ask("DELETE", "/session"),
};

export const collection = {
  get: () => sessionStorage.getItem(COLLECTION) ?? "default",
  set: (name) => sessionStorage.setItem(COLLECTION, name),
};

let asking = null;
/** How a key is asked for: a function that takes the problem and resolves to whether a key was given. */
export function whenKeyIsWanted(ask) {
  asking = ask;
}

/** Path segments, each escaped. */
export const path = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;

/** An address below the chosen collection; without parts, the collection itself. */
export const inCollection = (...parts) => path("collections", collection.get(), ...parts);

async function understood(status, text) {
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = null;
  }
  if (status >= 200 && status < 300) return body;
  throw new Problem(body?.code ? body : { status, code: "unexpected_reply", detail: `The service answered ${status}.` });
}

/** Ask, and again as long as a key is wanted and one is given. */
async function keyed(ask) {
  for (;;) {
    try {
      return await ask();
    } catch (problem) {
      if (problem.code !== "unauthorised" || !asking) throw problem;
      if (!(await asking(problem))) throw problem;
    }
  }
}

async function ask(method, address, { json, signal, accept = "json", type } = {}) {
  let reply;
  try {
    reply = await fetch(at(address), {
      method,
      signal,
      headers: { ...(json !== undefined && { "Content-Type": "application/json" }), ...(type && { Accept: type }) },
      body: json === undefined ? undefined : JSON.stringify(json),
    });
  } catch (error) {
    throw error.name === "AbortError" ? error : silent();
  }
  if (!reply.ok || accept === "json") return understood(reply.status, await reply.text());
  return accept === "blob" ? reply.blob() : reply.text();
}

export const get = (address, given) => keyed(() => ask("GET", address, given));
export const post = (address, json, given) => keyed(() => ask("POST", address, { json, ...given }));
export const put = (address, json) => keyed(() => ask("PUT", address, { json }));
export const patch = (address, json) => keyed(() => ask("PATCH", address, { json }));
export const remove = (address) => keyed(() => ask("DELETE", address));

/** Every entry of a paged list, page after page. */
export async function* pages(address, name) {
  let after = null;
  do {
    const query = new URLSearchParams({ limit: "500", ...(after !== null && { after }) });
    const page = await get(`${address}?${query}`);
    yield page[name];
    after = page.next;
  } while (after !== null && after !== undefined);
}

/** All entries of a paged list. */
export async function everything(address, name) {
  const found = [];
  for await (const page of pages(address, name)) found.push(...page);
  return found;
}

const aborted = () => new DOMException("Cancelled.", "AbortError");

/** Send a form; `fetch` does not tell how much of it has gone. */
function sent(address, form, { later, signals, onSent }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", at(address));
    if (later) request.setRequestHeader("Prefer", "respond-async");
    request.upload.addEventListener("progress", (event) => onSent?.(event.loaded / Math.max(event.total, 1)));
    request.addEventListener("load", () => understood(request.status, request.responseText).then(resolve, reject));
    request.addEventListener("error", () => reject(silent()));
    request.addEventListener("abort", () => reject(aborted()));
    for (const signal of signals) signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

/**
 * Send a clip and wait for what comes of it. It becomes a job, so that its progress is known and it can be cancelled.
 *
 * @param {"enroll" | "identify" | "verify" | "walkers"} kind `verify` is always answered at once
 * @param {Blob | null} clip null where a handle among the fields stands for it, which is answered at once
 * @param {Record<string, string | string[]>} fields
 * @param {{signal: AbortSignal, cancel: AbortSignal, tell: (share: number | null, text: string) => void}} how
 *   `signal` is of the view: a job goes on when its view is left. `cancel` gives it up.
 */
export async function work(kind, clip, fields, { signal, cancel, tell }) {
  const form = new FormData();
  for (const [name, values] of Object.entries(fields)) for (const value of [values].flat()) form.append(name, value);
  if (clip) form.append("clip", clip, clip.name ?? "clip.webm");
  const onSent = (share) => tell(share < 1 ? share : null, share < 1 ? `Sending the clip: ${Math.round(100 * share)} %` : "Processing the clip");
  const job = await keyed(() => sent(`/${kind}`, form, { later: true, signals: [signal, cancel], onSent }));
  if (job.state === undefined) return job; // answered at once
  return follow(job.id, { signal, cancel, tell });
}

/**
 * A clip that was looked at.
 *
 * @typedef {{clip: Blob | null, handle: string | null, fields: Record<string, string>, walkers: object[]}} Look
 *   `fields` are the collection, the camera and the turn of the clip.
 */

/**
 * Find the walkers of a clip, who are then kept for some minutes.
 *
 * @returns {Promise<Look>}
 */
export async function look(clip, fields, how) {
  const seen = await work("walkers", clip, fields, how);
  // The result of a job is stored, and therefore without pictures: these are kept in memory, for as long as the handle.
  const pictures = seen.handle && seen.walkers.some((walker) => !walker.thumbnail);
  const { handle, walkers } = pictures ? await get(path("walkers", seen.handle)).catch(() => seen) : seen;
  return { clip, handle, fields, walkers };
}

/** Do something with the walkers of a look. Where they are not kept any more, the clip is sent again. */
export async function workOn(kind, { clip, handle, fields }, more, how) {
  const { rotate, ...others } = fields;
  try {
    if (handle) return await work(kind, null, { ...others, ...more, handle }, how);
  } catch (error) {
    if (error.code !== "unknown_handle" || !clip) throw error;
  }
  return work(kind, clip, { ...fields, ...more }, how);
}

/** What a job does now, with how much of it is done. */
export function toldOf({ state, stage, progress }) {
  if (state === "queued") return "Waiting for a worker";
  const text = stage ?? "Processing the clip";
  return `${text[0].toUpperCase()}${text.slice(1)}: ${Math.round(100 * progress)} %`;
}

/** Wait for a job's end, until the view is left or the job given up. */
async function follow(id, { signal, cancel, tell }) {
  const address = path("jobs", id);
  for (let wait = 150; ; wait = Math.min(1.3 * wait, 1000)) {
    if (cancel.aborted) await remove(address);
    if (cancel.aborted || signal.aborted) throw aborted();
    const job = await get(address);
    if (job.state === "done") return job.result;
    if (job.state === "failed") throw new Problem(job.problem);
    if (job.state === "cancelled")
      throw new Problem({ status: 409, code: "job_cancelled", detail: "The job was cancelled." });
    tell(job.state === "running" ? job.progress : null, toldOf(job));
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
