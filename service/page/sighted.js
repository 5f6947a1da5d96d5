// Sightings wherever they are shown: one as an entry of a list, many on a timeline, and what they say of a person.

import * as api from "./api.js";
import { count, date, h, note, notice, number, styled } from "./dom.js";
import { verdictBadge } from "./person.js";

/** Rows of a timeline; those who were seen least share the last one. */
const LANES = 8;

export const personLink = (subject) => h("a", { href: `#/people/${encodeURIComponent(subject)}` }, subject);

/** In an element of its own: a card hides children that are empty, and an image has no children. */
const picture = (address, alt) => h("span", { class: "face" }, h("img", { src: api.at(address).href, alt, loading: "lazy", class: "thumb" }));

/** The picture of a sighting; nothing if none is kept. */
const thumbnail = ({ id, collection, time, thumbnail: there }) =>
  there && picture(`${api.path("sightings", id, "thumbnail")}?${new URLSearchParams({ collection })}`, `The walker, ${date(time)}`);

/** A sighting in a list, with buttons or figures of the list's own. */
export function entry(sighting, ...more) {
  const { verdict, subject, camera, source, time, expires, distance, confidence, reason } = sighting;
  const facts = [
    camera && `camera ${camera}`,
    { stream: "live", batch: "from an archive" }[source] ?? "from a clip",
    distance !== null && `distance ${number(distance, 3)}`,
    confidence !== null && `confidence ${number(confidence)}`,
    reason && reason.replaceAll("_", " "),
    `until ${date(expires)}`,
  ];
  return h("li", { class: "card sighting" },
    thumbnail(sighting),
    h("div", {},
      h("h2", {}, h("time", { datetime: time }, date(time))),
      h("p", { class: "verdict" }, verdictBadge(verdict), subject !== null && personLink(subject)),
      h("p", { class: "soft" }, facts.filter(Boolean).join(" · ")),
    ),
    more.length > 0 && h("div", { class: "actions" }, more),
  );
}

const laneOf = ({ verdict, subject }) => subject ?? verdict;

/** When each person was seen: a row for each, a mark for each sighting. The list below it says the same in words. */
export function timeline(sightings) {
  const times = sightings.map((one) => Date.parse(one.time));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const lanes = new Map();
  for (const one of sightings) lanes.set(laneOf(one), [...(lanes.get(laneOf(one)) ?? []), one]);
  const sorted = [...lanes].sort(([, a], [, b]) => b.length - a.length);
  const rest = sorted.splice(sorted.length > LANES ? LANES - 1 : LANES).flatMap(([, seen]) => seen);
  if (rest.length) sorted.push(["others", rest]);
  const at = (time) => `${(100 * (Date.parse(time) - first)) / Math.max(last - first, 1)}%`;
  const row = ([name, seen]) =>
    h("li", {},
      h("span", { class: "who" }, name, h("span", { class: "sr-only" }, `: ${count(seen.length, "sighting")}`)),
      h("span", { class: "lane", "aria-hidden": "true" }, seen.map(({ verdict, time }) => styled(h("i", { class: verdict }), { left: at(time) }))),
    );
  return h("figure", { class: "timeline" },
    h("figcaption", {}, `${count(sightings.length, "sighting")}, ${date(new Date(first).toISOString())} to ${date(new Date(last).toISOString())}`),
    h("ol", {}, sorted.map(row)),
  );
}

/** The picture of a person if one is kept, otherwise the first letter of the name. */
export function portrait(subject, name) {
  if (subject.picture) return picture(api.inCollection("subjects", subject.subject, "picture"), "");
  return h("span", { class: "initial", "aria-hidden": "true" }, [...name][0].toUpperCase());
}

/** When and by which camera a person was last seen, in words; empty if that is not known. */
export const lastSeen = ({ last_seen: seen }) => (seen ? `last seen ${date(seen.time)}${seen.camera ? ` by ${seen.camera}` : ""}` : "");

/** Was somebody here before being enrolled? A button, and below it what the search of unknown walkers finds. */
export function earlier(subject) {
  const found = h("div", { "aria-live": "polite" });
  const search = h("button", { type: "button", class: "quiet" }, "Seen before being enrolled?");
  search.addEventListener("click", async () => {
    try {
      const reply = await api.get(`${api.inCollection("subjects", subject.subject, "earlier")}?limit=20`);
      found.replaceChildren(...told(reply));
    } catch (error) {
      found.replaceChildren(notice(error));
    }
  });
  const all = h("a", { class: "button quiet", href: `#/sightings/${encodeURIComponent(subject.subject)}` }, "Sightings");
  return [h("div", { class: "actions" }, all, search), found];
}

function told({ searched, incomparable, found }) {
  const matches = found.filter((one) => one.match !== false);
  const unsure = found.some((one) => one.match === null);
  const others = incomparable ? ` ${count(incomparable, "sighting is", "sightings are")} of another network, and cannot be compared.` : "";
  const said = unsure ? "The network is not calibrated: this is a ranking, the nearest first." : `${count(matches.length, "match", "matches")}.`;
  return [
    note(`${count(searched, "sighting")} of unknown walkers compared. ${searched ? said : ""}${others}`),
    h("ul", { class: "cards" },
      matches.map(({ sighting, distance, threshold }) =>
        entry(sighting, h("span", { class: "soft" }, `${number(distance, 3)} away${threshold === null ? "" : `, threshold ${number(threshold, 3)}`}`)),
      ),
    ),
  ];
}
