// The selected job: its stages, webhooks, attempts, request and response.
"use strict";

const coversAll = matchMedia("(max-width: 760px)"); // on a narrow screen the job covers all else, as in style.css

function renderDetail() {
  const job = view.open ? known.job : null;
  $("detail").hidden = !job;
  const covers = job !== null && coversAll.matches;
  for (const node of document.querySelectorAll("header, nav, #filter, main")) node.inert = covers;
  updateChildren($("detail"), job ? [job] : [], keyOf, () => cloneTemplate("job"), renderJob);
}

function renderJob(node, job) {
  const {parts} = node;
  node.item = job;
  setText(parts.id, job.id);
  setText(parts.mock, job.mock + distinctionOf(job));
  setAttribute(parts.mock, "class", MATCH.test(job.mock) ? "url" : "long");
  setText(parts.status, job.status);
  setText(parts.at, `${job.ended ? "ended, " : ""}requested at ${timeBy("its clock", job.created_at, job)}`);
  renderTicks(parts.ticks, renderLine(parts.line, job, parts.line.clientWidth || 300), parts.line.clientWidth || 300);
  setText(parts.advance, `Advance it by ${$("duration").value || "…"}`);
  renderNote(parts.note, `job ${job.id}`);
  renderPairs(parts.stages, foldedStages(job).map(each => describeStages(each, job)));
  const webhooks = shownWebhooks(job);
  setText(parts.somewebhooks, webhooksNote(webhooks, job));
  updateChildren(parts.webhooks, webhooks, webhook => webhook.id, () => cloneTemplate("webhook"), renderWebhook);
  setText(parts.request, `${job.request.method} ${job.request.url}`);
  const jobPath = `jobs/${encodeURIComponent(job.id)}?${query({number: job.number})}`;
  renderMessage(parts.sent, job.request, `job ${job.number} request`, async () => (await call("GET", jobPath)).request);
  setText(parts.response, job.response ? `Status ${job.response.status}` : "None was given.");
  const loadResponse = async () => (await call("GET", jobPath)).response;
  renderMessage(parts.answered, job.response ?? {}, `job ${job.number} response`, loadResponse);
  parts.vars.hidden = Object.keys(job.vars).length === 0;
  renderPairs(parts.varlist, Object.entries(job.vars).map(([name, value]) => [name, JSON.stringify(value)]));
}

/** The time of a stage, or of several that are alike, and what it is. */
function describeStages({stage, last, times}, job) {
  const timeOf = ({due_at}) => due_at === null ? "?" : `+${short(due_at - job.created_at)}`;
  if (times === 1) return [timeOf(stage), describeStage(stage, job)];
  const due = describeDue(last, job, "");
  return [`${timeOf(stage)} to ${timeOf(last)}`, `${count(times, "stage")} without a status${due && `, the last ${due}`}`];
}

function webhooksNote(webhooks, job) {
  if (webhooks.length === job.webhooks.length) return webhooks.length ? "" : "It owes none.";
  const first = job.webhooks.indexOf(webhooks[0]) + 1;
  return `${first} to ${first + webhooks.length - 1} of ${job.webhooks.length}. The API has all.`;
}

function describeStage(stage, job) {
  const due = describeDue(stage, job, "");
  return [stage.error ?? stage.status ?? "no status", ...due ? [due] : []].join(", ");
}

function renderWebhook(node, webhook) {
  const {parts} = node, ended = !isOwed(webhook), held = webhook.state === "held";
  node.item = webhook;
  setText(parts.event, nameOf(webhook));
  setText(parts.id, webhook.id);
  setText(parts.state, describeState(webhook));
  renderState(parts.mark, parts.state, webhook.state);
  setText(parts.url, `${webhook.method ?? ""} ${webhook.url ?? "no URL"}`.trim());
  const last = webhook.attempts.at(-1), isSaid = [webhook.state, `status ${last?.status}`, last?.error].includes(webhook.reason);
  setText(parts.reason, isSaid ? "" : webhook.reason ?? "");
  setText(parts.hold, held ? "Release" : "Hold");
  setAttribute(parts.hold, "data-operation", held ? "release" : "hold");
  for (const name of ["fire", "hold", "cancel"]) setAttribute(parts[name], "aria-disabled", ended);
  setAttribute(parts.resend, "aria-disabled", !ended);
  renderNote(parts.note, webhook.id);
  renderMessage(parts.body, webhook, webhook.id, () => call("GET", webhookPath(webhook)));
  const update = (each, attempt) => renderAttempt(each, attempt, webhook);
  updateChildren(parts.attempts, webhook.attempts, attempt => attempt.number, () => cloneTemplate("attempt"), update);
}

function renderAttempt({parts}, attempt, webhook) {
  setText(parts.number, `Attempt ${attempt.number}`);
  setText(parts.outcome, outcomeOf(attempt));
  setAttribute(parts.outcome, "class", `tone ${kindOf(attempt, webhook)}`);
  const took = hasEnded(attempt) ? `, took ${short(attempt.ended_at - attempt.at)}` : "";
  setText(parts.when, timeBy("real time", attempt.at, webhook) + took);
  setText(parts.redirects, (attempt.redirects ?? []).map(({status, url}) => `${status} → ${url}`).join(" · "));
  const load = async () => (await call("GET", webhookPath(webhook))).attempts.find(({number}) => number === attempt.number);
  renderMessage(parts.body, attempt, `${webhook.id} ${attempt.number}`, load, "Answer");
}

const webhookPath = webhook => `webhooks/${encodeURIComponent(webhook.id)}`;

/** Headers and body, as far as there are any, each to be opened. `load` returns the message with its whole body. */
function renderMessage(parent, message, key, load, what = "Body") {
  const parts = [];
  if (message.headers?.length) parts.push("headers");
  if (message.body) parts.push("text");
  updateChildren(parent, parts, part => part, cloneTemplate, (node, part) => {
    if (part === "headers") {
      setText(node.parts.title, `Headers (${message.headers.length})`);
      renderPairs(node.parts.pairs, message.headers);
    } else {
      const whole = wholeTexts.get(key);
      setText(node.parts.title, [what, message.content_type, bytesText(message.size)].filter(Boolean).join(" · "));
      setText(node.parts.text, cut(whole ?? message.body) + (message.truncated && !whole ? "…" : ""));
      node.parts.whole.hidden = !message.truncated || whole !== undefined;
      node.loadWhole = async () => wholeTexts.set(key, (await load()).body);
    }
  });
}

function bytesText(size) {
  if (size < 1024) return count(size, "byte");
  return size < 1024 ** 2 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 ** 2).toFixed(1)} MiB`;
}

const cut = text => text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN)}… the API has the rest` : text;

function renderPairs(parent, pairs) {
  const numbered = pairs.map(([name, value], number) => ({name, value, number}));
  updateChildren(parent, numbered, pair => pair.number, () => cloneTemplate("pair"), (node, {name, value}) => {
    setText(node.parts.name, name);
    setText(node.parts.value, value);
  });
}
