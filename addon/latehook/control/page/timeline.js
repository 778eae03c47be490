// The time line of a job.
"use strict";

const GAP = 0.05, MARK_WIDTH = 11, SAME_MOMENT = 0.1;
const TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36000: "10 h", 86400: "1 d", 864000: "10 d"};

/**
 * A function from the seconds after a job's request to a share of its line, which is `width` pixels wide. It is
 * logarithmic: the first seconds and an hour can both be seen. The marks of moments that differ do not overlap, as long
 * as there is room for all.
 */
function axisOf(offsets, whole, width) {
  const unit = Math.min(1, whole / 5);
  const scale = seconds => Math.log1p(seconds / unit) / Math.log1p(whole / unit);
  const moments = [0];
  for (const offset of [...offsets, whole].sort((a, b) => a - b)) {
    if (offset - moments.at(-1) > SAME_MOMENT) moments.push(offset);
  }
  const gap = Math.min(Math.max(GAP, MARK_WIDTH / width), 1 / moments.length), places = [0];
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

/** Draw a job's line, which is `width` pixels wide. Return its length in seconds, and its axis. */
function renderLine(line, job, width) {
  const marks = marksOf(job), whole = Math.max(endOf(job, marks) - job.created_at, 0.001);
  const shareOf = axisOf(marks.map(mark => mark.at - job.created_at), whole, width);
  const share = at => shareOf(Math.max(0, at - job.created_at));
  const shown = placed(marks, share);
  setShare(line, "--over", share(now(job)));
  const labelOf = mark => `${mark.label} +${short(mark.at - job.created_at)}`;
  setAttribute(line, "aria-label", shown.map(labelOf).join("; "));
  updateChildren(line, shown, mark => mark.key, () => document.createElement("i"), (node, mark) => {
    setAttribute(node, "class", mark.kind);
    setAttribute(node, "title", labelOf(mark));
    setShare(node, "--at", mark.share);
  });
  return {whole, shareOf};
}

/** Write the names of round times below a line, those for which there is room. */
function renderTicks(parent, {whole, shareOf}, width) {
  const shown = [], room = 55 / width;
  for (const [seconds, text] of Object.entries(TICKS)) {
    const share = shareOf(Number(seconds));
    if (seconds < whole * 1.001 && share > room / 2 && share < 1 - room / 4 && share - (shown.at(-1)?.share ?? 0) > room) shown.push({text, share});
  }
  updateChildren(parent, shown, tick => tick.text, () => document.createElement("span"), (node, {text, share}) => {
    setText(node, text);
    setShare(node, "--at", share);
  });
}

/** The moment at which a job's line ends; what is held moves it on. The end of an attempt counts if it takes long. */
function endOf(job, marks) {
  const last = Math.max(...marks.map(mark => mark.at)), part = (last - job.created_at) / 100;
  const ends = job.webhooks.flatMap(webhook => webhook.attempts.filter(hasEnded).map(endOfAttempt));
  const isHeld = job.webhooks.some(webhook => webhook.state === "held");
  return Math.max(last, ...ends.filter(end => end - last > part), isHeld ? now(job) : 0);
}

/** When an attempt ended, by its job's clock. */
const endOfAttempt = ({clock_at, at, ended_at}) => clock_at + (ended_at - at) * known.status.clock.speed;
