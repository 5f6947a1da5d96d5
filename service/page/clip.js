// Where a clip comes from: a file, or the webcam.

import { h, notice, say } from "./dom.js";

const COUNT = 3;
const LONGEST = 12;

const size = (bytes) =>
  bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * A control to choose clips with.
 *
 * @param {{multiple?: boolean, signal: AbortSignal, onchange: (files: File[]) => void}} how
 * @returns {{element: HTMLElement, clear: () => void}}
 */
export function clipChooser({ multiple = false, signal, onchange }) {
  const chosen = h("p", { class: "chosen", role: "status" });
  const input = h("input", { type: "file", id: "clip", accept: "video/*,.mp4,.mov,.mkv,.webm,.avi", multiple });
  const zone = h(
    "label",
    { class: "drop", htmlFor: "clip" },
    h("strong", {}, multiple ? "Choose clips" : "Choose a clip"),
    h("span", { class: "soft" }, "or drop it here: mp4, mov, mkv, webm or avi"),
    input,
  );
  const studio = h("div", { class: "studio" });
  const camera = h("button", { type: "button", class: "quiet", onclick: record }, "Record with the webcam");

  function take(files) {
    chosen.textContent = files.map((file) => `${file.name}, ${size(file.size)}`).join(" · ");
    onchange(files);
  }

  async function record() {
    studio.replaceChildren();
    try {
      const file = await recorded(studio, signal);
      if (file) take([file]);
    } catch (error) {
      studio.replaceChildren(notice(error));
    }
    camera.focus();
  }

  input.addEventListener("change", () => input.files.length && take([...input.files]));
  for (const kind of ["dragenter", "dragover"])
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    const files = [...event.dataTransfer.files].slice(0, multiple ? undefined : 1);
    if (files.length) take(files);
  });
  const element = h(
    "div",
    { class: "chooser" },
    zone,
    navigator.mediaDevices && h("div", { class: "actions" }, camera),
    studio,
    chosen,
  );
  return {
    element,
    clear() {
      input.value = "";
      chosen.textContent = "";
    },
  };
}

/** The webcam's stream, stopped with the view. Refusals come as errors with a sentence and a code. */
export async function webcam(signal) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
      audio: false,
    });
  } catch (error) {
    const refused = error.name === "NotAllowedError";
    throw Object.assign(new Error(), {
      detail: refused ? "The browser was not allowed to use the webcam." : "No webcam could be opened.",
      code: refused ? "camera_refused" : "camera_missing",
    });
  }
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  return { stream, stop };
}

/** Show the webcam, count down, and record until told to stop; null where it was given up. */
async function recorded(studio, signal) {
  const { stream, stop } = await webcam(signal);
  const preview = h("video", { muted: true, autoplay: true, "aria-label": "The webcam's picture" });
  preview.playsInline = true;
  preview.srcObject = stream;
  const told = h("p", { class: "soft", role: "status" }, "Step back until the whole body is in the picture.");
  const main = h("button", { type: "button", class: "primary" }, "Start");
  const close = h("button", { type: "button", class: "quiet" }, "Close the webcam");
  studio.replaceChildren(preview, told, h("div", { class: "actions" }, main, close));
  main.focus();
  const pressed = (button) => new Promise((resolve) => button.addEventListener("click", resolve, { once: true }));
  const second = () => new Promise((resolve) => setTimeout(resolve, 1000));
  const closed = pressed(close).then(() => "closed");
  try {
    if ((await Promise.race([pressed(main), closed])) === "closed") return null;
    main.textContent = "Stop";
    const enough = pressed(main);
    for (let left = COUNT; left > 0; left -= 1) {
      told.textContent = `Recording in ${left}`;
      if ((await Promise.race([second(), closed, enough])) === "closed") return null;
    }
    const parts = [];
    const recorder = new MediaRecorder(stream);
    const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.start();
    say("Recording");
    let over = false;
    const finish = pressed(main).then(() => (over = true));
    for (let gone = 0; gone < LONGEST && !over; gone += 1) {
      told.textContent = `Recording: ${gone} of at most ${LONGEST} s`;
      if ((await Promise.race([second(), closed, finish])) === "closed") {
        recorder.stop();
        return null;
      }
    }
    recorder.stop();
    await ended;
    const type = recorder.mimeType.split(";")[0] || "video/webm";
    return new File(parts, `webcam.${type.endsWith("mp4") ? "mp4" : "webm"}`, { type });
  } finally {
    stop();
    studio.replaceChildren();
  }
}
