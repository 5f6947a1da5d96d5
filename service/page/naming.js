// Saying who the walkers of a clip are: all of them at once, or one beside its verdict.

import * as api from "./api.js";
import { count, field, h, note, notice, progress, say } from "./dom.js";
import { enrolled, never } from "./enrolled.js";
import { aboutWalk, returned } from "./person.js";
import { thumbnail } from "./strips.js";

const idField = () => h("input", { maxlength: 128, autocomplete: "off", spellcheck: "false" });

/**
 * A card for each walker, with a field for who it is, and one button for all.
 *
 * @param {HTMLElement} place shows the cards, and then what came of them
 * @param {api.Look} look
 * @param {string} name of the clip
 * @param {{strict: string}} options of the enrolment
 * @param {AbortSignal} signal of the view
 */
export function naming(place, look, name, options, signal) {
  const fields = new Map();
  const go = h("button", { class: "primary" }, "Enrol these people");
  const problems = h("div", {});
  const form = h("form", { class: "naming" },
    h("h2", {}, `${count(look.walkers.length, "person walks", "people walk")} in ${name}`),
    h("p", {}, "Say who they are. Those without an id are not enrolled."),
    h("ul", { class: "cards" }, look.walkers.map((walker) => h("li", { class: "card person" }, walkerCard(walker, fields)))),
    problems,
    h("div", { class: "actions" }, go),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const named = [...fields].map(([track, input]) => [track, input.value.trim()]).filter(([, id]) => id);
    if (!named.length) return problems.replaceChildren(note("Give at least one walker an id."));
    go.disabled = true;
    const bar = progress(`Enrolling ${count(named.length, "person", "people")}`);
    problems.replaceChildren(bar.element);
    try {
      const subjects = JSON.stringify(Object.fromEntries(named));
      const reply = await api.workOn("enroll", look, { ...options, subjects }, { signal, cancel: never, tell: bar.set });
      const done = [reply, ...reply.others];
      place.replaceChildren(
        h("h2", { tabindex: "-1" }, `${count(done.length, "walk was", "walks were")} enrolled`),
        h("ul", { class: "cards" }, done.map((one) => h("li", { class: "card" }, enrolled(one, name, look, signal, { tag: "h3" })))),
      );
      place.firstElementChild.focus();
      say(`${done.map(({ template }) => template.subject).join(", ")}: enrolled`);
    } catch (error) {
      problems.replaceChildren(notice(error), ...others(error));
      go.disabled = false;
    }
  });
  place.replaceChildren(form);
  form.querySelector("input")?.focus();
}

/** Further walkers who cannot be enrolled; the sentence of the error is about the first. */
function others({ tracks }) {
  if (!tracks?.length) return [];
  return [h("ul", { class: "soft" }, tracks.map((one) => h("li", {}, `Walker ${one.track}, ${one.subject}: ${one.detail}`)))];
}

function walkerCard(walker, fields) {
  const whose = `Walker ${walker.track}`;
  const input = idField();
  if (!walker.unfit) fields.set(walker.track, input);
  return [
    h("header", {},
      walker.thumbnail && thumbnail(walker.thumbnail, `Picture of ${whose.toLowerCase()}`),
      h("div", {}, h("h3", {}, whose), h("p", { class: "soft" }, aboutWalk(walker))),
    ),
    walker.same_as && h("p", {}, returned(walker.same_as)),
    walker.unfit ? h("p", { class: "notice warn" }, `Cannot be enrolled: ${walker.unfit.detail}`) : field(`Id of ${whose.toLowerCase()}`, input),
  ].filter(Boolean);
}

/**
 * What can be done with a walker who was identified: enrol it under an id, or add the walk to the nearest person.
 *
 * @param {object} person the identification
 * @param {Map<string, string>} names display names by subject
 * @param {api.Look} look
 * @param {string} name of the clip
 * @param {AbortSignal} signal of the view
 */
export function adopting(person, names, look, name, signal) {
  const place = h("div", { class: "adopt" });
  const whose = `walker ${person.track}`;
  const nearest = person.candidates[0]?.subject;
  const start = h("button", { type: "button", class: "quiet small", "aria-label": `Enrol this walker, ${whose}` }, "Enrol this walker");
  const add = nearest && h("button", { type: "button", class: "quiet small" }, `Add to ${names.get(nearest) ?? nearest}`);
  const problems = h("div", {});

  async function enrol(subject, added = false) {
    const bar = progress(`Enrolling ${whose}`);
    problems.replaceChildren(bar.element);
    try {
      const given = { subject, track: String(person.track) };
      const reply = await api.workOn("enroll", look, given, { signal, cancel: never, tell: bar.set });
      place.replaceChildren(...enrolled(reply, name, look, signal, { shown: names.get(subject), tag: "h4", added }));
      say(added ? `The walk was added to ${subject}` : `${subject} is enrolled`);
    } catch (error) {
      problems.replaceChildren(notice(error));
    }
  }

  const input = idField();
  input.required = true;
  const form = h("form", { class: "adopt", hidden: true },
    h("div", { class: "fields" }, field(`Id of ${whose}`, input, "Short and lasting, without slashes.")),
    h("div", { class: "actions" }, h("button", { class: "primary small" }, "Enrol")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enrol(input.value.trim());
  });
  start.addEventListener("click", () => {
    form.hidden = false;
    input.focus();
  });
  add?.addEventListener("click", () => enrol(nearest, true));
  place.append(h("div", { class: "actions" }, add ?? "", start), form, problems);
  return place;
}

/** Whether the key may enrol. */
export async function mayEnrol() {
  const { scopes } = await api.get("/key").catch(() => ({ scopes: [] }));
  return scopes.includes("enrol") || scopes.includes("admin");
}
