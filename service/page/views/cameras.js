// Passers-by of each camera, counted by walking direction, and whether they are kept.

import * as api from "../api.js";
import { confirm, count, field, h, note, notice, words } from "../dom.js";

const DAY = 86400;

export async function render(view, { again }) {
  const here = api.inCollection("cameras");
  const { keep_seconds: kept, views } = await api.get(here);
  const problems = h("div", {});
  const attempt = async (what) => {
    try {
      await what();
      await again();
    } catch (error) {
      problems.replaceChildren(notice(error));
    }
  };
  view.append(
    h("h1", {}, "Cameras"),
    h("p", { class: "lead" }, "Each camera changes how all walks look. This effect is learnt from passers-by, and subtracted before walks are compared."),
    problems,
    kept === null ? off(here, attempt) : on(here, kept, attempt),
  );
  if (kept === null) return;
  if (!views.length) view.append(note("No passers-by yet. Name the camera of the next clips that you identify or enrol."));
  const cameras = Map.groupBy(views, ({ camera }) => camera);
  view.append(h("ul", { class: "cards" }, [...cameras].map(([camera, seen]) => entry(here, camera, seen, attempt))));
}

function off(here, attempt) {
  const days = h("input", { type: "number", min: 0.01, step: "any", value: "30", required: true });
  const form = h("form", { class: "card" },
    h("h2", {}, "Passers-by are not kept"),
    h("p", {}, "If you turn this on, a few walks of people who pass each named camera are kept for the time set here, without a name and without the clip. This is biometric data of people who may not know about it: make sure that you have a legal basis, and inform them."),
    h("div", { class: "fields" }, field("Keep each for days", days)),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Keep passers-by")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => api.put(here, { keep_seconds: Number(days.value) * DAY }));
  });
  return form;
}

function on(here, kept, attempt) {
  const stop = h("button", { type: "button", class: "danger small" }, "Turn off");
  stop.addEventListener("click", async () => {
    if (await confirm("Stop keeping passers-by?", "All kept passers-by are deleted now, and with them what is known about the cameras.", "Turn off"))
      await attempt(() => api.put(here, { keep_seconds: null }));
  });
  const days = (kept / DAY).toLocaleString(undefined, { maximumFractionDigits: 2 });
  return h("div", { class: "head" }, h("p", { class: "soft" }, `Each is kept for ${days} ${days === "1" ? "day" : "days"}.`), stop);
}

function entry(here, camera, views, attempt) {
  const all = views.reduce((sum, { walks }) => sum + walks, 0);
  const forget = h("button", { type: "button", class: "danger small" }, "Forget", h("span", { class: "sr-only" }, ` ${camera}`));
  forget.addEventListener("click", async () => {
    if (await confirm(`Forget ${camera}?`, `${count(all, "walk")} will be erased. This cannot be undone.`, "Forget"))
      await attempt(() => api.remove(`${here}/${encodeURIComponent(camera)}`));
  });
  return h("li", { class: "card" },
    h("div", { class: "head" }, h("h2", {}, camera), forget),
    h("ul", {}, views.map(({ heading, walks }) => h("li", {}, `${words(heading)}: ${count(walks, "walk")}`))),
  );
}
