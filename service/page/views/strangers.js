// Unknown walkers, grouped by likeness, to be named or deleted.

import * as api from "../api.js";
import { confirm, count, date, field, h, note, notice, number, say } from "../dom.js";
import { attempts, keeping } from "../keeping.js";
import { stripsOf } from "../strips.js";

const KEPT = {
  name: "strangers",
  days: 7,
  about: "If you turn this on, the walk of each unknown walker is kept for the time set here, so that you can see who comes back.",
  loss: "All kept walks are deleted now.",
};
/** Walks of a group that are shown at once. */
const SHOWN = 4;

export async function render(view, { again }) {
  const here = api.inCollection("strangers");
  const { keep_seconds: kept, groups } = await api.get(here);
  const problems = h("div", {});
  const attempt = attempts(problems, again);
  view.append(
    h("h1", {}, "Strangers"),
    h("p", { class: "lead" }, "Unknown walkers of this collection, grouped by likeness. Naming a group enrols it."),
    problems,
    keeping(here, kept, attempt, KEPT),
  );
  if (kept === null) return;
  if (!groups.length) view.append(note("No stranger has been seen yet. Unknown walkers of the next clips will appear here."));
  view.append(h("ul", { class: "cards" }, groups.map((group, i) => entry(here, group, i + 1, attempt))));
}

function entry(here, group, number_, attempt) {
  const subject = h("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const name = h("input", { maxlength: 256, autocomplete: "off" });
  const address = `${here}/${encodeURIComponent(group.id)}`;
  const form = h("form", {},
    h("div", { class: "fields" }, field("Id", subject), field("Display name", name)),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Name and enrol")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      await api.post(address, { subject: subject.value.trim(), display_name: name.value.trim() || null });
      say(`${subject.value} is enrolled`);
    });
  });
  const forget = h("button", { type: "button", class: "danger small" }, "Forget", h("span", { class: "sr-only" }, ` group ${number_}`));
  forget.addEventListener("click", async () => {
    if (await confirm("Forget this group?", `${count(group.strangers.length, "walk")} will be erased. This cannot be undone.`, "Forget"))
      await attempt(() => api.remove(address));
  });
  const more = group.strangers.length - SHOWN;
  return h("li", { class: "card" },
    h("div", { class: "head" }, h("h2", {}, `Seen ${count(group.strangers.length, "time")}`), forget),
    h("p", { class: "soft" },
      group.strangers.length > 1 ? `First ${date(group.first_seen)}, last ${date(group.last_seen)}; at most ${number(group.spread, 3)} apart` : date(group.last_seen),
    ),
    h("ul", { class: "walks" }, group.strangers.slice(0, SHOWN).map((stranger) => walk(here, stranger))),
    more > 0 && h("p", { class: "soft" }, `and ${count(more, "more walk")}`),
    form,
  );
}

function walk(here, stranger) {
  const seen = date(stranger.seen);
  const place = h("li", {}, h("p", { class: "soft" }, `${seen}, until ${date(stranger.expires)}`));
  api.get(`${here}/${encodeURIComponent(stranger.id)}/pictures`).then(
    (pictures) => place.append(stripsOf(pictures, `a stranger, ${seen}`)),
    (error) => place.append(notice(error)),
  );
  return place;
}
