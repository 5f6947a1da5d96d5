// Turning on and off that a collection keeps the walks of strangers or of passers-by, or sightings.

import * as api from "./api.js";
import { confirm, field, h, notice } from "./dom.js";

const DAY = 86400;

/** A function that runs a change and shows the view again. It shows errors in the element `problems`. */
export function attempts(problems, again) {
  return async (change) => {
    try {
      await change();
      await again();
    } catch (error) {
      problems.replaceChildren(notice(error));
    }
  };
}

/**
 * The form that turns keeping on, or the line that turns it off.
 * @param here address of the setting; not used if `what.set` changes it.
 * @param seconds for how long each walk is kept; null if none is.
 * @param what `{ name, days, about, loss }`: whose walks they are, the suggested time, what turning this on does,
 *   and what turning it off deletes. `set` takes the seconds, or null, and changes the setting.
 */
export function keeping(here, seconds, attempt, what) {
  const set = what.set ?? ((time) => api.put(here, { keep_seconds: time }));
  return seconds === null ? off(set, attempt, what) : on(set, seconds, attempt, what);
}

function off(set, attempt, { name, days, about }) {
  const time = h("input", { type: "number", min: 0.01, step: "any", value: String(days), required: true });
  const form = h("form", { class: "card" },
    h("h2", {}, `${name[0].toUpperCase()}${name.slice(1)} are not kept`),
    h("p", {}, `${about} This is biometric data of people who may not know about it: make sure that you have a legal basis, and inform them.`),
    h("div", { class: "fields" }, field("Keep each for days", time)),
    h("div", { class: "actions" }, h("button", { class: "primary" }, `Keep ${name}`)),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => set(Number(time.value) * DAY));
  });
  return form;
}

function on(set, seconds, attempt, { name, loss }) {
  const stop = h("button", { type: "button", class: "danger small" }, "Turn off");
  stop.addEventListener("click", async () => {
    if (await confirm(`Stop keeping ${name}?`, loss, "Turn off")) await attempt(() => set(null));
  });
  const days = (seconds / DAY).toLocaleString(undefined, { maximumFractionDigits: 2 });
  return h("div", { class: "head" }, h("p", { class: "soft" }, `Each is kept for ${days} ${days === "1" ? "day" : "days"}.`), stop);
}
