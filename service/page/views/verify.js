// Check that the person who walks in a clip is a certain subject.

import * as api from "../api.js";
import { choice } from "../choosing.js";
import { clipChooser } from "../clip.js";
import { field, h, newId, note, notice, progress, say } from "../dom.js";
import { claim } from "../person.js";
import { turnChooser, turnField } from "../turning.js";
import { CAMERA } from "./identify.js";

/** Ids that the field for the subject suggests, at most. */
const SUGGESTED = 500;

export async function render(view, { rest, signal }) {
  let clip = null;
  const go = h("button", { class: "primary", disabled: true }, "Verify");
  const chooser = clipChooser({
    signal,
    onchange([file]) {
      clip = file;
      go.disabled = false;
    },
  });
  const known = h("datalist", { id: newId("known") });
  const subject = h("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false", value: rest[0] ?? "" });
  subject.setAttribute("list", known.id);
  const rate = h("select", {}, h("option", { value: "0.001" }, "1 in 1,000"), h("option", { value: "0.01" }, "1 in 100"));
  const camera = h("input", { maxlength: 64, autocomplete: "off", spellcheck: "false" });
  const quality = h("input", { type: "number", min: 0, max: 1, step: 0.05, value: "0", required: true });
  const turn = turnChooser();
  const form = h(
    "form",
    { class: "card" },
    chooser.element,
    h("div", { class: "fields" }, field("Id of the claimed person", subject, "As it is enrolled in this collection.")),
    known,
    h("details", {},
      h("summary", {}, "Settings"),
      h("div", { class: "fields" },
        field("False matches", rate, "Share of strangers who may match if they claim to be this person."),
        field("Camera", camera, CAMERA),
        turnField(turn),
        field("Minimum joint score", quality, "From 0 to 1; a walker with a lower score is refused."),
      ),
    ),
    h("div", { class: "actions" }, go),
  );
  const result = h("section", { class: "result", "aria-label": "Result" });

  async function verify(fields, sent, looked) {
    const stop = new AbortController();
    const bar = progress("Sending the clip");
    const cancel = h("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, "Cancel");
    result.replaceChildren(h("div", { class: "card working" }, bar.element, cancel));
    go.disabled = true;
    const how = { signal, cancel: stop.signal, tell: bar.set };
    const { collection, camera: by, rotate, ...claimed } = fields;
    const about = { collection, ...(by && { camera: by }), ...(rotate && { rotate }) };
    let look = looked;
    try {
      look ??= await api.look(sent, about, how);
      const { person } = await api.workOn("verify", look, claimed, how);
      result.replaceChildren(claim(person, await nameOf(person)));
      say(`${person.subject}: ${person.verdict}`);
    } catch (error) {
      if (error.code === "multiple_people" && error.tracks) {
        const again = (track) => verify({ ...fields, track: String(track) }, sent, look);
        result.replaceChildren(h("div", { class: "card" }, choice(error.tracks, sent.name, "verify", again)));
      } else result.replaceChildren(error.name === "AbortError" ? note("Cancelled.") : notice(error));
    }
    go.disabled = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = { collection: api.collection.get(), subject: subject.value.trim(), fmr: rate.value, min_quality: quality.value };
    if (camera.value.trim()) fields.camera = camera.value.trim();
    if (turn.value) fields.rotate = turn.value;
    verify(fields, clip);
  });
  view.append(
    h("h1", {}, "Verify"),
    h("p", { class: "lead" }, "Check that the person who walks in a clip is the person they claim to be. Only this person's walks are compared."),
    form,
    result,
  );
  suggest(known);
}

/** Suggest enrolled ids. A key that may not list them gets no suggestions. */
async function suggest(known) {
  const { subjects } = await api.get(`${api.inCollection("subjects")}?limit=${SUGGESTED}`).catch(() => ({ subjects: [] }));
  known.append(...subjects.map(({ subject: id, display_name: name }) => h("option", { value: id }, name ?? id)));
}

async function nameOf({ collection, subject }) {
  const found = await api.get(api.path("collections", collection, "subjects", subject)).catch(() => null);
  const name = found?.subject.display_name;
  return new Map(name ? [[subject, name]] : []);
}
