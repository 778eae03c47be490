// What buttons and forms do.
"use strict";

const DONE = {
  fire: "fired", hold: "held", release: "released", cancel: "canceled", resend: "sent again", reset: "forgotten",
};
const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

const actions = {
  list: button => open(button.dataset.list),
  open: button => {
    const wasOpen = view.open && view.chosen?.key === keyOf(button.closest("li").item);
    selectRow(button, true);
    if (view.open && (wasOpen || coversAll.matches)) document.querySelector("#detail h2")?.focus();
  },
  closeDetail: () => closeDetail(),
  newer: () => turnPage(-1),
  older: () => turnPage(1),
  help: () => $("help").showModal(),
  close: button => button.closest("dialog").close(),
  variables: button => {
    $("variables").hidden = !$("variables").hidden;
    setAttribute(button, "aria-expanded", !$("variables").hidden);
  },
  filter: () => showFilter(!$("filter").classList.contains("opened")),
  whole: async button => {
    try { await button.closest("details").loadWhole(); } catch (error) { await recover(error); }
    render();
  },
  one: button => one(button.dataset.operation, button.closest(".card").item),
  several: button => several(button.dataset.operation),
  advanceOne: button => advance(`job ${itemOf(button).id}`, itemOf(button).id),
  forget: async button => {
    const {id} = itemOf(button);
    if (!await isConfirmed(`Forget job ${id} and what it owes?`)) return;
    operate("several", "reset", {job: id}, () => `job ${id} is forgotten`);
    closeDetail();
  },
  copySuggestion: button => copySuggestion(requestOf(button)),
  useSuggestion: button => {
    const request = requestOf(button);
    operate(keyOf(request), "mocks", request.suggestion, () => "such requests are answered from now on");
  },
};

const requestOf = button => button.closest("#list > li").item;

async function copySuggestion(request) {
  try {
    await navigator.clipboard.writeText(request.suggestion);
    setNote(keyOf(request), "copied: put it into your mocks file");
  } catch { // browsers give the clipboard to pages of this machine and of https only
    setNote(keyOf(request), "the browser does not permit it: select the text and copy it", true);
  }
  render();
}

const itemOf = button => button.closest("article").item;

function one(operation, webhook) {
  if (!webhook) return;
  const path = `webhooks/${encodeURIComponent(webhook.id)}/${operation}`;
  operate(webhook.id, path, {}, () => `${nameOf(webhook)} ${DONE[operation]}`);
}

async function several(operation) {
  readFilter(); // what has just been typed counts
  const isFiltered = Object.keys(view.filters).length > 0;
  const scope = isFiltered ? "of those that the filter selects" : "of all jobs";
  const question = {
    cancel: `Cancel what is owed ${scope}?`,
    resend: `Send again what has ended ${scope}?`,
    reset: isFiltered ? "Forget those that the filter selects?" : "Reset all: jobs, requests, clock, holds, variables?",
  }[operation];
  if (question && !await isConfirmed(question)) return;
  const what = operation === "reset" ? "job" : "webhook";
  operate("several", operation, view.filters, ({items}) => `${count(items.length, what)} ${DONE[operation]}`);
}

/** Whether somebody is. */
function isConfirmed(question) {
  setText($("question"), question);
  $("sure").returnValue = "";
  $("sure").showModal();
  const isYes = () => $("sure").returnValue === "yes";
  return new Promise(done => $("sure").addEventListener("close", () => done(isYes()), {once: true}));
}

function advance(where, job) {
  const duration = $("duration").value.trim();
  const late = left => left.length ? `; ${count(left.length, "webhook")} did not happen within 10 s` : "";
  operate(where, "clock", {advance: duration, job}, ({left}) => `advanced by ${duration}${late(left)}`);
}

function setSpeed() {
  const text = $("speed").value.trim(), speed = Number(text);
  if (!text) return setNote("clock", "write a speed, such as 60", true);
  operate("clock", "clock", {speed: Number.isFinite(speed) ? speed : text}, ({clock}) => `speed ×${clock.speed}`);
  $("speed").value = "";
}

/** A variable as it is written into its field: text as it is, all else as JSON. */
const variableText = value => typeof value === "string" && !isJSON(value) ? value : JSON.stringify(value);

function isJSON(text) {
  try { JSON.parse(text); return true; } catch { return false; }
}

function setVariable(form) {
  const {name, value} = form.closest("li").parts, text = value.value;
  const variable = isJSON(text) ? parseExactly(text) : text;
  operate("vars", "vars", {[name.textContent]: variable}, () => `${name.textContent} is ${text}`, "PUT");
}
