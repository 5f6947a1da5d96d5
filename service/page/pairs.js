// Two subjects who may be one person: suggestions, and what can be done with a pair.

import * as api from "./api.js";
import { confirm, h, note, notice, number, say, sure } from "./dom.js";

/** Pairs that are suggested at once. */
const SHOWN = 3;
/** Subjects that are looked at per request. */
const PAGE = 100;

export const compared = (one, two) => `#/people/${encodeURIComponent(one)}/${encodeURIComponent(two)}`;

/**
 * Buttons that merge two subjects, in either direction.
 *
 * @param {string} one
 * @param {string} two
 * @param {(remaining: string) => void} done
 */
export function mergeButtons(one, two, done) {
  const problems = h("div", {});
  const into = (subject, other) =>
    h("button", { type: "button", class: "quiet small", onclick: () => merge(subject, other, done, problems) }, `Merge into ${subject}`);
  return [into(one, two), into(two, one), problems];
}

async function merge(subject, other, done, problems) {
  const sentence = `All walks of ${other} become walks of ${subject}, and the id ${other} no longer exists. The name and the data of ${subject} win. This cannot be undone.`;
  if (!(await confirm(`Merge ${other} into ${subject}?`, sentence, "Merge"))) return;
  try {
    await api.post(api.inCollection("subjects", subject, "merge"), { other });
    say(`${other} is merged into ${subject}`);
    done(subject);
  } catch (error) {
    problems.replaceChildren(notice(error));
  }
}

/** Keep that two subjects are different people. */
export const tellApart = (subject, other, collection = api.collection.get()) =>
  api.post(api.path("collections", collection, "subjects", subject, "apart"), { other });

/** A button that says so, and what to do then. */
export function notTheSame(one, two, done) {
  const problems = h("div", {});
  const button = h("button", { type: "button", class: "quiet small" }, "Not the same");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await tellApart(one, two);
      say(`${one} and ${two} are different people`);
      done();
    } catch (error) {
      button.disabled = false;
      problems.replaceChildren(notice(error));
    }
  });
  return [button, problems];
}

/**
 * Fill a section with the likely doubles of the collection, if there are any.
 *
 * @param {HTMLElement} section
 * @param {AbortSignal} signal
 * @param {() => void} changed called after a merge
 */
export async function suggest(section, signal, changed) {
  const found = [];
  let after = null;
  try {
    do {
      const query = new URLSearchParams({ limit: PAGE, ...(after !== null && { after }) });
      const page = await api.get(`${api.inCollection("doubles")}?${query}`, { signal });
      found.push(...page.doubles);
      after = page.next;
    } while (after !== null && found.length <= SHOWN);
  } catch (error) {
    if (!signal.aborted) section.replaceChildren(notice(error));
    return;
  }
  const list = h("ul", { class: "cards" });
  function draw() {
    list.replaceChildren(...found.slice(0, SHOWN).map(pair));
    const more = found.length > SHOWN || after !== null;
    section.replaceChildren(...(found.length ? [h("h2", {}, "Same person?"), list, more ? note(`These are the first ${SHOWN} pairs; more follow once they are settled.`) : ""] : []));
  }
  function settle(double) {
    found.splice(found.indexOf(double), 1);
    draw();
    if (!found.length && after !== null) suggest(section, signal, changed);
  }
  function pair(double) {
    const { subject: one, other: two, distance, confidence, threshold } = double;
    return h("li", { class: "card double" },
      h("h3", {}, `${one} and ${two}`),
      h("p", { class: "soft" },
        `Their nearest walks are ${number(distance, 3)} apart; up to ${number(threshold.value, 3)} counts as one person (at most ${100 * threshold.fpir} % of strangers come as near to anyone).`,
        confidence !== null && ` Confidence ${sure(confidence)}.`,
      ),
      h("div", { class: "actions" },
        h("a", { class: "button quiet small", href: compared(one, two), "aria-label": `Compare ${one} and ${two}` }, "Compare"),
        mergeButtons(one, two, changed),
        notTheSame(one, two, () => settle(double)),
      ),
    );
  }
  draw();
}
