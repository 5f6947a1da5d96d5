// Pictures of a camera that hangs otherwise: turned clockwise by so many degrees.

import { field, h } from "./dom.js";

const TURNS = [
  ["", "As set for the camera"],
  ["0", "Not turned"],
  ["90", "90° clockwise"],
  ["180", "Upside down"],
  ["270", "90° anticlockwise"],
];

/** A control to choose a turn with; its value is empty where the service is to say. */
export const turnChooser = () => h("select", {}, TURNS.map(([value, text]) => h("option", { value }, text)));

/** The control with its label. */
export const turnField = (select) => field("Turn the pictures", select, "For a camera mounted upside down or on its side.");

/** Paint a picture, turned, over a canvas of the size that it then has. */
export function paintTurned(canvas, picture, degrees) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const [across, down] = degrees % 180 ? [height, width] : [width, height];
  context.save();
  context.translate(width / 2, height / 2);
  context.rotate((degrees * Math.PI) / 180);
  context.drawImage(picture, -across / 2, -down / 2, across, down);
  context.restore();
}
