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
  for (const trail of trails) {
    const i = nearest(trail.times, seconds);
    if (i >= 0 && Math.abs(trail.times[i] - seconds) <= GAP) drawBox(canvas, trail.boxes[i], trail.label, trail.tone);
  }
}

/** A box with its name above it, in pixels of the canvas. */
export function drawBox(canvas, [x1, y1, x2, y2], label, kind) {
  const context = canvas.getContext("2d");
  const colour = tone(`${kind}-line`) || "#fff";
  // A width that looks the same however large the clip is.
  const unit = canvas.width / Math.max(canvas.clientWidth, 1);
  context.lineWidth = 2.5 * unit;
  context.strokeStyle = colour;
  context.beginPath();
  context.roundRect(x1, y1, x2 - x1, y2 - y1, 4 * unit);
  context.stroke();
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  const width = context.measureText(label).width + 12 * unit;
  const height = 22 * unit;
  const left = Math.min(Math.max(x1, 0), canvas.width - width);
  const top = y1 >= height + 2 * unit ? y1 - height - 2 * unit : Math.min(y2 + 2 * unit, canvas.height - height);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, top, width, height, 4 * unit);
  context.fill();
  context.fillStyle = tone("on-line");
  context.textBaseline = "middle";
  context.fillText(label, left + 6 * unit, top + height / 2);
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
