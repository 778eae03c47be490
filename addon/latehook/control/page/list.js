// The list: rows of jobs, and rows of requests.
"use strict";

const EMPTY = {
  jobs: "No job yet. It appears here when your system sends a request that a mock takes.",
  requests: "No request to a mocked host yet.",
  unmatched: "Every request to a mocked host found its mock.",
};

let lineWidth = 200; // of the time lines in the list, in pixels

function renderList() {
  lineWidth = document.querySelector("#list .line")?.clientWidth || lineWidth;
  const current = known.list === view.list, items = current ? known.items : [];
  const jobs = view.list === "jobs";
  updateChildren($("list"), items, keyOf, () => cloneTemplate(jobs ? "job-row" : "request-row"), jobs ? renderJobRow : renderRequestRow);
  const isEmpty = isFiltered() || !known.status?.counts[view.list];
  $("none").hidden = !current || items.length > 0 || !(isEmpty || known.isFilterBad);
  setText($("none"), noneText());
  $("heads").hidden = !jobs || items.length === 0;
  renderMocks($("none").hidden || isFiltered() ? [] : known.status?.mocks ?? []);
  $("pages").hidden = view.cursors.length === 1 && !known.next;
  setAttribute($("pages").querySelector("[data-do=newer]"), "aria-disabled", view.cursors.length === 1);
  setAttribute($("pages").querySelector("[data-do=older]"), "aria-disabled", !known.next);
  setText($("page"), `page ${view.cursors.length}`);
}

const isFiltered = () => Object.keys(filtersOf(view.list)).length > 0;

function noneText() {
  if (known.isFilterBad) return "Nothing is listed: the filter has an error.";
  return isFiltered() ? "Nothing that the filter selects." : EMPTY[view.list];
}

/** Which requests are answered: for a user whose list is still empty. */
function renderMocks(mocks) {
  $("start").hidden = mocks.length === 0;
  updateChildren($("inuse"), mocks.slice(0, PAGE), (_, index) => index, () => cloneTemplate("mock"), (node, mock) => {
    setText(node.parts.match, mock.match);
    setText(node.parts.when, mock.when === null ? "" : `when ${mock.when}`);
    setText(node.parts.place, mock.name === mock.match ? mock.place : `${mock.name} · ${mock.place}`);
  });
}

function renderJobRow(node, job) {
  const {at, id, mock, line, length, mark, state, status, note: noteNode} = node.parts;
  const webhook = mostUrgentWebhook(job), more = job.webhooks.filter(isOwed).length - 1;
  node.item = job;
  setAttribute(node.firstElementChild, "aria-current", view.chosen?.key === keyOf(job) ? "true" : null);
  setText(at, timeOfDay(job.created_at));
  setAttribute(at, "title", "by the job's clock");
  setText(id, job.id);
  setAttribute(id, "title", job.id);
  const apart = distinctionOf(job);
  setText(mock, mockLabel(job.mock) + apart);
  setAttribute(mock, "class", MATCH.test(job.mock) ? "path" : null);
  setAttribute(mock, "title", job.mock + apart);
  setText(status, job.status);
  setAttribute(status, "title", `the job's status: ${job.status}`);
  setText(state, webhook ? describeState(webhook) + (more > 0 ? ` +${more}` : "") : "no webhook");
  renderState(mark, state, webhook?.state);
  setText(length, short(renderLine(line, job, lineWidth).whole));
  renderNote(noteNode, ...job.webhooks.map(each => each.id));
}

/** A webhook's state: its mark, as in the line of time, and its colour. */
function renderState(mark, text, state) {
  mark.hidden = !state;
  setAttribute(mark, "class", state ?? "");
  setAttribute(text, "class", `tone ${state ?? ""}`);
}

const MATCH = /^(\S+) (?:https?:\/\/)?([^/\s]+)(\/\S*)$/;

/** The name of a mock. A name that is a `match` has its host only if the mocks have several. */
function mockLabel(name) {
  const parts = MATCH.exec(name);
  if (!parts) return name;
  const hosts = (known.status?.mocks ?? []).map(mock => MATCH.exec(mock.name)?.[2]).filter(Boolean);
  const [, method, host, path] = parts;
  return hosts.every(other => other === host) ? `${method} ${path}` : `${method} ${host}${path}`;
}

/** What tells a job's mock from others of the same name: its `when`, or file and line. */
const distinctionOf = ({distinction}) => distinction === null ? "" : ` ${distinction}`;

function renderRequestRow(node, request) {
  const {at, what, mock, status, why, suggestion, mocks, note} = node.parts;
  node.item = request;
  setAttribute(node.firstElementChild, "aria-current", view.chosen?.key === keyOf(request) ? "true" : null);
  setText(at, timeOfDay(request.at));
  setAttribute(at, "title", "real time");
  setText(what, `${request.method} ${request.url}`);
  setText(mock, (request.mock === null ? "no mock took it" : mockLabel(request.mock)) + (request.job === null ? "" : ` · ${request.job}`));
  setAttribute(mock, "title", request.mock);
  setText(status, String(request.status ?? "passed"));
  setAttribute(status, "class", `tone ${request.matched ? "" : "failed"}`);
  const misses = (request.why ?? []).map(miss => ({text: miss.differs, of: `${miss.mock} · ${miss.place}`}));
  const misfits = request.problems.map(problem => ({text: problem, of: "does not fit the OpenAPI document (validate)"}));
  updateChildren(why, [...misses, ...misfits], each => `${each.of} ${each.text}`, () => cloneTemplate("near"), (each, {text, of}) => {
    setText(each.parts.differs, text);
    setText(each.parts.mock, of);
  });
  suggestion.hidden = request.suggestion === null;
  setText(mocks, request.suggestion ?? "");
  renderNote(note, keyOf(request));
}
