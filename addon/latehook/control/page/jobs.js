// What jobs, webhooks and attempts mean: no function here reads or writes the document.
"use strict";

const isJob = item => item.webhooks !== undefined;
const keyOf = item => `${isJob(item) ? "job" : "request"} ${item.number}`;
const isOwed = webhook => OWED.includes(webhook.state);
const nameOf = ({event, index}) => `${event ?? "webhook"}${index === undefined ? "" : ` [${index}]`}`;
const hasEnded = attempt => attempt.ended_at !== null;
const outcomeOf = attempt => !hasEnded(attempt) ? "under way" : attempt.error ?? String(attempt.status);

function kindOf(attempt, webhook) {
  if (!hasEnded(attempt)) return "delivering";
  const accepted = webhook.state === "delivered" && attempt === webhook.attempts.at(-1);
  return accepted || (attempt.status >= 200 && attempt.status < 300) ? "delivered" : "failed";
}

/** What becomes of a webhook, in a few words. */
function describeState(webhook) {
  const {state} = webhook, last = webhook.attempts.at(-1);
  if (state === "pending") return describeDue(webhook, webhook, "due");
  return last && ["delivered", "failed"].includes(state) ? `${state} · ${outcomeOf(last)}` : state;
}

/** The webhook that matters most just now: the next that is owed, else the last that has failed, else the last. */
function mostUrgentWebhook(job) {
  const owed = job.webhooks.filter(isOwed).sort(byDue);
  return owed[0] ?? job.webhooks.findLast(webhook => webhook.state === "failed") ?? job.webhooks.at(-1);
}

/** The webhooks that are shown of a job: of very many, those around the most urgent one. */
function shownWebhooks(job) {
  const {webhooks} = job, middle = webhooks.indexOf(mostUrgentWebhook(job));
  const from = Math.max(0, Math.min(middle - WEBHOOKS_SHOWN / 2, webhooks.length - WEBHOOKS_SHOWN));
  return webhooks.slice(from, from + WEBHOOKS_SHOWN);
}

/** The stages of a job; several in a row without a status (repetitions) are one, with their number and the last. */
function foldedStages(job) {
  const folded = [];
  for (const stage of job.stages) {
    const last = folded.at(-1), isBlank = !stage.status && !stage.error && stage.due_at !== null;
    if (isBlank && last?.isBlank) Object.assign(last, {last: stage, times: last.times + 1});
    else folded.push({stage, last: stage, times: 1, isBlank});
  }
  return folded;
}

function marksOf(job) {
  const request = {key: "request", kind: "request", at: job.created_at, label: "request"};
  const stages = job.stages.map((stage, number) => ({
    key: `stage ${number}`, kind: stage.due_at <= now(job) ? "stage reached" : "stage",
    at: stage.due_at, label: stage.status ?? "stage",
  }));
  return [request, ...stages, ...job.webhooks.flatMap(marksOfWebhook)].filter(mark => mark.at !== null);
}

function marksOfWebhook(webhook) {
  const marks = webhook.attempts.map(attempt => ({
    key: `${webhook.id} ${attempt.number}`, kind: kindOf(attempt, webhook), at: attempt.clock_at,
    label: `${nameOf(webhook)}, attempt ${attempt.number}: ${outcomeOf(attempt)}`,
  }));
  const {id, state, due_at} = webhook;
  const hasAttemptMarks = ["delivered", "failed", "delivering"].includes(state) && marks.length > 0;
  return hasAttemptMarks ? marks : [...marks, {key: id, kind: state, at: due_at, label: `${nameOf(webhook)}: ${state}`}];
}
