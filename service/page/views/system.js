// How the service is: its checks, its networks, its load.

import * as api from "../api.js";
import { h, notice, say } from "../dom.js";

export async function render(view, { again }) {
  const has = await api.offers();
  const ready = h("section", { class: "card", "aria-labelledby": "ready" }, h("h2", { id: "ready" }, "Checks"), h("p", { class: "soft" }, "Trying every part"));
  const load = h("section", { class: "card", "aria-labelledby": "load" }, h("h2", { id: "load" }, "Load"));
  view.append(
    h("div", { class: "head" }, h("h1", {}, "System"), h("button", { type: "button", class: "quiet", onclick: again }, "Check again")),
    h("p", { class: "lead" }, `Gaitkeeper ${has.version}`),
    ready,
    load,
  );
  await Promise.all([checks(ready), figures(load)]);
}

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
        ["Memory", `${(at("process_resident_memory_bytes") / 2 ** 20).toFixed(0)} MB`],
        ["Clips waiting or in work", String(at("gaitkeeper_clips_pending"))],
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
