// Choosing one of several walkers of a clip, by picture.

import { count, h } from "./dom.js";

/**
 * @param {object[]} tracks the walkers, as the problem `multiple_people` lists them
 * @param {string} name of the clip
 * @param {string} verb what is done with the chosen walk
 * @param {(track: number) => void} chosen
 */
export function choice(tracks, name, verb, chosen) {
  const people = tracks.filter((track) => !track.same_as).length;
  const often = people < tracks.length ? `, ${tracks.length} tracks in all` : "";
  return [
    h("h2", {}, `${count(people, "person walks", "people walk")} in ${name}${often}`),
    h("p", {}, `Choose the walk to ${verb}.`),
    h("div", { class: "tracks" },
      tracks.map((track) =>
        h("button", { type: "button", class: "track-choice", onclick: () => chosen(track.track) },
          track.thumbnail && h("img", { src: `data:image/jpeg;base64,${track.thumbnail}`, alt: "" }),
          h("span", {}, `Walker ${track.track}`),
          h("span", { class: "soft" }, `${track.start.toFixed(1)} to ${track.end.toFixed(1)} s`),
          track.same_as && h("span", { class: "soft" }, `the same person as walker ${track.same_as}`),
        ),
      ),
    ),
  ];
}
