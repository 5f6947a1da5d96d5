// Walks as moving silhouettes, and one button that stops and starts all of a group.

import { h } from "./dom.js";
import { CELL, png } from "./strips.js";

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * A group of walks that move together.
 *
 * @param {AbortSignal} signal ends the movement when the view is left
 */
export function group(signal) {
  const walks = [];
  const button = h("button", { type: "button", class: "quiet small" });
  let playing = !still();
  let began = performance.now();
  let stopped = 0; // milliseconds into the walks, while they stand still

  function draw() {
    const at = playing ? performance.now() - began : stopped;
    for (const walk of walks) walk(at / 1000);
  }
  function step() {
    if (!playing || signal.aborted) return;
    draw();
    requestAnimationFrame(step);
  }
  function told() {
    button.textContent = playing ? "Stop the walks" : "Let them walk";
  }
  button.addEventListener("click", () => {
    if (playing) stopped = performance.now() - began;
    else began = performance.now() - stopped;
    playing = !playing;
    told();
    step();
  });
  told();
  step();

  return {
    button,
    /**
     * Show a walk.
     *
     * @param {{silhouettes: string, frames: number, rate_hz: number}} walk
     * @param {string} whose says in words whose walk it is
     */
    async add({ silhouettes, frames, rate_hz: rate }, whose) {
      const sheet = new Image();
      sheet.src = png(silhouettes);
      await sheet.decode();
      const canvas = h("canvas", { class: "moving", width: CELL, height: CELL, role: "img", "aria-label": `The walk of ${whose}` });
      const context = canvas.getContext("2d");
      let shown = -1;
      walks.push((seconds) => {
        const frame = Math.floor(seconds * rate) % frames;
        if (frame === shown) return;
        shown = frame;
        canvas.dataset.frame = frame;
        context.drawImage(sheet, frame * CELL, 0, CELL, CELL, 0, 0, CELL, CELL);
      });
      draw();
      return canvas;
    },
  };
}
