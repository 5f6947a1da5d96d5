// Galleries, each pinned to one network.

import * as api from "../api.js";
import { confirm, count, date, field, h, note, notice } from "../dom.js";

const DAY = 86400;

export async function render(view, { again, chosen }) {
  const collections = await api.everything("/collections", "collections");
  const problems = h("div", {});
  const name = h("input", { required: true, maxlength: 64, pattern: "[A-Za-z0-9_.\\-]+", autocomplete: "off", spellcheck: "false" });
  const days = h("input", { type: "number", min: 0.01, step: "any", placeholder: "never" });
  const heatmaps = h("input", { type: "checkbox", id: "heatmaps" });
  const form = h("form", { class: "card" },
    h("h2", {}, "Make a collection"),
    h("div", { class: "fields" },
      field("Name", name, "Letters, digits, _ - and ."),
      field("Walks expire after days", days, "Leave empty for never."),
    ),
    h("p", { class: "check" }, heatmaps, h("label", { htmlFor: "heatmaps" }, "Keep joint heatmaps, needed to migrate to a network that reads them")),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Make")),
  );

  const attempt = async (what) => {
    try {
      await what();
      await chosen();
      await again();
    } catch (error) {
      problems.replaceChildren(notice(error));
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const ttl = days.value ? Number(days.value) * DAY : null;
    attempt(() => api.post("/collections", { name: name.value, keeps_heatmaps: heatmaps.checked, ttl_seconds: ttl }));
  });
  const use = (found) => attempt(async () => api.collection.set(found.name));
  const drop = async (found) => {
    const sentence = `${count(found.subjects, "person", "people")} and ${count(found.templates, "walk")} go with it. This cannot be undone.`;
    if (!(await confirm(`Delete ${found.name}?`, sentence, "Delete", found.name))) return;
    await attempt(async () => {
      await api.remove(api.path("collections", found.name));
      if (api.collection.get() === found.name) api.collection.set("default");
    });
  };
  view.append(
    h("h1", {}, "Collections"),
    h("p", { class: "lead" }, "A collection is a separate gallery, pinned to one network."),
    problems,
    h("ul", { class: "cards" }, collections.map((found) => entry(found, use, drop))),
    form,
  );
}

function entry(found, use, drop) {
  const current = found.name === api.collection.get();
  return h("li", { class: current ? "card current" : "card" },
    h("div", { class: "head" },
      h("h2", {}, found.name, current && h("span", { class: "badge" }, "in use")),
      h("div", { class: "actions" },
        !current && h("button", { type: "button", class: "quiet small", onclick: () => use(found) }, "Use"),
        h("button", { type: "button", class: "danger small", onclick: () => drop(found) }, "Delete", h("span", { class: "sr-only" }, ` ${found.name}`)),
      ),
    ),
    h("p", {}, `${count(found.subjects, "person", "people")}, ${count(found.templates, "walk")}`),
    h("p", { class: "soft" },
      found.fingerprint ? ["Network ", h("code", {}, found.fingerprint)] : "No network yet: the first enrolment pins it.",
      ` · made ${date(found.created)}`,
      found.ttl_seconds && ` · walks expire after ${(found.ttl_seconds / DAY).toLocaleString()} days`,
      found.keeps_heatmaps && " · keeps heatmaps",
    ),
    found.trained === false && note("The network is untrained: do not rely on its distances."),
    found.shadow && h("p", { class: "soft" }, "Moving to ", h("code", {}, found.shadow.fingerprint), `: ${found.shadow.templates} walks embedded, ${found.shadow.missing} to come`),
  );
}
