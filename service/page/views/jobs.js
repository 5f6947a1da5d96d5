// Clips that are being worked on, and what came of them.

import * as api from "../api.js";
import { date, h, note, notice, progress } from "../dom.js";
import { shown } from "./identify.js";

const KINDS = { enroll: "Enrolment", identify: "Identification", walkers: "Search for walkers" };
const STATES = { queued: "waiting", running: "running", done: "done", failed: "failed", cancelled: "cancelled" };

export async function render(view, { rest, signal }) {
  if (rest[0]) return one(view, rest[0], signal);
  const list = h("ul", { class: "cards" });
  view.append(
    h("h1", {}, "Jobs"),
    h("p", { class: "lead" }, "Clips that were sent, and what came of them. A key with the scope admin sees those of all keys. Results are kept for a limited time."),
    list,
  );
  const { jobs } = await api.get("/jobs?limit=50");
  if (!jobs.length) list.append(h("li", {}, note("No clip was sent, or its result has expired.")));
  for (const job of jobs) {
    const item = h("li", { class: "card" });
    list.append(item);
    // The list is without whole results, which may be large; the link leads to them.
    if (job.ended === null || job.state === "failed") watch(item, job.id, signal);
    else item.append(...entry(job));
  }
}

/** Keep an entry as its job stands, until the job ends or the view is left. */
async function watch(item, id, signal) {
  const bar = progress("Waiting for a worker");
  while (!signal.aborted) {
    let job;
    try {
      job = await api.get(api.path("jobs", id));
    } catch (error) {
      if (error.code === "not_found") {
        // Results are kept for a set time, or until somebody named in them is erased.
        item.remove();
      } else item.replaceChildren(notice(error));
      return;
    }
    bar.set(job.state === "queued" ? null : job.progress, api.toldOf(job));
    item.replaceChildren(...entry(job, bar));
    if (job.ended !== null) return;
    await new Promise((resolve) => setTimeout(resolve, 700));
  }
}

function entry(job, bar) {
  const live = job.ended === null;
  const cancel = h("button", { type: "button", class: "quiet small" }, "Cancel");
  cancel.addEventListener("click", () => api.remove(api.path("jobs", job.id)).catch(() => undefined));
  const view = h("a", { class: "button quiet small", href: `#/jobs/${job.id}` }, "Show the result");
  return [
    h("div", { class: "head" },
      h("h2", {}, `${KINDS[job.kind] ?? job.kind} in ${job.collection} `, h("span", { class: `badge ${job.state}` }, STATES[job.state])),
      live ? cancel : job.state === "done" && job.kind === "identify" && view,
    ),
    h("p", { class: "soft" }, [job.file ?? "a clip without a name", job.camera && `camera ${job.camera}`, date(job.created)].filter(Boolean).join(" · ")),
    live && bar.element,
    job.problem && notice(job.problem),
    job.outcome && h("ul", { class: "outcome" }, job.outcome.map(walker)),
    takeaways(job),
  ].filter(Boolean);
}

/** What can be kept of an identification: its table, and its clip with boxes and names. */
function takeaways(job) {
  if (job.kind !== "identify" || job.state !== "done") return null;
  const link = (file, text) =>
    h("a", { class: "button quiet small", href: api.at(api.path("jobs", job.id, file)).href, download: "" }, text);
  return h("div", { class: "actions" },
    link("people.csv", "Download the table"),
    job.annotated && link("annotated.mp4", "Download the clip with names"),
  );
}

const person = (subject) => h("a", { href: `#/people/${encodeURIComponent(subject)}` }, subject);

/** What came of one walker. */
const walker = ({ track, verdict, subject }) =>
  h("li", {}, verdict === null && subject !== null ? [person(subject), " is enrolled"] : [`Walker ${track}: `, subject === null ? (verdict ?? "found") : person(subject)]);

async function one(view, id, signal) {
  const job = await api.get(api.path("jobs", id));
  view.append(h("p", {}, h("a", { href: "#/jobs" }, "← Jobs")), h("h1", {}, KINDS[job.kind] ?? job.kind));
  if (job.problem) view.append(notice(job.problem));
  else if (job.kind === "identify" && job.result) view.append(takeaways(job), ...(await shown(job.result, null, signal)));
  else view.append(note("There is no result to show."));
}
