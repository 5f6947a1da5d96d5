// Who is enrolled: search, and one person's page with rename and erase.

import * as api from "../api.js";
import { confirm, count, date, field, h, note, notice, number, say, words } from "../dom.js";
import { aboutWalk } from "../person.js";
import { earlier, lastSeen, portrait } from "../sighted.js";
import { stripsOf } from "../strips.js";

const MOST = 200;

export async function render(view, context) {
  if (context.rest[0]) await person(view, context.rest[0]);
  else await list(view, context.signal);
}

const label = (subject) => subject.display_name ?? subject.subject;
const address = (id) => `#/people/${encodeURIComponent(id)}`;

async function list(view, signal) {
  const search = h("input", { type: "search", id: "search", autocomplete: "off", placeholder: "Name, id or metadata" });
  const told = h("p", { class: "soft", role: "status" }, "Loading");
  const rows = h("ul", { class: "rows" });
  const everybody = [];
  let whole = false;

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const texts = ({ subject: id, display_name: name, metadata }) => [id, name ?? "", ...Object.values(metadata)];
    const found = everybody.filter((subject) => texts(subject).some((text) => text.toLowerCase().includes(wanted)));
    rows.replaceChildren(...found.slice(0, MOST).map(row));
    const more = found.length > MOST ? ` The first ${MOST} are shown: search for the others.` : "";
    told.textContent = whole && !everybody.length ? "" : `${count(found.length, "person", "people")}.${more}`;
    if (whole && !everybody.length) rows.replaceChildren(h("li", {}, empty()));
  }

  view.append(
    h("div", { class: "head" }, h("h1", {}, "People"), h("a", { class: "button primary", href: "#/enrol" }, "Enrol")),
    field("Search", search),
    told,
    rows,
  );
  search.addEventListener("input", draw);
  try {
    for await (const page of api.pages(api.inCollection("subjects"), "subjects")) {
      if (signal.aborted) return;
      everybody.push(...page);
      draw();
    }
  } catch (error) {
    told.textContent = "";
    throw error;
  }
  whole = true;
  draw();
}

const empty = () => note("No one is enrolled in this collection yet. ", h("a", { href: "#/enrol" }, "Enrol a person"), ".");

function row(subject) {
  return h("li", {},
    h("a", { href: address(subject.subject) },
      portrait(subject, label(subject)),
      h("span", { class: "grow" }, h("strong", {}, label(subject)), subject.display_name && h("span", { class: "soft" }, subject.subject)),
      h("span", { class: "soft" }, [lastSeen(subject), count(subject.templates, "walk")].filter(Boolean).join(" · ")),
    ),
  );
}

async function person(view, id) {
  const { subject, templates, outliers } = await api.get(api.inCollection("subjects", id));
  const odd = new Map(outliers.map((outlier) => [outlier.template, outlier]));
  const title = h("h1", {}, label(subject));
  const problems = h("div", {});
  view.append(
    h("p", {}, h("a", { href: "#/people" }, "← People")),
    h("div", { class: "head" },
      title,
      h("div", { class: "actions" },
        h("a", { class: "button quiet", href: `#/verify/${encodeURIComponent(id)}` }, "Verify"),
        h("a", { class: "button quiet", href: `#/enrol/${encodeURIComponent(id)}` }, "Add a walk"),
        h("button", { type: "button", class: "danger", onclick: () => erase(subject, templates, problems) }, "Erase"),
      ),
    ),
    ...(subject.picture ? [portrait(subject, label(subject))] : []),
    h("p", { class: "soft" }, [`Id ${subject.subject}`, `enrolled ${date(subject.created)}`, lastSeen(subject)].filter(Boolean).join(" · ")),
    ...earlier(subject),
    problems,
    details(subject, title),
    h("h2", {}, count(templates.length, "walk")),
    h("ul", { class: "cards" }, templates.map((template) => walk(template, odd.get(template.id)))),
  );
}

/** What can be changed of somebody. */
function details(subject, title) {
  const name = h("input", { maxlength: 256, value: subject.display_name ?? "", autocomplete: "off" });
  const basis = h("input", { maxlength: 256, value: subject.legal_basis ?? "", autocomplete: "off" });
  const facts = Object.entries(subject.metadata).map((pair) => pair.join("=")).join("\n");
  const metadata = h("textarea", { rows: 3, spellcheck: "false" }, facts);
  const said = h("div", { "aria-live": "polite" });
  const form = h("form", { class: "card" },
    h("div", { class: "fields" },
      field("Display name", name),
      field("Legal basis", basis),
      field("Metadata", metadata, "One key=value a line; candidates can be filtered by it."),
    ),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Save")),
    said,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const change = { legal_basis: basis.value.trim(), metadata: pairs(metadata.value) };
      if (name.value.trim()) change.display_name = name.value.trim();
      const changed = await api.patch(api.inCollection("subjects", subject.subject), change);
      title.textContent = label(changed.subject);
      said.replaceChildren(h("p", { class: "soft" }, "Saved."));
    } catch (error) {
      said.replaceChildren(notice(error));
    }
  });
  return form;
}

function pairs(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw Object.assign(new Error(), { detail: `“${line}” is not of the form key=value.` });
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

function walk(template, outlier) {
  const item = h("li", { class: "card" });
  const drop = h("button", { type: "button", class: "quiet small" }, "Delete this walk");
  drop.addEventListener("click", async () => {
    const sentence = "The template, its embedding and its sequence are deleted. The person stays enrolled.";
    if (!(await confirm("Delete this walk?", sentence, "Delete"))) return;
    try {
      await api.remove(api.inCollection("subjects", template.subject, "templates", template.id));
      item.remove();
      say("The walk is deleted");
    } catch (error) {
      item.append(notice(error));
    }
  });
  const pictures = h("div", {});
  api.get(api.inCollection("subjects", template.subject, "templates", template.id, "pictures")).then(
    (strips) => pictures.replaceChildren(stripsOf(strips, `${template.subject}, enrolled ${date(template.created)}`)),
    (error) => pictures.replaceChildren(notice(error)),
  );
  item.append(
    h("div", { class: "head" }, h("h3", {}, date(template.created)), drop),
    pictures,
    h("p", { class: "soft" }, aboutWalk(template)),
    h("p", { class: "soft" }, "Network ", h("code", {}, template.fingerprint)),
    ...(outlier ? [doubt(outlier)] : []),
    ...(template.expires ? [h("p", { class: "soft" }, `Expires ${date(template.expires)}.`)] : []),
  );
  return item;
}

const doubt = ({ reason, own_distance: own, other_subject: other, other_distance: far }) =>
  h("div", { class: "notice warn" },
    h("p", {},
      `This walk may show another person (${words(reason)}): ${number(own, 3)} from the nearest own walk`,
      other && [", ", number(far, 3), " from ", h("a", { href: address(other) }, other)],
      ".",
    ),
  );

async function erase(subject, templates, problems) {
  const sentence = `${label(subject)} goes with ${count(templates.length, "walk")} and everything kept of them. This cannot be undone.`;
  if (!(await confirm(`Erase ${label(subject)}?`, sentence, "Erase"))) return;
  try {
    await api.remove(api.inCollection("subjects", subject.subject));
    say(`${label(subject)} is erased`);
    location.hash = "#/people";
  } catch (error) {
    problems.replaceChildren(notice(error));
  }
}
