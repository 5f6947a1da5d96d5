// Why this name: every part of the body against that part's own distances between different people.

import { h, newId, number, percent, s } from "./dom.js";
import { CELL, widestStep } from "./strips.js";

/** Pixels of an enlarged silhouette, in both directions. */
const SIZE = 8 * CELL;

/**
 * @typedef {{top: number, bottom: number, distance: number, share: number | null,
 *            low: number | null, median: number | null, high: number | null}} Part
 */

/**
 * Strips from head to feet: the finest division of the body that the network has.
 *
 * @returns {Part[]} empty where its parts are no strips of the body
 */
export function partsOf(explanation, candidate) {
  const parts = explanation.parts
    .map((part, i) => ({ ...part, distance: candidate.distances[i], share: candidate.impostor_shares?.[i] ?? null }))
    .filter((part) => part.top !== null && part.bottom !== null);
  const finest = Math.min(...parts.map((part) => part.bottom - part.top));
  // A network that looks twice at each strip has each twice; the first is as good as the second.
  const seen = new Set();
  return parts
    .filter((part) => part.bottom - part.top < 1.01 * finest)
    .filter((part) => !seen.has(part.top) && seen.add(part.top))
    .sort((a, b) => a.top - b.top);
}

/** Where a part speaks: 1 wholly for the candidate, -1 wholly against, 0 where it does not tell. */
const speaks = (part) => (part.share === null ? 0 : 1 - 2 * part.share);
const side = (part) => (part.share === null ? "none" : speaks(part) >= 0 ? "for" : "against");

const where = (part) => (part.bottom <= 0.2 ? "head" : part.bottom <= 0.52 ? "trunk" : part.bottom <= 0.78 ? "thighs" : "shins and feet");

/** The pictures and the figures of one candidate. */
export function explained(person, candidate, name) {
  const found = person.explanation?.candidates.find((one) => one.template === candidate.template);
  if (!found) return null;
  const parts = partsOf(person.explanation, found);
  const body = h("div", { class: "explained" });
  const details = h("details", { class: "explain" }, h("summary", {}, `Evidence for and against ${name}`), body);
  details.addEventListener("toggle", () => details.open && !body.hasChildNodes() && fill(body, person, candidate, parts, name));
  if (candidate.rank === 1 && person.verdict === "match") details.open = true;
  return details;
}

function fill(body, person, candidate, parts, name) {
  const { pictures, explanation } = person;
  const other = pictures?.templates[candidate.template];
  if (!parts.length) return body.append(h("p", { class: "soft" }, "This network does not divide the body into strips."));
  body.append(
    h("div", { class: "bodies" },
      pictures && figure(pictures.silhouettes, parts, "This walker"),
      chart(parts),
      other && figure(other.silhouettes, parts, `${name}, as enrolled`),
    ),
    h("p", { class: "soft" }, told(explanation)),
    table(parts),
  );
}

function told({ source, pairs }) {
  if (source === null) return "Too few people are enrolled to know typical distances between different people in each part.";
  const from = source === "calibration" ? "the network's calibration" : "this collection";
  return [
    h("span", { class: "key for" }), " nearer than most different people are, ",
    h("span", { class: "key against" }), " as far as they are. The band holds 90 % of ",
    `${pairs.toLocaleString()} pairs of different people from ${from}, the tick half of them. The nearest of many candidates is near in most parts by selection alone: compare the parts with one another, and with the next candidate's.`,
  ];
}

/** A silhouette, each of its strips in the colour of what it says. */
function figure(silhouettes, parts, caption) {
  const canvas = h("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": `${caption}, in coloured strips` });
  widestStep(silhouettes).then((mask) => tint(canvas, mask, parts));
  return h("figure", { class: "body" }, h("div", { class: "crop" }, canvas), h("figcaption", { class: "soft" }, caption));
}

function tint(canvas, mask, parts) {
  const style = getComputedStyle(canvas);
  const context = canvas.getContext("2d");
  context.drawImage(outlined(mask), 0, 0);
  context.globalCompositeOperation = "source-in";
  const colours = context.createLinearGradient(0, 0, 0, SIZE);
  for (const part of parts) {
    const strength = Math.min(1, 0.25 + Math.abs(speaks(part)));
    const colour = part.share === null ? "#969696" : style.getPropertyValue(`--${side(part)}`).trim();
    colours.addColorStop(part.top, mixed(colour, strength));
    colours.addColorStop(part.bottom, mixed(colour, strength));
  }
  context.fillStyle = colours;
  context.fillRect(0, 0, SIZE, SIZE);
}

/** A silhouette enlarged, its edge drawn smooth instead of in steps. */
function outlined(mask) {
  const [small, large] = [CELL, SIZE].map((size) => h("canvas", { width: size, height: size }));
  const cell = small.getContext("2d");
  const picture = cell.createImageData(CELL, CELL);
  mask.forEach((value, i) => (picture.data[4 * i + 3] = value));
  cell.putImageData(picture, 0, 0);
  const context = large.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.filter = "blur(6px)";
  context.drawImage(small, 0, 0, SIZE, SIZE);
  const whole = context.getImageData(0, 0, SIZE, SIZE);
  for (let i = 3; i < whole.data.length; i += 4) whole.data[i] = 6 * (whole.data[i] - 106);
  context.putImageData(whole, 0, 0);
  return large;
}

/** A colour of six hexadecimal digits, drawn towards grey. */
function mixed(colour, strength) {
  const grey = 150;
  const parts = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `rgb(${parts.map((value) => Math.round(grey + strength * (value - grey))).join(" ")})`;
}

/** Each part's distance as a dot over the distances between different people. */
function chart(parts) {
  const far = Math.max(...parts.map((part) => Math.max(part.high ?? 0, part.distance)));
  const x = (value) => `${(2 + (94 * value) / far).toFixed(2)}%`;
  const width = (from, to) => `${((94 * (to - from)) / far).toFixed(2)}%`;
  const id = newId("chart");
  const rows = parts.flatMap((part) => {
    const y = `${(50 * (part.top + part.bottom)).toFixed(2)}%`;
    const height = `${(58 * (part.bottom - part.top)).toFixed(2)}%`;
    const top = `${(50 * (part.top + part.bottom) - 29 * (part.bottom - part.top)).toFixed(2)}%`;
    return [
      part.high !== null && s("rect", { class: "band", x: x(part.low), y: top, width: width(part.low, part.high), height, rx: 3 }),
      part.median !== null && s("rect", { class: "tick", x: x(part.median), y: top, width: 1.5, height }),
      s("line", { class: `stem ${side(part)}`, x1: x(0), x2: x(part.distance), y1: y, y2: y }),
      s("circle", { class: `dot ${side(part)}`, cx: x(part.distance), cy: y, r: 4.5 }),
    ].filter(Boolean);
  });
  return h("figure", { class: "chart" },
    s("svg", { role: "img", "aria-labelledby": id }, rows),
    h("figcaption", { class: "soft", id }, "Distance, head to feet"),
  );
}

function table(parts) {
  const head = ["Strip", "Distance", "Half of different people within", "As near by chance"];
  return h("details", { class: "numbers" },
    h("summary", {}, "Table of these values"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Figures by strip" },
      h("table", {},
        h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, parts.map((part, i) =>
          h("tr", {}, h("th", { scope: "row" }, `${i + 1}, ${where(part)}`),
            [number(part.distance, 3), number(part.median, 3), percent(part.share)].map((text) => h("td", {}, text))),
        )),
      ),
    ),
  );
}
