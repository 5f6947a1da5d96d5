// The webcam, with a box and a name for everybody who walks before it.

import * as api from "../api.js";
import { webcam } from "../clip.js";
import { h, notice, say, styled, sure, words } from "../dom.js";
import { namesIn } from "../names.js";
import { distances, returned, verdictBadge } from "../person.js";
import { drawBoxes } from "../player.js";
import { stream } from "../stream.js";
import { paintTurned, turnChooser, turnField } from "../turning.js";

/** Seconds of gait that it takes to be named, where the service does not say. */
const WINDOW = 1.5;
const MOST_LINES = 30;
/** Cards that stay of people who were seen; the oldest go first. */
const MOST_CARDS = 12;

const WHY = {
  too_short: "walk on",
  standing: "standing",
  unconfirmed: "one moment",
  likeness_changed: "another person?",
  empty_gallery: "no one is enrolled",
  low_rate: "too few frames a second",
  poor_quality: "seen too poorly",
  not_upright: "not upright: turn the camera",
  uncalibrated: "no calibration",
};

export async function render(view, { signal }) {
  const button = h("button", { type: "button", class: "primary" }, "Start");
  const canvas = h("canvas", { width: 960, height: 540, role: "img", "aria-label": "The webcam's picture, with a box around each person" });
  const stage = h("div", { class: "stage live" }, canvas);
  const problems = h("div", {});
  const people = h("section", { class: "result", "aria-label": "People" });
  const figures = h("p", { class: "soft figures-line" });
  const log = h("ul", { class: "log", role: "log", "aria-label": "Names so far" });
  const logged = h("section", { class: "card", hidden: true }, h("h2", {}, "Names so far"), log);
  const turn = turnChooser();
  turn.firstElementChild.remove();  // the webcam of a page is none that the service has a name for
  let running = null;

  async function start() {
    button.disabled = true;
    problems.replaceChildren();
    people.replaceChildren();
    try {
      const camera = await webcam(signal);
      const video = h("video", { muted: true, autoplay: true });
      video.playsInline = true;
      video.srcObject = camera.stream;
      await video.play();
      const degrees = Number(turn.value);
      const show = shower(canvas, degrees, people, figures, (line) => {
        logged.hidden = false;
        log.prepend(line);
        while (log.children.length > MOST_LINES) log.lastElementChild.remove();
      });
      const sent = stream(video, api.collection.get(), degrees, {
        onevent: show.take,
        onend(problem) {
          camera.stop();
          running = null;
          turn.disabled = false;
          button.textContent = "Start";
          button.disabled = false;
          show.ended();
          if (problem) problems.replaceChildren(notice(problem));
        },
      });
      running = {
        stop() {
          camera.stop(); // at once; the last verdicts come a moment later
          sent.stop();
        },
        leave: sent.leave,
      };
      turn.disabled = true;
      button.textContent = "Stop";
      say("The live view is running");
    } catch (error) {
      problems.replaceChildren(notice(error));
    }
    button.disabled = false;
  }

  button.addEventListener("click", () => {
    if (!running) return start();
    button.disabled = true;
    running.stop();
  });
  signal.addEventListener("abort", () => running?.leave());
  view.append(
    h("div", { class: "head" }, h("h1", {}, "Live"), button),
    h("p", { class: "lead" }, "The webcam's picture is sent to this service only, and is not kept."),
    h("div", { class: "fields" }, turnField(turn)),
    problems,
    stage,
    figures,
    people,
    logged,
  );
}

/** What turns events into pictures, cards and lines. */
function shower(canvas, degrees, people, figures, write) {
  const cards = new Map();
  const names = new Map();
  const dropped = new Map();
  const times = [];
  const called = (shown) => (shown.subject ? (names.get(shown.subject) ?? shown.subject) : shown.verdict);

  function tracks(event, frame) {
    if (frame) {
      Object.assign(canvas, { width: event.width, height: event.height });
      styled(canvas.parentElement, {
        "aspect-ratio": `${event.width} / ${event.height}`,
        "max-width": `calc(62vh * ${event.width / event.height})`,
      });
      paintTurned(canvas, frame, degrees);
    }
    drawBoxes(canvas, event.people.map(({ box, shown }) => ({ box, label: labelled(shown), kind: shown.verdict })));
    for (const person of event.people) cardOf(person.track).stands(person);
    for (const track of event.ended) cards.get(track)?.ended();
    while (cards.size > MOST_CARDS) drop([...cards.keys()][0]);
    times.push(performance.now());
    while (times.length > 30) times.shift();
    const rate = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1) - times[0]) : 0;
    const passed = [...dropped].map(([reason, frames]) => `${frames} ${words(reason)}`).join(", ");
    figures.textContent = `${rate.toFixed(0)} frames a second, ${Math.round(1000 * event.latency)} ms from frame to box; dropped frames: ${passed || "none"}`;
  }

  const labelled = (shown) =>
    shown.verdict === "match"
      ? `${called(shown)}${shown.confidence === null ? "" : ` ${sure(shown.confidence)}`}`
      : (WHY[shown.reason] ?? shown.verdict);

  function cardOf(track) {
    if (!cards.has(track)) {
      const made = card(track, called);
      cards.set(track, made);
      people.prepend(made.element);
    }
    return cards.get(track);
  }

  function drop(track) {
    cards.get(track)?.element.remove();
    cards.delete(track);
  }

  async function verdict(event) {
    if (event.person) {
      const subjects = event.person.candidates.map((candidate) => candidate.subject);
      if (subjects.some((subject) => !names.has(subject))) {
        const found = await namesIn(event.person.collection, [event.person]);
        for (const subject of subjects) names.set(subject, found.get(subject) ?? subject);
      }
      cards.get(event.track)?.judged(event.person, names);
    }
    cards.get(event.track)?.shows(event.shown);
    if (event.changed && event.shown.verdict !== "inconclusive") {
      const by = event.shown.confidence === null ? "" : `, ${sure(event.shown.confidence)}`;
      const at = new Date().toLocaleTimeString();
      write(h("li", {}, h("span", { class: "soft" }, at), ` Walker ${event.track}: ${called(event.shown)}${by}`));
    }
  }

  return {
    take(event, frame) {
      if (event.event === "tracks") tracks(event, frame);
      else if (event.event === "verdict") verdict(event);
      else if (event.event === "dropped")
        dropped.set(event.reason, (dropped.get(event.reason) ?? 0) + event.frames.length);
    },
    /** The stream is over: its people stay to be read. */
    ended: () => cards.forEach((one) => one.ended()),
  };
}

/** One walker as they stand now. */
function card(track, called) {
  const name = h("h2", {});
  const badge = h("span", {});
  const gait = h("progress", { max: WINDOW, value: 0, "aria-label": "Gait seen" });
  const far = h("div", {});
  const gone = h("p", { class: "soft", hidden: true }, "Not in the picture any more.");
  let said = "";
  return {
    element: h("article", { class: "card person" },
      h("div", { class: "head" }, name, badge),
      h("div", { class: "progress" }, gait),
      gone,
      far,
    ),
    stands({ shown, gait: seconds }) {
      gait.value = Math.min(WINDOW, seconds);
      this.shows(shown);
    },
    shows(shown) {
      const now = `${shown.verdict} ${shown.reason} ${called(shown)}`;
      if (now === said) return;
      said = now;
      name.textContent = shown.verdict === "match" ? called(shown) : `Walker ${track}`;
      badge.replaceChildren(verdictBadge(shown.verdict), h("span", { class: "soft" }, shown.reason ? ` ${WHY[shown.reason] ?? words(shown.reason)}` : ""));
    },
    /** The person has gone; the last verdict stays. */
    ended() {
      gait.parentElement.hidden = true;
      gone.hidden = false;
    },
    judged(person, names) {
      const again = person.same_as && h("p", { class: "soft" }, returned(person.same_as));
      far.replaceChildren(...[again, person.candidates.length && distances(person, names)].filter(Boolean));
    },
  };
}
