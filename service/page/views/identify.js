// Name everybody who walks in a clip.

import * as api from "../api.js";
import { clipChooser } from "../clip.js";
import { count, field, h, note, notice, progress, say, sure, words } from "../dom.js";
import { explained } from "../explain.js";
import { namesIn } from "../names.js";
import { adopting, mayEnrol } from "../naming.js";
import { card, nameOf } from "../person.js";
import { player } from "../player.js";
import { stripsOf, thumbnail } from "../strips.js";
import { turnChooser, turnField } from "../turning.js";

/** What a camera's name is good for. */
export const CAMERA =
  "Optional: a name for the camera, such as front-door, the same each time. If passers-by are kept (see Cameras), comparisons leave out what this camera does to every walk.";

export async function render(view, { signal }) {
  let clip = null;
  const go = h("button", { class: "primary", disabled: true }, "Identify");
  const chooser = clipChooser({
    signal,
    onchange([file]) {
      clip = file;
      go.disabled = false;
    },
  });
  const top = h("input", { type: "number", min: 1, max: 50, value: "5", required: true });
  const camera = h("input", { maxlength: 64, autocomplete: "off", spellcheck: "false" });
  const turn = turnChooser();
  const quality = h("input", { type: "number", min: 0, max: 1, step: 0.05, value: "0", required: true });
  const annotate = h("input", { type: "checkbox", id: "annotate" });
  const rate = h("select", {}, h("option", { value: "0.01" }, "1 in 100"), h("option", { value: "0.001" }, "1 in 1,000"));
  const form = h(
    "form",
    { class: "card" },
    chooser.element,
    h("details", {},
      h("summary", {}, "Settings"),
      h("div", { class: "fields" },
        field("Candidates per walker", top),
        field("Camera", camera, CAMERA),
        turnField(turn),
        field("Minimum joint score", quality, "From 0 to 1; walkers with a lower score get no verdict."),
        field("False positives", rate, "Share of strangers that may get a name. A lower rate needs a closer match."),
      ),
      h("p", { class: "check" }, annotate, h("label", { htmlFor: "annotate" }, "Keep the clip with boxes and names drawn into it: download it under Jobs")),
    ),
    h("div", { class: "actions" }, go),
  );
  const result = h("section", { class: "result", "aria-label": "Result" });
  const empty = h("div", {});
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const stop = new AbortController();
    const bar = progress("Sending the clip");
    const cancel = h("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, "Cancel");
    result.replaceChildren(h("div", { class: "card working" }, bar.element, cancel));
    go.disabled = true;
    const sent = clip;
    try {
      const fields = {
        collection: api.collection.get(),
        top_k: top.value,
        fpir: rate.value,
        min_quality: quality.value,
        ...(camera.value.trim() && { camera: camera.value.trim() }),
        ...(turn.value && { rotate: turn.value }),
        ...(annotate.checked && { annotate: "true" }),
        ...{ boxes: "true", pictures: "true", explain: "true", keep: "true" },
      };
      const reply = await api.work("identify", sent, fields, { signal, cancel: stop.signal, tell: bar.set });
      result.replaceChildren(...(await shown(reply, sent, signal, { camera: fields.camera, rotate: fields.rotate })));
      result.firstElementChild.focus();
      say(summary(reply));
    } catch (error) {
      result.replaceChildren(error.name === "AbortError" ? note("Cancelled.") : notice(error));
    }
    go.disabled = false;
  });
  view.append(
    h("h1", {}, "Identify"),
    h("p", { class: "lead" }, "Upload a clip: each person who walks in it gets a verdict."),
    empty,
    form,
    result,
  );
  tellIfEmpty(empty);
}

/** Say at once, and not after a clip was processed, that no one can be found. */
export async function tellIfEmpty(place) {
  const found = await api.get(api.inCollection()).catch(() => null); // not every key may look
  if (found?.subjects === 0)
    place.replaceChildren(note("No one is enrolled in this collection, so every walker will be inconclusive. ", h("a", { href: "#/enrol" }, "Enrol a person"), " first."));
}

const summary = (reply) => `${count(reply.people.length, "walker")}: ${reply.people.map((p) => nameOf(p)).join(", ")}`;

/** What had to be mended about a clip's time stamps. */
const mended = (repaired) =>
  `Repaired in this clip: ${Object.entries(repaired).map(([kind, frames]) => `${words(kind)} (${frames})`).join(", ")}.`;

/**
 * What a reply looks like beside its clip; without one where the clip is not at hand any more.
 *
 * @param {{camera?: string, rotate?: string}} about what was said of the clip, in case it must be sent again
 */
export async function shown(reply, clip, signal, about = {}) {
  const [known, mayName] = await Promise.all([namesIn(reply.collection, reply.people), mayEnrol()]);
  const fields = Object.fromEntries(Object.entries({ collection: reply.collection, ...about }).filter(([, value]) => value));
  const look = { clip, handle: reply.handle, fields, walkers: [] };
  const kept = reply.handle && new Date(reply.expires) > new Date();
  const name = clip?.name ?? "the clip";
  const actions = (person) => (mayName && (kept || clip) ? adopting(person, known, look, name, signal) : null);
  const trails = reply.people.filter((person) => person.trail).map((person) => trailOf(person, known));
  return [
    h("h2", { tabindex: "-1" }, `${count(reply.people.length, "person walks", "people walk")} in this clip`),
    clip && player(clip, reply.clip, trails, signal).element,
    ...reply.people.map((person) => whole(person, known, actions(person))),
    reply.skipped.length > 0 &&
      h("details", { class: "soft" },
        h("summary", {}, `${count(reply.skipped.length, "other person was", "other people were")} seen but not identified`),
        h("ul", {}, reply.skipped.map((s) => h("li", {}, `${s.start.toFixed(1)} to ${s.end.toFixed(1)} s: ${words(s.reason)}`))),
      ),
    Object.keys(reply.clip.repaired ?? {}).length > 0 && h("p", { class: "soft" }, mended(reply.clip.repaired)),
    h("p", { class: "soft" }, spent(reply)),
  ].filter(Boolean);
}

/** A walker's card with whatever pictures the reply has. */
function whole(person, known, actions) {
  const whose = `walker ${person.track}`;
  const { pictures } = person;
  return card(person, known, {
    actions,
    picture: pictures && thumbnail(pictures.thumbnail, `Picture of ${whose}`),
    strips: pictures && stripsOf(pictures, whose),
    explain: (candidate) => explained(person, candidate, known.get(candidate.subject) ?? candidate.subject),
  });
}

function trailOf(person, known) {
  const best = person.candidates[0];
  const by = person.verdict === "match" && best.confidence !== null ? ` ${sure(best.confidence)}` : "";
  return { label: nameOf(person, known) + by, tone: person.verdict, ...person.trail };
}

const spent = (reply) =>
  `${reply.clip.width} × ${reply.clip.height}, ${reply.clip.duration.toFixed(1)} s of ${reply.clip.codec}; looked at in ${reply.timings.total.toFixed(1)} s.`;
