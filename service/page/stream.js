// The live stream's near end: frames of the webcam out, events in.

import { at, Problem } from "./api.js";
import { h } from "./dom.js";

/** Pixels of a frame that is sent, at most; larger ones are made smaller. */
const WIDEST = 960;
const QUALITY = 0.85;
/** Milliseconds to wait for the last verdicts. */
const PATIENCE = 20_000;

/**
 * Send what the webcam sees, as fast as the service takes it.
 *
 * Each frame is kept until the service has said who is in it or that it was passed over, so that boxes are drawn on the
 * very frame that they were found in.
 *
 * @param {HTMLVideoElement} video that plays the webcam
 * @param {string} collection
 * @param {number} rotate degrees by which the service is to turn the pictures clockwise
 * @param {{onevent: (event: object, frame: ImageBitmap | null) => void, onend: (problem: Problem | null) => void}} told
 * @returns {{stop: () => void, leave: () => void}}
 */
export function stream(video, collection, rotate, { onevent, onend }) {
  const socket = dialled(`/stream?${new URLSearchParams({ collection, rotate })}`);
  const coder = h("canvas");
  const frames = new Map();
  let credit = 0;
  let seq = 0;
  let last = -1;
  let busy = false;
  let problem = null;
  let opened = false;
  let over = false;
  let stopped = false;

  const next = () => video.requestVideoFrameCallback(take);

  async function take(now, { captureTime }) {
    if (over || stopped) return;
    next();
    const t = (captureTime ?? now) / 1000;
    if (busy || credit < 1 || t <= last) return;
    busy = true;
    try {
      const scale = Math.min(1, WIDEST / video.videoWidth);
      coder.width = Math.round(scale * video.videoWidth);
      coder.height = Math.round(scale * video.videoHeight);
      coder.getContext("2d").drawImage(video, 0, 0, coder.width, coder.height);
      const [frame, data] = await Promise.all([
        createImageBitmap(coder),
        new Promise((resolve) => coder.toBlob(resolve, "image/jpeg", QUALITY)),
      ]);
      if (over || stopped) return frame.close();
      socket.send(JSON.stringify({ t, seq, codec: "jpeg" }));
      socket.send(data);
      frames.set(seq, frame);
      [last, credit, seq] = [t, credit - 1, seq + 1];
    } finally {
      busy = false;
    }
  }

  function end() {
    if (over) return;
    over = true;
    for (const frame of frames.values()) frame.close();
    frames.clear();
    if (!opened) problem ??= refused();
    onend(problem);
  }

  socket.addEventListener("open", () => {
    opened = true;
    next();
  });
  socket.addEventListener("message", ({ data }) => {
    if (over) return;
    const event = JSON.parse(data);
    if (event.event === "credit") credit += event.frames;
    if (event.event === "error" && event.fatal !== false) problem = new Problem(event);
    const frame = frames.get(event.seq) ?? null;
    onevent(event, frame);
    for (const done of { dropped: event.frames, tracks: [event.seq] }[event.event] ?? []) {
      frames.get(done)?.close();
      frames.delete(done);
    }
  });
  socket.addEventListener("close", end);
  /** End at once. */
  function leave() {
    end();
    socket.close();
  }

  /** Send no more frames. The stream ends once the service has given its last verdicts. */
  function stop() {
    stopped = true;
    if (socket.readyState !== WebSocket.OPEN) return leave();
    socket.send(JSON.stringify({ end: true }));
    setTimeout(() => socket.close(), PATIENCE);
  }

  return { stop, leave };
}

/** A WebSocket to this service; the browser sends the session's cookie. */
function dialled(address) {
  const url = at(address);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url, ["gaitkeeper.v1"]);
}

// Why a handshake was refused is not told to pages.
const refused = () =>
  Object.assign(new Error(), {
    detail: "The service refused the stream: too many streams may be running, or the key may not permit this.",
  });
