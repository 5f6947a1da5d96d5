// Walks of one or two people beside each other: moving, with the distances between them.

import * as api from "./api.js";
import { confirm, count, date, h, notice, number, percent, say, words } from "./dom.js";
import { group } from "./moving.js";
import { aboutWalk } from "./person.js";
import { stripsOf } from "./strips.js";

const address = (id) => `#/people/${encodeURIComponent(id)}`;
const place = (template, ...more) => api.inCollection("subjects", template.subject, "templates", template.id, ...more);

/**
 * The walks of one or two people.
 *
 * @param {{subject: object, templates: object[], outliers: object[]}[]} people replies about them
 * @param {AbortSignal} signal
 */
export async function beside(people, signal) {
  const [one, two] = people.map(({ subject }) => subject.subject);
  const query = two === undefined ? "" : `?${new URLSearchParams({ other: two })}`;
  const between = await api.get(`${api.inCollection("subjects", one, "distances")}${query}`);
  const known = new Map(between.templates.map((template, i) => [template.id, i]));
  const names = new Map();
  for (const { templates } of people) templates.forEach(({ id, subject }, i) => names.set(id, `${subject} ${i + 1}`));
  const titles = between.templates.map(({ id, subject }) => names.get(id) ?? subject);
  const moving = group(signal);

  /** The nearest walk of a person to a walk, in words. */
  function nearest(id, whose) {
    const row = between.distances[known.get(id)];
    if (!row) return null;
    let best = null;
    between.templates.forEach((other, i) => {
      if (other.id !== id && other.subject === whose && (best === null || row[i] < row[best])) best = i;
    });
    return best === null ? null : h("p", { class: "near" }, h("strong", {}, number(row[best], 3)), ` to ${titles[best]}`);
  }

  const columns = people.map(({ subject, templates, outliers }) => {
    const odd = new Map(outliers.map((outlier) => [outlier.template, outlier]));
    const cards = templates.map((template) =>
      card(template, { title: names.get(template.id), near: [nearest(template.id, one), nearest(template.id, two)], outlier: odd.get(template.id), moving }),
    );
    return h("section", { "aria-label": `Walks of ${subject.subject}` },
      h("h2", {}, two === undefined ? count(templates.length, "walk") : h("a", { href: address(subject.subject) }, subject.display_name ?? subject.subject)),
      h("ul", { class: "cards" }, cards),
    );
  });
  return h("div", { class: "view" },
    between.templates.length > 0 && h("div", { class: "actions" }, moving.button, h("p", { class: "soft" }, "Each number is the distance to the nearest other walk: the smaller, the more alike.")),
    h("div", { class: two === undefined ? "beside" : "beside two" }, columns),
    between.templates.length > 1 && table(titles, between.distances),
  );
}

const table = (titles, distances) =>
  h("details", {},
    h("summary", {}, "All distances"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Distances between the walks" },
      h("table", {},
        h("thead", {}, h("tr", {}, h("td", {}), titles.map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, distances.map((row, i) =>
          h("tr", {}, h("th", { scope: "row" }, titles[i]), row.map((distance, j) => h("td", {}, i === j ? "–" : number(distance, 3)))))),
      ),
    ),
  );

function card(template, { title, near, outlier, moving }) {
  const item = h("li", { class: "card" });
  const whose = `${title}, enrolled ${date(template.created)}`;
  const drop = h("button", { type: "button", class: "quiet small", "aria-label": `Delete this walk: ${title}` }, "Delete this walk");
  drop.addEventListener("click", async () => {
    const sentence = "The template, its embedding and its sequence are deleted. The person stays enrolled.";
    if (!(await confirm("Delete this walk?", sentence, "Delete"))) return;
    try {
      await api.remove(place(template));
      item.remove();
      say("The walk is deleted");
    } catch (error) {
      item.append(notice(error));
    }
  });
  const stage = h("div", { class: "moves" });
  api.get(place(template, "silhouettes")).then((walk) => moving.add(walk, whose)).then(
    (canvas) => stage.replaceChildren(canvas),
    (error) => stage.replaceChildren(notice(error)),
  );
  const { camera, heading, quality } = template;
  item.append(
    h("div", { class: "head" }, h("h3", {}, title), drop),
    stage,
    ...near.filter(Boolean),
    h("p", { class: "soft" }, date(template.created), camera && ` · seen by ${camera}`, heading && `, walking ${words(heading)}`),
    h("p", { class: "soft" }, aboutWalk(template)),
    h("p", { class: "soft" }, `Quality: joints ${percent(quality.mean_joint_score)}, silhouettes ${percent(quality.mask_stability)}`),
    pictures(template, whose),
    h("p", { class: "soft" }, "Network ", h("code", {}, template.fingerprint)),
    ...(outlier ? [doubt(outlier)] : []),
    ...(template.expires ? [h("p", { class: "soft" }, `Expires ${date(template.expires)}.`)] : []),
  );
  return item;
}

/** Silhouettes and skeletons, fetched when they are opened. */
function pictures(template, whose) {
  const room = h("div", {});
  const details = h("details", {}, h("summary", {}, "Silhouettes and skeletons"), room);
  details.addEventListener("toggle", () => {
    if (!details.open || room.firstChild) return;
    api.get(place(template, "pictures")).then(
      (strips) => room.replaceChildren(stripsOf(strips, whose)),
      (error) => room.replaceChildren(notice(error)),
    );
  });
  return details;
}

const doubt = ({ reason, own_distance: own, other_subject: other, other_distance: far }) =>
  h("div", { class: "notice warn" },
    h("p", {},
      `This walk may show another person (${words(reason)}): ${number(own, 3)} from the nearest own walk`,
      other && [", ", number(far, 3), " from ", h("a", { href: address(other) }, other)],
      ".",
    ),
  );
