// The reference of the REST interface, made from this service's own OpenAPI document.

import * as api from "../api.js";
import { h } from "../dom.js";

export async function render(view, { rest }) {
  const document = await api.get("/openapi.json");
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
  const groups = Map.groupBy(operations, ({ tags }) => tags?.[0] ?? "service");
  view.append(
    h("h1", {}, "API"),
    h("p", { class: "lead" }, `${document.info.title} ${document.info.version}. ${document.info.description}`),
    h("p", {}, h("a", { href: api.at("/openapi.json").href }, "openapi.json"), " describes the same for programs."),
    ...[...groups].map(([name, listed]) =>
      h("section", { class: "card", "aria-label": name },
        h("h2", {}, name),
        listed.map((operation) => entry(document, operation, operation.operationId === rest[0])),
      ),
    ),
  );
  view.querySelector("details[open]")?.scrollIntoView();
}

function entry(document, operation, open) {
  const { method, path, summary, description, operationId } = operation;
  const body = h("div", { class: "operation" });
  const details = h("details", { open, id: `operation-${operationId}` },
    h("summary", {}, h("code", {}, `${method} ${path}`), ` ${summary}`),
    body,
  );
  const fill = () => body.hasChildNodes() || body.append(...about(document, operation, description));
  details.addEventListener("toggle", fill);
  if (open) fill();
  return details;
}

function about(document, { parameters = [], requestBody, responses, operationId }, description) {
  const [kind, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const form = content && resolved(document, content.schema);
  const rows = [
    ...parameters.map((one) => [one.name, one.in, one.schema, one.required, one.description]),
    ...Object.entries(form?.properties ?? {}).map(([name, schema]) => [
      name, kind === "application/json" ? "JSON" : "form", schema, form.required?.includes(name), schema.description,
    ]),
  ];
  return [
    h("p", {}, marked(description)),
    h("p", { class: "soft" }, "Operation id ", h("code", {}, operationId)),
    rows.length > 0 && table("Fields", ["Field", "In", "Type", "Default", "Meaning"], rows.map((row) => fieldOf(document, row))),
    ...Object.entries(responses).map(([status, reply]) => replied(status, reply)),
  ].filter(Boolean);
}

/** A text whose code is between backticks. */
const marked = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

const resolved = (document, schema) =>
  schema.$ref ? schema.$ref.slice(2).split("/").reduce((place, part) => place[part], document) : schema;

function fieldOf(document, [name, where, schema, required, description]) {
  const fallback = schema.default === undefined || schema.default === null ? "" : JSON.stringify(schema.default);
  return [name, where, typeOf(document, schema), required ? "required" : fallback, description ?? ""];
}

/** The type of a value with its limits, in a few words. */
function typeOf(document, schema) {
  const { anyOf, type, items, enum: values, minimum, maximum, exclusiveMinimum, exclusiveMaximum } = resolved(document, schema);
  if (anyOf) return anyOf.filter((one) => one.type !== "null").map((one) => typeOf(document, one)).join(" or ");
  if (values) return values.join(", ");
  if (type === "array") return `list of ${typeOf(document, items)}`;
  const limits = [
    minimum !== undefined && `from ${minimum}`,
    exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
    maximum !== undefined && `to ${maximum}`,
    exclusiveMaximum !== undefined && `below ${exclusiveMaximum}`,
  ].filter(Boolean);
  const plain = schema.contentMediaType || schema.format === "binary" ? "file" : (type ?? "value");
  return [plain, ...limits].join(" ");
}

const table = (label, head, rows) =>
  h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows.map(([first, ...others]) =>
        h("tr", {}, h("th", { scope: "row" }, h("code", {}, first)), others.map((text) => h("td", { class: "wrap" }, marked(text)))),
      )),
    ),
  );

function replied(status, { description, content }) {
  const [, { example } = {}] = Object.entries(content ?? {})[0] ?? [];
  const told = h("p", {}, h("strong", {}, status), " ", marked(description));
  if (example === undefined) return told;
  return h("div", {}, told,
    h("pre", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Example of a reply ${status}` }, JSON.stringify(example, null, 2)),
  );
}
