// A clip playing, with boxes and names drawn over it.

import { h, styled } from "./dom.js";
import { paintTurned } from "./turning.js";

/**
 * @typedef {{label: string, tone: string, times: number[], boxes: number[][]}} Trail
 *   One person's way through the clip: seconds from the first frame, and x1, y1, x2, y2 in pixels of the clip.
 */

/** Colours of the verdicts, as the style sheet has them. */
export const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Longest time in seconds for which a box stands in for one that is missing. */
const GAP = 0.25;

/**
 * @param {Blob} clip
 * @param {{width: number, height: number, rotated?: number}} size of the upright picture, in pixels; it was turned by so
 *   many degrees, which the browser knows nothing of
 * @param {Trail[]} trails
 * @param {AbortSignal} signal of the view: lets go of the clip
 */
export function player(clip, size, trails, signal) {
  const address = URL.createObjectURL(clip);
  signal.addEventListener("abort", () => URL.revokeObjectURL(address), { once: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const turn = size.rotated ?? 0;
  const video = h("video", { controls: !turn, muted: true, loop: true, autoplay: !calm, src: address });
  video.playsInline = true;
  video.setAttribute("aria-label", "The clip, with a box and a name for each walker");
  const canvas = h("canvas", { width: size.width, height: size.height, "aria-hidden": "true" });
  // A turned clip is painted picture by picture, and the video itself is not shown: its controls would lie on their side.
  const upright = turn ? h("canvas", { class: "upright", width: size.width, height: size.height, "aria-hidden": "true" }) : null;
  video.classList.toggle("unseen", turn > 0);
  const stage = styled(h("div", { class: "stage" }, ...[video, upright, canvas].filter(Boolean)), {
    "aspect-ratio": `${size.width} / ${size.height}`,
    "max-width": `calc(62vh * ${size.width / size.height})`,
  });
  const element = h("figure", { class: "player" }, stage, turn ? controls(video, signal) : null);
  video.addEventListener("error", () =>
    element.replaceChildren(h("p", { class: "notice" }, "This browser cannot play this clip; the service can read it.")),
  );
  const draw = (seconds) => {
    if (upright) paintTurned(upright, video, turn);
    paint(canvas, trails, seconds);
  };
  if ("requestVideoFrameCallback" in video) {
    const next = (_, frame) => {
      draw(frame.mediaTime);
      if (!signal.aborted) video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  } else video.addEventListener("timeupdate", () => draw(video.currentTime));
  return { element, video, draw };
}

/** What there is to press where a browser's own controls cannot be shown. */
function controls(video, signal) {
  const button = h("button", { type: "button", class: "quiet small" }, "Play");
  const at = h("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": "Position in the clip" });
  button.addEventListener("click", () => (video.paused ? video.play() : video.pause()));
  at.addEventListener("input", () => (video.currentTime = at.value * video.duration));
  const on = (name, what) => video.addEventListener(name, what, { signal });
  on("play", () => (button.textContent = "Pause"));
  on("pause", () => (button.textContent = "Play"));
  on("timeupdate", () => (at.value = video.currentTime / Math.max(video.duration, 1e-9)));
  return h("div", { class: "actions" }, button, at);
}

/** The boxes of an instant. */
function paint(canvas, trails, seconds) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  const there = trails.map((trail) => ({ ...trail, i: nearest(trail.times, seconds) }));
  const near = there.filter(({ times, i }) => i >= 0 && Math.abs(times[i] - seconds) <= GAP);
  drawBoxes(canvas, near.map(({ boxes, label, tone: kind, i }) => ({ box: boxes[i], label, kind })));
}

/**
 * Boxes with their names, in pixels of the canvas. No name covers another.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {{box: number[], label: string, kind: string}[]} people
 */
export function drawBoxes(canvas, people) {
  const context = canvas.getContext("2d");
  // A size that looks the same however large the clip is.
  const unit = canvas.width / Math.max(canvas.clientWidth, 1);
  context.lineWidth = 2.5 * unit;
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const widths = people.map(({ label }) => context.measureText(label).width + 12 * unit);
  const places = placed(people.map(({ box }) => box), widths, 22 * unit, 2 * unit, canvas);
  for (const { box: [x1, y1, x2, y2], kind } of people) {
    context.strokeStyle = tone(`${kind}-line`) || "#fff";
    context.beginPath();
    context.roundRect(x1, y1, x2 - x1, y2 - y1, 4 * unit);
    context.stroke();
  }
  people.forEach(({ label, kind }, i) => {
    const { left, top, width, height } = places[i];
    context.fillStyle = tone(`${kind}-line`) || "#fff";
    context.beginPath();
    context.roundRect(left, top, width, height, 4 * unit);
    context.fill();
    context.fillStyle = tone("on-line");
    context.fillText(label, left + 6 * unit, top + height / 2);
  });
}

/**
 * Where the names go: above each box, or below one that reaches the upper edge; one that would cover a name placed before
 * it, or a person, goes to the nearest place where it covers neither, or else to the nearest where it covers no name. As in
 * an annotated clip (`placed` in `pipelines/annotate.py`).
 *
 * @param {number[][]} boxes x1, y1, x2, y2 each
 * @param {number[]} widths of the names
 * @param {number} height of a name
 * @param {number} gap between a box and its name
 * @param {{width: number, height: number}} size of the picture
 * @returns {{left: number, top: number, width: number, height: number}[]}
 */
export function placed(boxes, widths, height, gap, size) {
  const done = [];
  boxes.forEach(([x1, y1, , y2], i) => {
    const width = Math.min(widths[i], size.width);
    const left = Math.min(Math.max(x1, 0), size.width - width);
    const own = y1 >= height + gap ? y1 - height - gap : Math.min(y2 + gap, size.height - height);
    const names = done.filter((one) => one.left < left + width && left < one.left + one.width).map((one) => [one.top, one.top + one.height]);
    const people = boxes.filter((box) => box[0] < left + width && left < box[2]).map((box) => [box[1], box[3]]);
    const clear = (top, spans) => spans.every(([first, last]) => top + height <= first || last <= top);
    const tops = [own, ...names.flatMap(([first, last]) => [first - height, last]), ...people.map(([first]) => first - height - gap)];
    const inside = tops.filter((top) => top >= 0 && top + height <= size.height && clear(top, names));
    const cost = (top) => [clear(top, people) ? 0 : 1, Math.abs(top - own)];
    inside.sort((a, b) => cost(a)[0] - cost(b)[0] || cost(a)[1] - cost(b)[1]);
    done.push({ left, top: inside[0] ?? own, width, height });
  });
  return done;
}

/** Index of the time nearest to an instant, -1 where there is none; times grow. */
function nearest(times, seconds) {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < seconds) low = middle + 1;
    else high = middle;
  }
  return low > 0 && seconds - times[low - 1] < times[low] - seconds ? low - 1 : times.length ? low : -1;
}
