// Elements without strings of markup: nothing that a clip or a name holds is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, given, children) {
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string" && !(element instanceof SVGElement)) element[name] = value;
    else element.setAttribute(name === "htmlFor" ? "for" : name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `h("p", {class: "soft", onclick: go}, "text", child)`; what is null or false is left out. */
export const h = (tag, given, ...children) => filled(document.createElement(tag), given, children);

/** The same of SVG. */
export const s = (tag, given, ...children) => filled(document.createElementNS(SVG, tag), given, children);

/** Set CSS properties; the page's policy forbids style attributes. */
export function styled(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
  return element;
}

let made = 0;
/** An id that no other element has. */
export const newId = (stem) => `${stem}-${(made += 1)}`;

/** A labelled control, with a hint that belongs to it. */
export function field(label, control, hint) {
  control.id ||= newId("field");
  const said = hint && h("span", { class: "hint", id: `${control.id}-hint` }, hint);
  if (said) control.setAttribute("aria-describedby", said.id);
  return h("div", { class: "field" }, h("label", { htmlFor: control.id }, label), control, said);
}

/** Tell people who do not see the page. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** An error as its sentence and its code. */
export function notice(error) {
  const facts = [h("p", {}, error.detail ?? String(error.message ?? error))];
  if (error.code) facts.push(h("p", { class: "soft" }, "Code: ", h("code", {}, error.code)));
  return h("div", { class: "notice bad", role: "alert" }, ...facts);
}

/** Something that is not an error. */
export const note = (...children) => h("div", { class: "notice" }, h("p", {}, ...children));

/** Ask before what cannot be undone; resolves to whether it was agreed to. */
export function confirm(title, sentence, action, typed) {
  return new Promise((resolve) => {
    const id = newId("dialog");
    const go = h("button", { class: "danger", value: "yes", disabled: Boolean(typed) }, action);
    const word = typed && h("input", { autocomplete: "off", spellcheck: "false" });
    word?.addEventListener("input", () => (go.disabled = word.value !== typed));
    const dialog = h(
      "dialog",
      { "aria-labelledby": id },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id }, title),
        h("p", {}, sentence),
        word && field(`Type ${typed} to go on`, word),
        h("div", { class: "actions" }, h("button", { class: "quiet", value: "no", formnovalidate: true }, "Cancel"), go),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    // Enter is pressed sooner than meant: it cancels where nothing has to be typed.
    document.body.append(dialog);
    dialog.showModal();
    (word ?? dialog.querySelector("button")).focus();
  });
}

/** A bar of progress in [0, 1], with its text. */
export function progress(label) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": label });
  const text = h("span", { class: "soft" }, label);
  return {
    element: h("div", { class: "progress" }, bar, text),
    set(share, said) {
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      text.textContent = said;
    },
  };
}

export const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(100 * share)} %`);
/** A confidence: never certain, in either direction. */
export const sure = (share) => (share > 0.995 ? "> 99 %" : share < 0.005 ? "< 1 %" : percent(share));
export const date = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
export const words = (code) => code.replaceAll("_", " ");
