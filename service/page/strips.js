// Pictures of a walk: strips of silhouettes and skeletons, and single silhouettes cut out of them.

import { h } from "./dom.js";

/** Pixels of a silhouette in a strip, in both directions. */
export const CELL = 64;

export const png = (data) => `data:image/png;base64,${data}`;

/** Silhouettes above skeletons, to be scrolled where there is no room. */
export function stripsOf({ silhouettes, skeletons }, whose) {
  return h("div", { class: "strips", tabindex: "0", role: "group", "aria-label": `The walk of ${whose}` },
    h("img", { src: png(silhouettes), width: "1280", height: "64", alt: "Twenty silhouettes spread over the walk" }),
    skeletons &&
      h("img", { src: png(skeletons), width: "1280", height: "64", alt: "The skeletons of the same moments; left limbs blue, right limbs orange" }),
  );
}

export const thumbnail = (data, whose) => h("img", { src: `data:image/jpeg;base64,${data}`, alt: whose });

/**
 * The moment of a strip with the widest step, so that two walks are looked at in like postures.
 *
 * @returns {Promise<Uint8ClampedArray>} 64 × 64 values from 0 to 255, row by row
 */
export async function widestStep(silhouettes) {
  const image = new Image();
  image.src = png(silhouettes);
  await image.decode();
  const canvas = h("canvas", { width: image.width, height: CELL });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  let best = null;
  let widest = -1;
  for (let left = 0; left + CELL <= image.width; left += CELL) {
    const { data } = context.getImageData(left, 0, CELL, CELL);
    const mask = new Uint8ClampedArray(CELL * CELL).map((_, i) => data[4 * i]);
    const width = step(mask);
    if (width > widest) [widest, best] = [width, mask];
  }
  return best;
}

/** Width of the lowest quarter of a silhouette, in pixels. */
function step(mask) {
  let left = CELL;
  let right = -1;
  for (let y = (3 * CELL) / 4; y < CELL; y += 1)
    for (let x = 0; x < CELL; x += 1)
      if (mask[y * CELL + x] > 127) {
        left = Math.min(left, x);
        right = Math.max(right, x);
      }
  return right - left;
}
