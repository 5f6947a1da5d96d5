// Unknown walkers, grouped by likeness, to be named or deleted.

import * as api from "../api.js";
import { confirm, count, date, field, h, note, notice, number, say } from "../dom.js";
import { stripsOf } from "../strips.js";

const DAY = 86400;
/** Walks of a group that are shown at once. */
const SHOWN = 4;

export async function render(view, { again }) {
  const here = api.inCollection("strangers");
  const { keep_seconds: kept, groups } = await api.get(here);
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
    h("h1", {}, "Strangers"),
    h("p", { class: "lead" }, "Unknown walkers of this collection, grouped by likeness. Naming a group enrols it."),
    problems,
    kept === null ? off(here, attempt) : on(here, kept, attempt),
  );
  if (kept === null) return;
  if (!groups.length) view.append(note("No stranger has been seen yet. Unknown walkers of the next clips will appear here."));
  view.append(h("ul", { class: "cards" }, groups.map((group, i) => entry(here, group, i + 1, attempt))));
}

function off(here, attempt) {
  const days = h("input", { type: "number", min: 0.01, step: "any", value: "7", required: true });
  const form = h("form", { class: "card" },
    h("h2", {}, "Strangers are not kept"),
    h("p", {}, "If you turn this on, the walk of each unknown walker is kept for the time set here, so that you can see who comes back. This is biometric data of people who may not know about it: make sure that you have a legal basis, and inform them."),
    h("div", { class: "fields" }, field("Keep each for days", days)),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Keep strangers")),
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
    if (await confirm("Stop keeping strangers?", "All kept strangers are deleted now.", "Turn off"))
      await attempt(() => api.put(here, { keep_seconds: null }));
  });
  const days = (kept / DAY).toLocaleString(undefined, { maximumFractionDigits: 2 });
  return h("div", { class: "head" }, h("p", { class: "soft" }, `Each is kept for ${days} ${days === "1" ? "day" : "days"}.`), stop);
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
