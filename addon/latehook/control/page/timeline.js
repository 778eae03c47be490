// The time line of a job.
"use strict";

const GAP = 0.05, SAME_MOMENT = 0.1;

/**
 * A function from the seconds after a job's request to a share of its line. It is logarithmic: the first seconds and an
 * hour can both be seen. Moments that differ are apart, also if the line has many of them.
 */
function axisOf(offsets, whole) {
  const unit = Math.min(1, whole / 5);
  const scale = seconds => Math.log1p(seconds / unit) / Math.log1p(whole / unit);
  const moments = [0];
  for (const offset of [...offsets, whole].sort((a, b) => a - b)) {
    if (offset - moments.at(-1) > SAME_MOMENT) moments.push(offset);
  }
  const gap = Math.min(GAP, 1 / moments.length), places = [0];
  for (const moment of moments.slice(1)) places.push(Math.max(scale(moment), places.at(-1) + gap));
  for (let n = places.length - 1, last = 1; n > 0; n--, last -= gap) places[n] = Math.min(places[n], last);
  return seconds => {
    const after = firstAfter(moments, seconds);
    if (after === 0 || after === moments.length) return after ? places.at(-1) : 0;
    const [from, to] = [moments[after - 1], moments[after]];
    const part = seconds - from <= SAME_MOMENT ? 0 : (scale(seconds) - scale(from)) / (scale(to) - scale(from));
    return places[after - 1] + part * (places[after] - places[after - 1]);
  };
}

/** The index of the first of these moments that is after a time; their number if there is none. */
function firstAfter(moments, time) {
  let from = 0, to = moments.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (moments[middle] > time) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** The marks of a line, each with its share of it. Of very many, those of a kind at one place are one mark. */
function placed(marks, share) {
  const all = marks.map(mark => ({...mark, share: share(mark.at)}));
  if (all.length <= WEBHOOKS_SHOWN) return all;
  const groups = Map.groupBy(all, mark => `${mark.kind} ${Math.round(mark.share * WEBHOOKS_SHOWN)}`);
  return [...groups.values()].map(([first, ...more]) =>
    more.length ? {...first, label: `${first.label}, and ${more.length} more`} : first);
}

function renderLine(line, length, job) {
  const marks = marksOf(job), whole = Math.max(endOf(job, marks) - job.created_at, 0.001);
  const shareOf = axisOf(marks.map(mark => mark.at - job.created_at), whole);
  const share = at => shareOf(Math.max(0, at - job.created_at));
  setShare(line, "--over", share(now(job)));
  const shown = placed(marks, share);
  setAttribute(line, "aria-label", shown.map(mark => `${mark.label} +${short(mark.at - job.created_at)}`).join("; "));
  setText(length, short(whole));
  updateChildren(line, shown, mark => mark.key, () => document.createElement("i"), (node, mark) => {
    setAttribute(node, "class", mark.kind);
    setAttribute(node, "title", `${mark.label} +${short(mark.at - job.created_at)}`);
    setShare(node, "--at", mark.share);
  });
}

/** The moment at which a job's line ends; what is held moves it on. */
function endOf(job, marks) {
  const ends = job.webhooks.flatMap(webhook => webhook.attempts.filter(hasEnded).map(endOfAttempt));
  const isHeld = job.webhooks.some(webhook => webhook.state === "held");
  return Math.max(...marks.map(mark => mark.at), ...ends, isHeld ? now(job) : 0);
}

/** When an attempt ended, by its job's clock. */
const endOfAttempt = ({clock_at, at, ended_at}) => clock_at + (ended_at - at) * known.status.clock.speed;
