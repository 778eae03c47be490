// Call the control API. Numbers of variables stay as they were written.
"use strict";

class Problem extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

/** Send a request; return the JSON of its answer. A body that is text is YAML, any other is sent as JSON. */
async function call(method, path, body, signal) {
  const headers = {}, token = sessionStorage.getItem("latehook token");
  if (token) headers.authorization = `Bearer ${token}`;
  const isYaml = typeof body === "string";
  if (body !== undefined) headers["content-type"] = isYaml ? "application/yaml" : "application/json";
  const content = isYaml ? body : JSON.stringify(body);
  const answer = await fetch(path, {method, headers, body: content, signal, cache: "no-store"});
  const isJson = /json$/.test(answer.headers.get("content-type"));
  if (!isJson) throw new Problem(answer.status, `what answers is not Latehook: status ${answer.status}`);
  const text = await answer.text();
  const value = withExactVars(JSON.parse(text), parseExactly(text));
  if (!answer.ok) throw new Problem(answer.status, value.detail);
  return value;
}

/** JSON, with the numbers that JavaScript would write in another way as they are, in browsers that can keep them. */
const parseExactly = text => JSON.parse(text, (key, value, context) => {
  const changes = typeof value === "number" && context?.source !== undefined && String(value) !== context.source;
  return changes && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
});

/** An answer of the API, with the variables in it from `exact`, the same answer parsed exactly. */
function withExactVars(value, exact) {
  for (const name of Object.keys(value ?? {})) {
    if (name === "vars") value.vars = exact.vars;
    else if (typeof value[name] === "object") withExactVars(value[name], exact[name]);
  }
  return value;
}

const query = values => new URLSearchParams(Object.entries(values).filter(([, value]) => (value ?? "") !== ""));

function listPath() {
  const paging = {limit: PAGE, after: view.cursors.at(-1)};
  if (view.list === "jobs") return `jobs?${query({...view.filters, ...paging})}`;
  return `requests?${query({...filtersOf(view.list), ...paging, matched: view.list === "unmatched" ? "false" : ""})}`;
}
