// Keep up to date: fetch what is shown, wait for a change of anything, and fetch again.
"use strict";

let dirty = true, poll = new AbortController();

/** Something else is looked at: fetch it now. */
function refreshNow() {
  dirty = true;
  poll.abort();
  render();
}

async function keepUpToDate() {
  for (;;) {
    try {
      await whenVisible();
      known.status = await change();
      Object.assign(known, {readAt: Date.now() / 1000, lostAt: null});
      await refresh();
      await sleep(PACE);
    } catch (error) {
      if (error.name !== "AbortError") await recover(error);
    }
  }
}

/** The status once something has changed, the moment of a stage has come, or something else is looked at. */
async function change() {
  poll = new AbortController();
  const timeout = Math.min(LONGEST_POLL, Math.max(0.05, untilNextStage())).toFixed(3);
  const waited = dirty ? {} : {after: known.status.revision, timeout};
  dirty = false;
  return await call("GET", `status?${query(waited)}`, undefined, poll.signal);
}

async function refresh() {
  const path = listPath(), list = view.list;
  try {
    const page = await call("GET", path);
    if (path !== listPath()) return;
    Object.assign(known, {list, path, items: page.items, next: page.next, isFilterBad: false});
    setNote("filter", view.unread ? "This filter came with the URL. Press Enter in a field to apply it." : "");
  } catch (error) {
    if (error.status !== 400) throw error;
    Object.assign(known, {list, path, items: [], next: null, isFilterBad: true});
    setNote("filter", error.message, true);
  }
  await refreshJob();
  $("wrong").textContent = known.status.problems.join(" · ");
  $("wrong").hidden = known.status.problems.length === 0;
  render();
}

/** The chosen job, which may have left the page of the list; of several with its id, as a lookup does, the newest. */
async function refreshJob() {
  const chosen = view.chosen;
  if (!chosen?.job) { known.job = null; return; }
  const listed = known.list === "jobs" && known.items.find(job => keyOf(job) === chosen.key);
  if (!listed && !view.open) return;
  const same = listed ? [listed] : (await call("GET", `jobs?${query({job: chosen.job, limit: PAGE})}`)).items;
  if (chosen === view.chosen) known.job = same.find(job => keyOf(job) === chosen.key) ?? same[0] ?? null;
}

/** The seconds until a stage of a job that is shown is reached. One that is long due waits for a webhook. */
function untilNextStage() {
  const jobs = known.list === "jobs" ? [...known.items, known.job] : [known.job];
  const left = jobs.flatMap(job => (job?.stages ?? []).filter(stage => !stage.reached).map(stage => until(stage, job)))
    .filter(seconds => seconds > -1);
  return Math.min(...left, Infinity);
}

async function recover(error) {
  dirty = true;
  if (error.status === 401) return await login(error);
  known.lostAt ??= Date.now() / 1000;
  const lost = `Latehook does not answer since ${timeOfDay(known.lostAt)}. What is shown is from then. Trying again.`;
  $("wrong").textContent = error instanceof Problem ? error.message : lost;
  $("wrong").hidden = false;
  await sleep(1000);
}

const sleep = ms => new Promise(done => setTimeout(done, ms));

/** A page that nobody sees asks for nothing. */
const whenVisible = () => new Promise(done => {
  if (!document.hidden) return done();
  document.addEventListener("visibilitychange", () => done(), {once: true});
});

async function login(error) {
  setNote("login", sessionStorage.getItem("latehook token") ? error.message : "", true);
  $("login").showModal();
  await new Promise(done => $("login").addEventListener("close", done, {once: true}));
}
