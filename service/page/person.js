// One walker of a clip: verdict, distances against the threshold, quality.

import { h, number, styled, sure, words } from "./dom.js";

/** Confidence of a match below which the card says what it means. */
const DOUBTFUL = 0.9;

const MARKS = { match: "✓", unknown: "?", inconclusive: "–" };

const REASONS = {
  empty_gallery: "No one is enrolled in this collection.",
  too_short: "The walk is too short for a verdict.",
  low_rate: "The clip has too few frames per second for a verdict.",
  poor_quality: "The walker's quality is too low for a verdict.",
  not_upright: "The walker does not stand upright in the picture.",
  likeness_changed: "The walker's appearance changes: this may be two people.",
  uncalibrated: "The network is not calibrated: only the ranking is meaningful.",
};

/** The name in a verdict, in a few words. */
export function nameOf(person, names = new Map()) {
  if (person.verdict !== "match") return person.verdict;
  const { subject } = person.candidates[0];
  return names.get(subject) ?? subject;
}

export const verdictBadge = (verdict) =>
  h("span", { class: `badge ${verdict}` }, h("span", { "aria-hidden": "true" }, MARKS[verdict]), ` ${verdict}`);

/** A sentence on a walk. */
export function aboutWalk({ start, end, quality }) {
  const cycles = `${quality.gait_cycles.toFixed(1)} gait cycles`;
  return `${start.toFixed(1)} to ${end.toFixed(1)} s · ${quality.frames} frames at ${quality.rate_hz.toFixed(0)} Hz · ${cycles}`;
}

/**
 * Candidates as bars, with the threshold as a line through all of them.
 *
 * @param {object} person an identification, or a verification with its subject as the only candidate
 * @param {Map<string, string>} names display names by subject
 */
export function distances(person, names) {
  const limit = person.threshold.value;
  const longest = 1.06 * Math.max(limit ?? 0, ...person.candidates.map((candidate) => candidate.distance), 1e-9);
  const at = (value) => `${((100 * value) / longest).toFixed(2)}%`;
  const line = () =>
    limit === null ? null : styled(h("span", { class: "limit", "aria-hidden": "true" }), { left: at(limit) });
  const rows = person.candidates.map((candidate) => {
    const near = limit !== null && candidate.distance <= limit;
    const bar = styled(h("span", { class: "fill" }), { width: at(candidate.distance) });
    return h(
      "li",
      { class: near ? "near" : "far" },
      h("a", { class: "who", href: `#/people/${encodeURIComponent(candidate.subject)}` },
        names.get(candidate.subject) ?? candidate.subject),
      h("span", { class: "track", "aria-hidden": "true" }, bar, line()),
      h("span", { class: "figures" },
        h("span", {}, number(candidate.distance, 3)),
        h("span", { class: "soft" }, candidate.confidence === null ? "" : sure(candidate.confidence)),
      ),
    );
  });
  return h(
    "figure",
    { class: "distances" },
    h("figcaption", {},
      "Distance to the nearest walk of each candidate",
      h("span", { class: "soft" }, person.candidates.some((c) => c.confidence !== null) ? ", and confidence" : ""),
    ),
    h("ol", {}, rows),
    h("p", { class: "soft" }, legend(person.threshold)),
  );
}

function legend(threshold) {
  const { value, basis, unit } = threshold;
  if (value === null) return "There is no threshold: the network is not calibrated.";
  return [
    h("span", { class: "limit-key", "aria-hidden": "true" }),
    ` Threshold ${number(value, 3)}: at most `,
    threshold.fmr === undefined ? named(threshold) : `${100 * threshold.fmr} % of strangers who claim to be this person would match.`,
    rests(basis, unit),
  ];
}

const named = ({ fpir, gallery_size: size, extrapolated }) =>
  `${100 * fpir} % of strangers would be named among ${size} walks enrolled${extrapolated ? ", by extrapolation: the calibration does not cover this size." : "."}`;

/** What a threshold rests on, in a sentence. */
function rests(basis, unit) {
  if (basis == null) return "";
  if (unit == null) return " It is strict, because too few other people are known for comparison.";
  const others = basis === "collection" ? "the other people enrolled" : basis.replace("camera", "people this camera saw");
  return ` It is a share of ${number(unit, 3)}, the mean distance to ${others}.`;
}

const seenFrom = ({ camera, heading, walks, applied }) =>
  `Seen by ${camera}${heading ? `, walking ${words(heading)}` : ""}: ${walks} passers-by of this view are kept, ${applied ? "and their common part was subtracted." : "too few to subtract their common part."}`;

/** Says that a walker appeared before, under another number. */
export const returned = (track) => `Probably the same person as walker ${track}, who left and came back.`;

/** A card of one walker who was compared with one subject. */
export function claim(person, names) {
  const name = names.get(person.subject) ?? person.subject;
  const { distance, subject, confidence } = person;
  const candidates = distance === null ? [] : [{ subject, distance, confidence }];
  const said = { match: `This walker is ${name}.`, unknown: `This walk does not show that the walker is ${name}.` };
  return h(
    "article",
    { class: `card person ${person.verdict}` },
    h("header", {},
      h("div", {},
        h("h2", {}, name),
        h("p", { class: "verdict" },
          verdictBadge(person.verdict),
          confidence !== null && h("span", {}, `confidence ${sure(confidence)}`),
        ),
        h("p", { class: "soft" }, `Walker ${person.track} · `, aboutWalk(person)),
      ),
    ),
    h("p", {}, person.reason ? (REASONS[person.reason] ?? words(person.reason)) : said[person.verdict]),
    person.seen && h("p", { class: "soft" }, seenFrom(person.seen)),
    !person.trained && h("p", { class: "notice" }, "The network is untrained: do not rely on the distance."),
    candidates.length > 0 && distances({ ...person, candidates }, names),
  );
}

/** Why a walker gets a name or none, where the confidence alone would not tell. */
function whyNamed({ verdict, threshold, candidates: [best] }, names) {
  const name = names.get(best.subject) ?? best.subject;
  const rate = 100 * threshold.fpir;
  const often = best.confidence === null ? null : sure(best.confidence);
  if (verdict === "match" && often !== null && best.confidence < DOUBTFUL)
    return h("p", { class: "soft" },
      `Named, because at most ${rate} % of strangers come as near as this to anyone. The confidence is another measure: among as many strangers as enrolled people, ${often} of the walks at this distance were the named person's.`);
  if (verdict === "unknown")
    return h("p", {},
      `No enrolled person is near enough. The nearest is ${name}${often === null ? "" : `, at a confidence of ${often}`}: more than ${rate} % of strangers come as near as this to someone.`);
  return null;
}

/** A card of one walker. */
export function card(person, names, { picture, strips, explain, actions } = {}) {
  const best = person.candidates[0];
  const match = person.verdict === "match";
  return h(
    "article",
    { class: `card person ${person.verdict}` },
    h("header", {},
      picture,
      h("div", {},
        h("h3", {}, match ? nameOf(person, names) : `Walker ${person.track}`),
        h("p", { class: "verdict" },
          verdictBadge(person.verdict),
          match && best.confidence !== null && h("span", {}, `confidence ${sure(best.confidence)}`),
        ),
        h("p", { class: "soft" }, match ? `Walker ${person.track} · ` : "", aboutWalk(person)),
      ),
    ),
    person.reason && h("p", {}, REASONS[person.reason] ?? words(person.reason)),
    best && whyNamed(person, names),
    Number.isFinite(person.age) && h("p", { class: "notice warn" }, `The store cannot be reached: the search used data that is ${Math.round(person.age)} s old.`),
    person.same_as && h("p", {}, returned(person.same_as)),
    person.seen && h("p", { class: "soft" }, seenFrom(person.seen)),
    !person.trained && h("p", { class: "notice" }, "The network is untrained: do not rely on the ranking."),
    strips,
    person.candidates.length > 0 && distances(person, names),
    explain && person.candidates.map(explain),
    actions,
  );
}
