// Enrolling walkers of a clip that was looked at, and what came of it.

import * as api from "./api.js";
import { confirm, date, h, note, notice, progress, say } from "./dom.js";
import { tellApart } from "./pairs.js";
import { aboutWalk } from "./person.js";

/** Nothing to give up: an enrolment by a handle takes no time. */
export const never = new AbortController().signal;

/** The walk matches another subject: is it the same person? Then the walk belongs to that one. */
function sameOrNot(warning, template, name, look, signal) {
  const other = warning.subject;
  const place = h("div", { class: "notice warn" });
  const same = h("button", { type: "button", class: "quiet small" }, `Yes, add the walk to ${other}`);
  const not = h("button", { type: "button", class: "quiet small" }, "No, these are two people");
  not.addEventListener("click", async () => {
    try {
      await tellApart(template.subject, other, template.collection);
    } catch (error) {
      // A key that may only enrol cannot say so for good: the two are two people all the same.
      if (error.code !== "forbidden") return place.append(notice(error));
    }
    place.replaceWith(h("p", { class: "soft" }, `Kept apart from ${other}.`));
  });
  same.addEventListener("click", async () => {
    same.disabled = not.disabled = true;
    const bar = progress(name);
    place.append(bar.element);
    try {
      await api.remove(api.path("collections", template.collection, "subjects", template.subject, "templates", template.id));
      const subject = api.path("collections", template.collection, "subjects", template.subject);
      if ((await api.get(subject)).subject.templates === 0) await api.remove(subject);
      await api.workOn("enroll", look, { subject: other, track: String(template.track) }, { signal, cancel: never, tell: bar.set });
      const link = h("a", { href: `#/people/${encodeURIComponent(other)}` }, other);
      place.parentElement.replaceChildren(h("h2", {}, "The walk was added to ", link), h("p", { class: "soft" }, `${name}: ${aboutWalk(template)}`));
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

/**
 * What came of one enrolment, with an undo.
 *
 * @param {{template: object, warning: object | null}} enrolment
 * @param {string} name of the clip
 * @param {api.Look} look
 * @param {AbortSignal} signal of the view
 * @param {{shown?: string, tag?: string, added?: boolean}} how the name to show, the tag of the heading, and whether the
 *   person was enrolled already
 */
export function enrolled({ template, warning }, name, look, signal, { shown, tag = "h2", added = false } = {}) {
  const who = h("a", { href: `#/people/${encodeURIComponent(template.subject)}` }, shown || template.subject);
  const undo = h("button", { type: "button", class: "quiet small", "aria-label": `Undo the enrolment of ${template.subject}` }, "Undo");
  undo.addEventListener("click", async () => {
    if (!(await confirm("Undo this enrolment?", "The template and all data of this walk are deleted.", "Delete"))) return;
    try {
      await api.remove(api.path("collections", template.collection, "subjects", template.subject, "templates", template.id));
      undo.replaceWith(h("span", { class: "soft" }, "Undone."));
    } catch (error) {
      undo.replaceWith(notice(error));
    }
  });
  return [
    h(tag, {}, added ? ["The walk was added to ", who] : [who, " is enrolled"]),
    h("p", { class: "soft" }, `${name}: ${aboutWalk(template)}`),
    template.duplicate && note("This walk was enrolled before: nothing was added."),
    warning && sameOrNot(warning, template, name, look, signal),
    !template.trained && note("The network is untrained: do not rely on its embeddings."),
    template.expires && h("p", { class: "soft" }, `Expires ${date(template.expires)}.`),
    h("div", { class: "actions" }, undo),
  ].filter(Boolean);
}
