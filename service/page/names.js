// Display names by subject.

import { get, path } from "./api.js";

/**
 * The names of a reply's candidates. Where the key may not see who is enrolled, ids stand in for names.
 *
 * @param {string} collection
 * @param {object[]} people identifications
 */
export async function namesIn(collection, people) {
  const subjects = new Set(people.flatMap((person) => person.candidates.map((candidate) => candidate.subject)));
  const found = new Map();
  await Promise.allSettled(
    [...subjects].map(async (subject) => {
      const { display_name: name } = (await get(path("collections", collection, "subjects", subject))).subject;
      if (name) found.set(subject, name);
    }),
  );
  return found;
}
