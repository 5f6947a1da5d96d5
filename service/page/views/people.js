// Who is enrolled: search, one person's page with rename and erase, and two people beside each other.

import * as api from "../api.js";
import { compared, mergeButtons, notTheSame, suggest } from "../pairs.js";
import { beside } from "../walks.js";
import { confirm, count, date, field, h, note, notice, say } from "../dom.js";
import { earlier, lastSeen, portrait } from "../sighted.js";

const MOST = 200;

export async function render(view, context) {
  const [one, two] = context.rest;
  if (two) await both(view, one, two, context);
  else if (one) await person(view, one, context);
  else await list(view, context);
}

const label = (subject) => subject.display_name ?? subject.subject;
const address = (id) => `#/people/${encodeURIComponent(id)}`;

async function list(view, { signal, again }) {
  const search = h("input", { type: "search", id: "search", autocomplete: "off", placeholder: "Name, id or metadata" });
  const told = h("p", { class: "soft", role: "status" }, "Loading");
  const rows = h("ul", { class: "rows" });
  const chosen = new Set();
  const bar = h("div", { class: "actions", hidden: true });
  const doubles = h("section", { class: "view", "aria-label": "Likely doubles" });
  const everybody = [];
  let whole = false;

  /** What can be done with the chosen people: two can be compared and merged. */
  function choose(id, yes) {
    if (yes) chosen.add(id);
    else chosen.delete(id);
    const [one, two] = chosen;
    bar.hidden = chosen.size === 0;
    bar.replaceChildren(
      h("p", { class: "soft", role: "status" }, chosen.size === 2 ? `${one} and ${two}` : `${chosen.size} chosen: choose two to compare or merge them.`),
      ...(chosen.size === 2 ? [h("a", { class: "button quiet small", href: compared(one, two) }, "Compare"), ...mergeButtons(one, two, again)] : []),
    );
  }

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const texts = ({ subject: id, display_name: name, metadata }) => [id, name ?? "", ...Object.values(metadata)];
    const found = everybody.filter((subject) => texts(subject).some((text) => text.toLowerCase().includes(wanted)));
    rows.replaceChildren(...found.slice(0, MOST).map((subject) => row(subject, chosen.has(subject.subject), choose)));
    const more = found.length > MOST ? ` The first ${MOST} are shown: search for the others.` : "";
    told.textContent = whole && !everybody.length ? "" : `${count(found.length, "person", "people")}.${more}`;
    if (whole && !everybody.length) rows.replaceChildren(h("li", {}, empty()));
  }

  view.append(
    h("div", { class: "head" }, h("h1", {}, "People"), h("a", { class: "button primary", href: "#/enrol" }, "Enrol")),
    field("Search", search),
    told,
    doubles,
    bar,
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
  if (everybody.length > 1) suggest(doubles, signal, again);
}

const empty = () => note("No one is enrolled in this collection yet. ", h("a", { href: "#/enrol" }, "Enrol a person"), ".");

function row(subject, chosen, choose) {
  const tick = h("input", { type: "checkbox", checked: chosen, "aria-label": `Choose ${label(subject)}` });
  tick.addEventListener("change", () => choose(subject.subject, tick.checked));
  return h("li", {},
    tick,
    h("a", { href: address(subject.subject) },
      portrait(subject, label(subject)),
      h("span", { class: "grow" }, h("strong", {}, label(subject)), subject.display_name && h("span", { class: "soft" }, subject.subject)),
      h("span", { class: "soft" }, [lastSeen(subject), count(subject.templates, "walk")].filter(Boolean).join(" · ")),
    ),
  );
}

async function person(view, id, { signal }) {
  const found = await api.get(api.inCollection("subjects", id));
  const { subject, templates } = found;
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
    await beside([found], signal),
  );
}

/** Two people, before they are merged or told apart. */
async function both(view, one, two, { signal }) {
  const people = await Promise.all([one, two].map((id) => api.get(api.inCollection("subjects", id))));
  const leave = (id) => (location.hash = id ? address(id) : "#/people");
  view.append(
    h("p", {}, h("a", { href: "#/people" }, "← People")),
    h("div", { class: "head" },
      h("h1", {}, `${label(people[0].subject)} and ${label(people[1].subject)}`),
      h("div", { class: "actions" }, mergeButtons(one, two, leave), notTheSame(one, two, () => leave())),
    ),
    h("p", { class: "lead" }, "Same person? If so, merge them: the id that you merge into remains."),
    await beside(people, signal),
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
