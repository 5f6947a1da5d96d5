// Cameras that the service runs, beside each other: picture, state, a switch, and who was seen last.

import * as api from "./api.js";
import { confirm, count, field, h, note, notice, words } from "./dom.js";

const PAUSE = 2000;
const BADGES = { running: "running", failed: "failed", reconnecting: "failed" };

/**
 * The cameras, kept as they are until the view is left.
 * @param {AbortSignal} signal of the view.
 * @param {(change: () => Promise<unknown>) => Promise<void>} attempt runs a change and shows the view again.
 */
export async function watched(signal, attempt) {
  const { cameras } = await api.get("/cameras", { signal });
  const cards = new Map(cameras.map((camera) => [camera.name, card(camera, attempt)]));
  const list = h("ul", { class: "cards cameras" }, [...cards.values()].map(({ element }) => element));
  for (const camera of cameras) cards.get(camera.name).show(camera);
  follow(cards, signal);
  return [
    h("h2", {}, "Watched by this service"),
    cards.size ? list : note("The service watches no camera yet."),
    adding(attempt),
  ];
}

/** Show what the service says of the cameras, again and again. */
async function follow(cards, signal) {
  while (cards.size && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    if (signal.aborted) return;
    let found;
    try {
      found = (await api.get("/cameras", { signal })).cameras;
    } catch (error) {
      if (error.name === "AbortError") return;
      for (const { failed } of cards.values()) failed(error);
      continue;
    }
    for (const camera of found) cards.get(camera.name)?.show(camera);
    await Promise.all(found.map((camera) => cards.get(camera.name)?.picture(camera, signal)));
  }
}

function card(camera, attempt) {
  const address = api.path("cameras", camera.name);
  const title = h("h3", {}, camera.name, " ");
  const image = h("img", { alt: "" });
  const frame = h("div", { hidden: true }, image);
  const said = h("p", { class: "soft figures-line" });
  const problem = h("div", {});
  const seen = h("ul", { class: "log" });
  const toggle = h("button", { type: "button", role: "switch", class: "quiet small", "aria-label": `Watch ${camera.name}` });
  toggle.addEventListener("click", async () => {
    toggle.disabled = true;
    try {
      show(await api.patch(address, { on: toggle.getAttribute("aria-checked") !== "true" }));
    } catch (error) {
      failed(error);
    }
    toggle.disabled = false;
  });
  const remove = h("button", { type: "button", class: "danger small" }, "Remove", h("span", { class: "sr-only" }, ` ${camera.name}`));
  remove.addEventListener("click", async () => {
    if (await confirm(`Remove ${camera.name}?`, "It is no longer watched. What its collection has learnt about it stays.", "Remove"))
      await attempt(() => api.remove(address));
  });

  function failed(error) {
    problem.replaceChildren(notice(error));
  }

  function show(now) {
    title.replaceChildren(now.name, " ", h("span", { class: `badge ${BADGES[now.state] ?? ""}` }, words(now.state)));
    toggle.setAttribute("aria-checked", String(now.on));
    toggle.textContent = now.on ? "On" : "Off";
    const facts = [`collection ${now.collection}`];
    if (now.state === "running") facts.push(`${now.rate} frames a second`, count(now.people, "person", "people"));
    if (now.dropped) facts.push(`${count(now.frames, "frame")} seen, ${now.dropped.toLocaleString()} dropped`);
    said.textContent = facts.join(" · ");
    problem.replaceChildren(...(now.code ? [note(`${now.detail} `, h("code", {}, now.code))] : []));
    seen.replaceChildren(...now.verdicts.slice(0, 5).map(verdict));
    if (!now.picture) frame.hidden = true;
  }

  let shown = null;
  /** Fetch the latest picture, if there is another than the one that is shown. */
  async function picture(now, signal) {
    if (!now.picture || now.picture === shown) return;
    try {
      const blob = await api.get(`${address}/picture`, { signal, accept: "blob" });
      URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(blob);
      image.alt = `What ${now.name} sees`;
      frame.hidden = false;
      shown = now.picture;
    } catch {
      frame.hidden = true; // it was switched off meanwhile
    }
  }

  const element = h("li", { class: "card" }, h("div", { class: "head" }, title, toggle), frame, said, problem, seen, h("div", { class: "actions" }, remove));
  return { element, show, picture, failed };
}

const verdict = ({ at, verdict: said, subject }) =>
  h("li", {},
    `${new Date(at).toLocaleTimeString()} `,
    subject === null ? said : h("a", { href: `#/people/${encodeURIComponent(subject)}` }, subject),
  );

/** The form that adds a camera. */
function adding(attempt) {
  const name = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  const source = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  const secret = h("input", { autocomplete: "off", spellcheck: "false" });
  const form = h("form", {},
    h("div", { class: "fields" },
      field("Name", name),
      field("Source", source, "rtsp://…, a file, or the number of a webcam, as listed in GAITKEEPER_LIVE_SOURCES; without a password."),
      field("Secret", secret, "The name of the secret that holds user:password, if the camera asks for one."),
    ),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Add")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = { name: name.value.trim(), source: source.value.trim(), collection: api.collection.get() };
    attempt(() => api.post("/cameras", { ...given, secret: secret.value.trim() || null }));
  });
  return h("details", {}, h("summary", {}, "Add a camera"), form);
}
