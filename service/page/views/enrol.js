// Enrol the person who walks in a clip, or several.

import * as api from "../api.js";
import { choice } from "../choosing.js";
import { clipChooser } from "../clip.js";
import { field, h, note, notice, progress, say } from "../dom.js";
import { enrolled } from "../enrolled.js";
import { naming } from "../naming.js";
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
  const subject = h("input", { maxlength: 128, autocomplete: "off", spellcheck: "false", value: rest[0] ?? "" });
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
      field("Id", subject, "Short and lasting, without slashes: alice, or a number. Leave it empty to name several people of one clip."),
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
      const fields = { collection: api.collection.get() };
      if (camera.value.trim()) fields.camera = camera.value.trim();
      if (turn.value) fields.rotate = turn.value;
      await enrol(place, clip, who, fields, String(strict.checked), signal);
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

/** Look at a clip once, and enrol the only walker, the chosen one, or all who get an id. */
async function enrol(place, clip, who, fields, strict, signal) {
  const stop = new AbortController();
  const bar = progress(clip.name);
  const tell = (share, text) => bar.set(share, `${clip.name}: ${text}`);
  const cancel = h("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, "Cancel");
  place.replaceChildren(bar.element, cancel);
  const how = { signal, cancel: stop.signal, tell };

  async function one(look, track) {
    place.replaceChildren(bar.element);
    try {
      const given = { subject: who.subject, strict, ...(track && { track: String(track) }) };
      const reply = await api.workOn("enroll", look, given, how);
      place.replaceChildren(...enrolled(reply, clip.name, look, signal, { shown: who.display_name }));
      say(`${who.subject} is enrolled`);
      const change = Object.fromEntries(["display_name", "legal_basis"].filter((k) => who[k]).map((k) => [k, who[k]]));
      if (Object.keys(change).length)
        // A key that may enrol may not do this as well: the enrolment stands, whatever comes of it.
        await api.patch(api.path("collections", fields.collection, "subjects", who.subject), change).catch((error) => place.append(notice(error)));
    } catch (error) {
      place.replaceChildren(notice(error));
    }
  }

  try {
    const look = await api.look(clip, fields, how);
    if (!who.subject) return naming(place, look, clip.name, { strict }, signal);
    if (look.walkers.length === 1) return await one(look);
    const several = h("button", { type: "button", class: "quiet small" }, "Name several of them");
    several.addEventListener("click", () => naming(place, look, clip.name, { strict }, signal));
    place.replaceChildren(...choice(look.walkers, clip.name, "enrol", (track) => one(look, track)), h("div", { class: "actions" }, several));
  } catch (error) {
    place.replaceChildren(error.name === "AbortError" ? note(`${clip.name}: cancelled.`) : notice(error));
  }
}
