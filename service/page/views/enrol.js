// Enrol the person who walks in a clip.

import * as api from "../api.js";
import { choice } from "../choosing.js";
import { clipChooser } from "../clip.js";
import { confirm, date, field, h, note, notice, progress, say } from "../dom.js";
import { aboutWalk } from "../person.js";
import { turnChooser, turnField } from "../turning.js";
import { CAMERA } from "./identify.js";

export async function render(view, { rest, signal }) {
  let clips = [];
  const go = h("button", { class: "primary", disabled: true }, "Enrol");
  const chooser = clipChooser({
    multiple: true,
    signal,
    onchange(files) {
      clips = files;
      go.disabled = false;
    },
  });
  const subject = h("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false", value: rest[0] ?? "" });
  const name = h("input", { maxlength: 256, autocomplete: "off" });
  const basis = h("input", { maxlength: 256, autocomplete: "off" });
  const camera = h("input", { maxlength: 64, autocomplete: "off", spellcheck: "false" });
  const turn = turnChooser();
  const strict = h("input", { type: "checkbox", id: "strict" });
  const form = h(
    "form",
    { class: "card" },
    chooser.element,
    h("div", { class: "fields" },
      field("Id", subject, "Short and lasting, without slashes: alice, or a number."),
      field("Display name", name, "Optional; can be changed later."),
      field("Legal basis", basis, "Optional: why you may keep this person's data."),
      field("Camera", camera, CAMERA),
      turnField(turn),
    ),
    h("p", { class: "check" }, strict, h("label", { htmlFor: "strict" }, "Refuse a walker who matches another person")),
    h("div", { class: "actions" }, go),
  );
  const result = h("section", { class: "result", "aria-label": "Result" });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    result.replaceChildren();
    const who = { subject: subject.value.trim(), display_name: name.value.trim(), legal_basis: basis.value.trim() };
    for (const clip of clips) {
      const place = h("div", { class: "card working" });
      result.append(place);
      const fields = { collection: api.collection.get(), subject: who.subject, strict: String(strict.checked) };
      if (camera.value.trim()) fields.camera = camera.value.trim();
      if (turn.value) fields.rotate = turn.value;
      await enrol(place, clip, who, fields, signal);
      if (signal.aborted) return;
    }
    go.disabled = false;
  });
  view.append(
    h("h1", {}, "Enrol"),
    h("p", { class: "lead" }, "One walk is enough to start. Walks from several sides and in other clothes make matches more reliable."),
    form,
    result,
  );
}

/** Send one clip, and again with the walker chosen where there are several. */
async function enrol(place, clip, who, fields, signal) {
  const stop = new AbortController();
  const bar = progress(clip.name);
  const tell = (share, text) => bar.set(share, `${clip.name}: ${text}`);
  const cancel = h("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, "Cancel");
  place.replaceChildren(bar.element, cancel);
  try {
    const reply = await api.work("enroll", clip, fields, { signal, cancel: stop.signal, tell });
    place.replaceChildren(...enrolled(reply, clip, who, fields, signal));
    say(`${who.subject} is enrolled`);
    const change = Object.fromEntries(["display_name", "legal_basis"].filter((k) => who[k]).map((k) => [k, who[k]]));
    if (Object.keys(change).length)
      // A key that may enrol may not do this as well: the enrolment stands, whatever comes of it.
      await api.patch(api.inCollection("subjects", who.subject), change).catch((error) => place.append(notice(error)));
  } catch (error) {
    if (error.code === "multiple_people" && error.tracks)
      place.replaceChildren(...choice(error.tracks, clip.name, "enrol", (track) => enrol(place, clip, who, { ...fields, track: String(track) }, signal)));
    else place.replaceChildren(error.name === "AbortError" ? note(`${clip.name}: cancelled.`) : notice(error));
  }
}

/** The walk matches another subject: is it the same person? Then the walk belongs to that one. */
function sameOrNot(warning, template, clip, fields, signal) {
  const other = warning.subject;
  const place = h("div", { class: "notice warn" });
  const same = h("button", { type: "button", class: "quiet small" }, `Yes, add the walk to ${other}`);
  const not = h("button", { type: "button", class: "quiet small" }, "No, these are two people");
  not.addEventListener("click", () => place.replaceWith(h("p", { class: "soft" }, `Kept apart from ${other}.`)));
  same.addEventListener("click", async () => {
    same.disabled = not.disabled = true;
    const bar = progress(clip.name);
    place.append(bar.element);
    try {
      await api.remove(api.inCollection("subjects", template.subject, "templates", template.id));
      const { subject } = await api.get(api.inCollection("subjects", template.subject));
      if (subject.templates === 0) await api.remove(api.inCollection("subjects", template.subject));
      const given = { ...fields, subject: other, strict: "false", track: String(template.track) };
      await api.work("enroll", clip, given, { signal, cancel: new AbortController().signal, tell: bar.set });
      const link = h("a", { href: `#/people/${encodeURIComponent(other)}` }, other);
      place.parentElement.replaceChildren(h("h2", {}, "The walk was added to ", link), h("p", { class: "soft" }, `${clip.name}: ${aboutWalk(template)}`));
      say(`The walk was added to ${other}`);
    } catch (error) {
      place.append(notice(error));
    }
  });
  place.append(
    h("p", {}, h("strong", {}, "Same person? "), warning.detail),
    h("div", { class: "actions" }, same, not),
    h("p", { class: "soft" }, "Code: ", h("code", {}, warning.code)),
  );
  return place;
}

function enrolled({ template, warning }, clip, who, fields, signal) {
  const undo = h("button", { type: "button", class: "quiet small" }, "Undo");
  undo.addEventListener("click", async () => {
    if (!(await confirm("Undo this enrolment?", "The template and all data of this walk are deleted.", "Delete"))) return;
    try {
      await api.remove(api.inCollection("subjects", template.subject, "templates", template.id));
      undo.replaceWith(h("span", { class: "soft" }, "Undone."));
    } catch (error) {
      undo.replaceWith(notice(error));
    }
  });
  return [
    h("h2", {}, h("a", { href: `#/people/${encodeURIComponent(template.subject)}` }, who.display_name || template.subject), " is enrolled"),
    h("p", { class: "soft" }, `${clip.name}: ${aboutWalk(template)}`),
    template.duplicate && note("This walk was enrolled before: nothing was added."),
    warning && sameOrNot(warning, template, clip, fields, signal),
    !template.trained && note("The network is untrained: do not rely on its embeddings."),
    template.expires && h("p", { class: "soft" }, `Expires ${date(template.expires)}.`),
    h("div", { class: "actions" }, undo),
  ].filter(Boolean);
}
