// How the service is: its checks, its networks, its load.

import * as api from "../api.js";
import { count, date, h, newId, notice, number, say } from "../dom.js";

export async function render(view, { again }) {
  const { info } = await api.get("/openapi.json");
  const [ready, service, models, load] = ["Checks", "Service", "Networks", "Figures"].map(section);
  view.append(
    h("div", { class: "head" }, h("h1", {}, "System"), h("button", { type: "button", class: "quiet", onclick: again }, "Check again")),
    h("p", { class: "lead" }, `Gaitkeeper ${info.version}`),
    ...[ready, service, models, load],
  );
  await Promise.all([checks(ready), state(service), networks(models), figures(load)]);
}

function section(title) {
  const id = newId("section");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title));
}

/** What runs here, for keys that administer everything. */
async function state(place) {
  try {
    const now = await api.get("/system");
    const { store, load, limits } = now;
    place.append(
      facts([
        ["Device", `${now.device_name ?? now.device}, ${count(now.processors, "processor")}, ${count(now.threads, "thread")} at work`],
        ["New collections take", `${now.network}, searched in ${now.precision}`],
        ["Sees people by", `${now.perception}, PyTorch ${now.torch}`],
        ["Clips are decoded", now.sandbox ? "locked up, each in a process of its own" : "without a sandbox"],
        ["Keys", now.locked ? "asked for" : "not asked for: this machine alone"],
        ["Store", `${store.kind}: ${count(store.subjects, "person", "people")}, ${count(store.templates, "walk")} in ${count(store.collections, "collection")}; ${store.durable ? "durable" : "not durable"}, ${store.encrypted ? "encrypted" : "not encrypted"}`],
        ["Clips", gauge(load.clips_pending, load.clips_bound, `in work and waiting, ${count(load.workers, "worker")}`)],
        ["Jobs", gauge(load.jobs_waiting, load.jobs_bound, "waiting")],
        ["Load of the machine", `${number(load.load_average)} on ${count(now.processors, "processor")}`],
        ["Memory", load.memory_bytes === null ? "–" : megabytes(load.memory_bytes)],
        ["Limits", `${megabytes(limits.max_upload_bytes)} and ${limits.max_seconds.toLocaleString()} s a clip, ${limits.rate} a key`],
        ["Up since", date(now.started)],
      ]),
    );
  } catch (error) {
    place.append(notice(error));
  }
}

const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20).toLocaleString()} MB`;

const gauge = (value, most, what) =>
  h("span", { class: "gauge" }, h("meter", { min: 0, max: most, value, "aria-label": what }), ` ${value} of ${most} ${what}`);

async function networks(place) {
  try {
    const { models } = await api.get("/models");
    place.append(h("ul", { class: "networks" }, models.map(network)));
  } catch (error) {
    place.append(notice(error));
  }
}

function network(model) {
  const weights = model.weights ? "trained" : "needs no weights";
  const worth = model.trained ? [weights, model.calibrated.length ? "calibrated" : "not calibrated"] : ["no weights"];
  return h("li", {},
    h("h3", {}, model.name, model.default && h("span", { class: "badge match" }, "default"), worth.map((text) => h("span", { class: "badge" }, text))),
    h("p", {}, model.about),
    h("p", { class: "soft" }, `Reads ${model.inputs.join(" and ")}.`, model.weights && [` ${model.weights.about} ${model.weights.licence}, ${model.weights.state}, sha256 `, h("code", {}, model.weights.sha256.slice(0, 16)), "…"]),
    model.calibrated.map((known) =>
      h("p", { class: "soft" }, `Thresholds for ${known.fpirs.map((rate) => `${100 * rate} %`).join(" and ")} of strangers, measured at ${known.gallery_sizes.map((size) => size.toLocaleString()).join(", ")} walks; ${verifies(known.fmrs)}.`),
    ),
  );
}

const verifies = (fmrs) =>
  fmrs.length ? `verifies at ${fmrs.map((rate) => `${100 * rate} %`).join(" and ")} of false matches` : "verifies no one";

async function checks(place) {
  const title = place.firstElementChild;
  try {
    const { checks: seconds } = await api.get("/readyz");
    const rows = Object.entries(seconds).map(([part, taken]) => [part, `✓ ${(1000 * taken).toFixed(0)} ms`]);
    place.replaceChildren(title, facts(rows));
    say("Every part works");
  } catch (error) {
    place.replaceChildren(title, notice(error));
  }
}

/** Term and value, pair by pair. */
export const facts = (rows) =>
  h("dl", { class: "facts" }, rows.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));

const total = (metrics, name) => metrics.filter((m) => m.name === name).reduce((sum, m) => sum + m.value, 0);

async function figures(place) {
  try {
    const metrics = parsed(await api.get("/metrics", { accept: "text" }));
    const at = (name) => total(metrics, name);
    const verdicts = metrics.filter((m) => m.name === "gaitkeeper_verdicts_total" && m.value > 0);
    const problems = metrics.filter((m) => m.name === "gaitkeeper_problems_total" && m.value > 0);
    place.append(
      facts([
        ["Enrolments", at("gaitkeeper_enrolments_total").toLocaleString()],
        ["Requests", at("gaitkeeper_requests_total").toLocaleString()],
        ["Verdicts", verdicts.map((m) => `${m.labels.verdict} ${m.value}`).join(", ") || "none yet"],
        ["Problems", problems.map((m) => `${m.labels.code} ${m.value}`).join(", ") || "none"],
      ]),
    );
  } catch (error) {
    place.append(notice(error));
  }
}

/** Prometheus' text format, as far as the service writes it. */
function parsed(text) {
  return text.split("\n").flatMap((line) => {
    const found = /^([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) return [];
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]]));
    return [{ name: found[1], labels, value: Number(found[3]) }];
  });
}
