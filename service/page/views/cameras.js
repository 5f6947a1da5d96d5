// Cameras that the service runs; and passers-by of each camera, counted by walking direction, and whether they are kept.

import * as api from "../api.js";
import { confirm, count, h, note, words } from "../dom.js";
import { attempts, keeping } from "../keeping.js";
import { watched } from "../watched.js";

const KEPT = {
  name: "passers-by",
  days: 30,
  about: "If you turn this on, a few walks of the people who pass each named camera are kept for the time set here, without a name and without the clip.",
  loss: "All kept walks are deleted now, and with them what is known about the cameras.",
};

export async function render(view, { again, signal }) {
  const here = api.inCollection("cameras");
  const { keep_seconds: kept, views } = await api.get(here);
  const problems = h("div", {});
  const attempt = attempts(problems, again);
  view.append(
    h("h1", {}, "Cameras"),
    problems,
    ...(await watched(signal, attempt)),
    h("h2", {}, "What this collection learns"),
    h("p", {}, "Each camera changes how all walks look. This effect is learnt from passers-by, and subtracted before walks are compared."),
    keeping(here, kept, attempt, KEPT),
  );
  if (kept === null) return;
  if (!views.length) view.append(note("No passers-by yet. Name the camera of the next clips that you identify or enrol."));
  const cameras = Map.groupBy(views, ({ camera }) => camera);
  view.append(h("ul", { class: "cards" }, [...cameras].map(([camera, seen]) => entry(here, camera, seen, attempt))));
}

function entry(here, camera, views, attempt) {
  const all = views.reduce((sum, { walks }) => sum + walks, 0);
  const forget = h("button", { type: "button", class: "danger small" }, "Forget", h("span", { class: "sr-only" }, ` ${camera}`));
  forget.addEventListener("click", async () => {
    if (await confirm(`Forget ${camera}?`, `${count(all, "walk")} will be erased. This cannot be undone.`, "Forget"))
      await attempt(() => api.remove(`${here}/${encodeURIComponent(camera)}`));
  });
  return h("li", { class: "card" },
    h("div", { class: "head" }, h("h3", {}, camera), forget),
    h("ul", {}, views.map(({ heading, walks }) => h("li", {}, `${words(heading)}: ${count(walks, "walk")}`))),
  );
}
