// Times and durations, by Latehook's clock and in real time, and how they are written.
"use strict";

/** Seconds since the status was read. While Latehook does not answer, no time passes: nobody knows what happens. */
const since = () => (known.lostAt ?? Date.now() / 1000) - known.readAt;

const realNow = () => known.status.clock.real + since();

/** The time of a job's clock: Latehook's, and what this job alone was advanced by. */
const now = job => known.status.clock.now + since() * known.status.clock.speed + job.ahead;

/** The seconds of real time until a stage or a webhook of a job is due; infinite while that is not known. */
const until = ({due_at}, job) => due_at === null ? Infinity : (due_at - now(job)) / known.status.clock.speed;

/** When a stage or a webhook is due, in words; `otherwise` if that is past. */
function describeDue(item, job, otherwise) {
  if (item.due_at === null) return `waits for ${item.waits_for}`;
  return until(item, job) > 0 ? `in ${span(until(item, job))}` : otherwise;
}

/** The order of webhooks by their due times: those that are not known come last. */
const byDue = (a, b) => (a.due_at ?? Infinity) - (b.due_at ?? Infinity) || 0;

/** The time of day, with the name of its clock where the job's clock and real time differ. */
const timeBy = (clock, at, job) => timeOfDay(at) + (Math.abs(now(job) - realNow()) < 1 ? "" : `, ${clock}`);

/** A span in the two largest units: 1:05, 2:00:05, 3 d 4 h. */
function span(seconds) {
  const s = Math.max(0, Math.ceil(seconds)), two = n => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  if (s < 86400) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

function short(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : span(Math.round(seconds));
}

const timeOfDay = at => new Date(at * 1000).toLocaleTimeString("en-GB");
