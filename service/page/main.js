// The page's frame: addresses after `#`, the menu, the collection, the key.

import * as api from "./api.js";
import { h, notice, say } from "./dom.js";

const VIEWS = {
  identify: () => import("./views/identify.js"),
  verify: () => import("./views/verify.js"),
  enrol: () => import("./views/enrol.js"),
  people: () => import("./views/people.js"),
  live: () => import("./views/live.js"),
  sightings: () => import("./views/sightings.js"),
  strangers: () => import("./views/strangers.js"),
  cameras: () => import("./views/cameras.js"),
  jobs: () => import("./views/jobs.js"),
  collections: () => import("./views/collections.js"),
  system: () => import("./views/system.js"),
  api: () => import("./views/api.js"),
};

const main = document.getElementById("main");
const side = document.getElementById("nav");
const menu = document.querySelector(".menu");
const chooser = document.getElementById("collection");
const signOut = document.getElementById("sign-out");
let leave = null;
let started = false;
let shown = 0;

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}

async function show() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/").map(decoded);
  if (!(name in VIEWS)) return location.replace("#/identify");
  const turn = (shown += 1);
  leave?.abort();
  leave = new AbortController();
  open(false);
  for (const link of side.querySelectorAll("a"))
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  const view = h("div", { class: "view", "data-view": name });
  try {
    const { render } = await VIEWS[name]();
    if (turn !== shown) return;
    main.replaceChildren(view);
    await render(view, { rest, signal: leave.signal, again: show, chosen: listCollections });
  } catch (error) {
    if (error.name !== "AbortError" && turn === shown) {
      main.replaceChildren(view);
      view.append(notice(error));
    }
  }
  const title = view.querySelector("h1")?.textContent;
  document.title = title ? `${title} · Gaitkeeper` : "Gaitkeeper";
}

function open(yes) {
  menu.setAttribute("aria-expanded", String(yes));
  side.classList.toggle("open", yes);
}

/** Fill the chooser with the collections that the key is for, and choose one of them. */
async function listCollections() {
  const key = await api.get("/key").catch(() => null);
  const bound = key?.collections;
  let names = bound ?? [api.collection.get()];
  if (!bound)
    try {
      names = (await api.everything("/collections", "collections")).map((found) => found.name);
    } catch {
      // A key without the right to list them: the name that is chosen is all there is to choose from.
    }
  if (bound && !bound.includes(api.collection.get())) api.collection.set(bound[0]);
  const has = api.collection.get();
  if (!names.includes(has)) names.push(has);
  chooser.replaceChildren(...names.sort().map((name) => h("option", { value: name, selected: name === has }, name)));
  signOut.hidden = !key?.id; // without keys there is nobody to sign out
}

/** Ask the user to sign in, once for however many requests wait for it; resolves to whether the user did. */
let answer = null;
function askToSignIn() {
  answer ??= new Promise((resolve) => {
    const dialog = document.getElementById("key-dialog");
    const input = document.getElementById("key");
    const told = document.getElementById("key-problem");
    input.value = told.textContent = "";
    let signedIn = false;
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      const key = input.value.trim();
      input.value = told.textContent = "";
      try {
        await api.session.open(key);
        signedIn = true;
        dialog.close();
      } catch (problem) {
        told.textContent = problem.detail;
        input.focus();
      }
    };
    dialog.addEventListener(
      "close",
      () => {
        answer = null;
        if (signedIn && started) listCollections(); // the key may be for other collections than the one before
        resolve(signedIn);
      },
      { once: true },
    );
    dialog.showModal();
  });
  return answer;
}

async function start() {
  api.whenKeyIsWanted(askToSignIn);
  menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") !== "true"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && side.classList.contains("open")) {
      open(false);
      menu.focus();
    }
  });
  chooser.addEventListener("change", () => {
    api.collection.set(chooser.value);
    say(`Collection ${chooser.value}`);
    show();
  });
  signOut.addEventListener("click", async () => {
    await api.session.close().catch(() => undefined); // a session that has ended is no longer there
    location.reload();
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  window.addEventListener("hashchange", () => {
    show().then(() => main.focus({ preventScroll: true }));
    scrollTo(0, 0);
  });
  // First the collections: with a key that is bound to some, a view of another collection would be refused.
  await listCollections();
  started = true;
  await show();
}

start();
