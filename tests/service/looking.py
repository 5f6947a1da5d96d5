"""What a test looks at in the page, as scripts that the browser runs, and how readable a colour is."""

from __future__ import annotations

import re

# Still the clip at an instant; then the left, right and lower edge of all that is drawn over it, in pixels of the clip.
DRAWN = """async (figure, time) => {
  const [video, canvas] = [figure.querySelector('video'), figure.querySelector('canvas')];
  video.pause();
  await new Promise(done => {
    const next = (_, { mediaTime }) =>  // a frame of before may still be on its way
      Math.abs(mediaTime - time) < 0.02 ? setTimeout(done, 100) : video.requestVideoFrameCallback(next);
    video.requestVideoFrameCallback(next);
    video.currentTime = time + 0.001;
  });
  const { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let [left, right, low] = [width, 0, 0];
  for (let i = 3; i < data.length; i += 4) if (data[i] > 128) {
    const x = ((i - 3) / 4) % width;
    [left, right, low] = [Math.min(left, x), Math.max(right, x), Math.floor((i - 3) / 4 / width)];
  }
  return [left, right, low];
}"""

# The same of a clip that is shown turned: first all pixels of the picture as it is shown.
TURNED = """async (figure, time) => {
  const video = figure.querySelector('video');
  const [shown, drawn] = figure.querySelectorAll('canvas');
  video.pause();
  await new Promise(done => {
    const next = (_, { mediaTime }) =>  // a frame of before may still be on its way
      Math.abs(mediaTime - time) < 0.02 ? setTimeout(done, 100) : video.requestVideoFrameCallback(next);
    video.requestVideoFrameCallback(next);
    video.currentTime = time + 0.001;
  });
  const all = canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const data = all(drawn);
  let [left, right, low] = [drawn.width, 0, 0];
  for (let i = 3; i < data.length; i += 4) if (data[i] > 128) {
    const x = ((i - 3) / 4) % drawn.width;
    [left, right, low] = [Math.min(left, x), Math.max(right, x), Math.floor((i - 3) / 4 / drawn.width)];
  }
  return [[...all(shown)], [left, right, low]];
}"""

# The sides of the strips, and in both bodies the colour of the topmost and of the lowest pixel.
EXPLAINED = """async ([person, candidate]) => {
  const { explained } = await import('/static/explain.js');
  const shown = explained(person, candidate, 'Bob');
  document.querySelector('.view').append(shown);
  while (!shown.querySelector('.dot')) await new Promise(done => setTimeout(done, 20));
  const colours = [];
  for (const canvas of shown.querySelectorAll('canvas')) {
    let painted = [];
    while (!painted.length) {
      await new Promise(done => setTimeout(done, 20));
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 250) painted.push([...data.slice(i, i + 3)]);
    }
    colours.push([painted[0], painted.at(-1)]);
  }
  return [[...shown.querySelectorAll('.dot')].map(dot => dot.getAttribute('class')), colours];
}"""

# Of every element with words of its own that can be used: its colour, and the first background behind it.
COLOURS = """[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() &&
  !e.matches(':disabled, .sr-only') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
  let behind = e;
  while (behind && /rgba.*, 0\\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  return [getComputedStyle(e).color, getComputedStyle(behind ?? document.body).backgroundColor];
})"""


def light(colour: str) -> float:
    """Relative luminance of a CSS colour in [0, 1], by WCAG 2.2."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two CSS colours, from 1 to 21, by WCAG 2.2."""
    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)
