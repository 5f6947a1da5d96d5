// Who was seen when: a timeline, a list, filters, and what can be taken away or deleted.

import * as api from "../api.js";
import { confirm, count, field, h, note, notice, say } from "../dom.js";
import { attempts, keeping } from "../keeping.js";
import { entry, timeline } from "../sighted.js";

const KEPT = {
  name: "sightings",
  days: 7,
  about: "If you turn this on, each walker who is identified is kept for the time set here, with the verdict and a small picture, and so is a picture of each person who is enrolled from then on.",
  loss: "All sightings, and all pictures of enrolled people, are deleted now.",
  set: (seconds) => api.patch(api.inCollection(), { sightings_seconds: seconds }),
};
const PAGE = 50;
const VERDICTS = ["match", "unknown", "inconclusive"];

export async function render(view, { rest, signal, again }) {
  const { sightings_seconds: kept } = await api.get(api.inCollection());
  const problems = h("div", {});
  view.append(
    h("h1", {}, "Sightings"),
    h("p", { class: "lead" }, "Who was seen when, by which camera, and with which verdict."),
    problems,
    keeping(null, kept, attempts(problems, again), KEPT),
  );
  if (kept === null) return;
  const shown = h("div", { class: "result" });
  const form = filters(rest[0] ?? "");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    draw(shown, form, problems, signal);
  });
  view.append(form, shown);
  await draw(shown, form, problems, signal);
}

function filters(subject) {
  const verdict = h("select", { name: "verdict" }, h("option", { value: "" }, "any"), VERDICTS.map((one) => h("option", { value: one }, one)));
  const text = (name, value = "") => h("input", { name, value, autocomplete: "off", spellcheck: "false" });
  const time = (name) => h("input", { name, type: "datetime-local" });
  return h("form", { class: "card", "aria-label": "Filters" },
    h("div", { class: "fields" },
      field("Person", text("subject", subject), "Id of an enrolled person."),
      field("Camera", text("camera")),
      field("Verdict", verdict),
      field("From", time("since")),
      field("To", time("until")),
    ),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Show")),
  );
}

/** What the filters say, as a query. */
function wanted(form) {
  const query = new URLSearchParams({ collection: api.collection.get() });
  for (const [name, value] of new FormData(form)) {
    const given = value.trim();
    if (given) query.set(name, name === "since" || name === "until" ? new Date(given).toISOString() : given);
  }
  return query;
}

async function draw(place, form, problems, signal) {
  const query = wanted(form);
  const known = [];
  const drawn = h("div", {});
  const list = h("ul", { class: "cards" });
  const more = h("button", { type: "button", class: "quiet" }, "Show older ones");
  let next = null;

  const page = async () => {
    const asked = new URLSearchParams({ ...Object.fromEntries(query), limit: PAGE, ...(next && { after: next }) });
    const reply = await api.get(`/sightings?${asked}`);
    if (signal.aborted) return;
    next = reply.next;
    known.push(...reply.sightings);
    drawn.replaceChildren(known.length ? timeline(known) : note("No one was seen, or the filters accept none of those who were."));
    list.append(...reply.sightings.map((one) => kept(one)));
    more.hidden = next === null;
  };
  const attempt = async (work) => {
    try {
      await work();
      problems.replaceChildren();
    } catch (error) {
      problems.replaceChildren(notice(error));
    }
  };
  const kept = (sighting) => {
    const drop = h("button", { type: "button", class: "quiet small" }, "Delete", h("span", { class: "sr-only" }, ` sighting of ${sighting.time}`));
    const item = entry(sighting, drop);
    drop.addEventListener("click", () =>
      attempt(async () => {
        await api.remove(`${api.path("sightings", sighting.id)}?${new URLSearchParams({ collection: sighting.collection })}`);
        item.remove();
        say("The sighting is deleted");
      }),
    );
    return item;
  };

  more.addEventListener("click", () => attempt(page));
  await attempt(async () => {
    await page();
    if (!signal.aborted) place.replaceChildren(drawn, ...(known.length ? [takeaways(query, attempt, () => draw(place, form, problems, signal))] : []), list, more);
  });
}

/** The whole of what the filters accept: as a file, or deleted. */
function takeaways(query, attempt, again) {
  const file = (text, type, name) => {
    const button = h("button", { type: "button", class: "quiet small" }, text);
    button.addEventListener("click", () => attempt(async () => save(await api.get(`/sightings?${query}`, { accept: "blob", type }), name)));
    return button;
  };
  const forget = h("button", { type: "button", class: "danger small" }, "Delete all of these");
  forget.addEventListener("click", async () => {
    const sentence = "All sightings that the filters accept are deleted, also those further down. This cannot be undone.";
    if (!(await confirm("Delete these sightings?", sentence, "Delete"))) return;
    await attempt(async () => {
      const { sightings } = await api.remove(`/sightings?${query}`);
      say(`${count(sightings, "sighting")} deleted`);
      await again();
    });
  });
  return h("div", { class: "actions" }, file("Download the table", "text/csv", "sightings.csv"), file("Download JSON lines", "application/x-ndjson", "sightings.jsonl"), forget);
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  URL.revokeObjectURL(address);
}
