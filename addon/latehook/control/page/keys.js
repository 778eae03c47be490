// Keys, clicks and input of the user.
"use strict";

let typed;

const keys = {
  j: () => focusRow(1), ArrowDown: () => focusRow(1), k: () => focusRow(-1), ArrowUp: () => focusRow(-1),
  f: () => one("fire", webhookForKey(isOwed)),
  h: () => one(webhookForKey(isOwed)?.state === "held" ? "release" : "hold", webhookForKey(isOwed)),
  c: () => one("cancel", webhookForKey(isOwed)),
  r: () => one("resend", webhookForKey(webhook => !isOwed(webhook), true)),
  a: () => $("duration").select(),
  "/": () => {
    showFilter(true);
    $("filter").elements.job.select();
  },
  "[": () => turnPage(-1), "]": () => turnPage(1),
  1: () => open("jobs"), 2: () => open("requests"), 3: () => open("unmatched"),
  "?": () => $("help").showModal(),
  Escape: () => closeDetail(),
};

/** The webhook that a key is about: that of the card in which the focus is, else of the chosen job. */
function webhookForKey(fits, last = false) {
  const card = document.activeElement.closest(".card");
  if (card) return card.item;
  const webhooks = (known.job?.webhooks ?? []).filter(fits).sort(byDue);
  return webhooks.at(last ? -1 : 0);
}

document.addEventListener("keydown", event => {
  const field = event.target.closest("input, select");
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (field && event.key !== "Escape") return;
  if (field) return field.blur();
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});
document.addEventListener("click", event => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do](button);
});
$("list").addEventListener("focusin", event => selectRow(event.target.closest("li").querySelector(".row")));
document.addEventListener("submit", event => {
  event.preventDefault();
  const form = event.target;
  if (form.id === "advancing") advance("clock");
  if (form.id === "speeding") setSpeed();
  if (form.id === "logging") sessionStorage.setItem("latehook token", $("token").value), $("login").close();
  if ("variable" in form.dataset) setVariable(form);
});
$("filter").addEventListener("keydown", event => {
  if (event.key === "Enter") readFilter(); // a form of several fields without a button sends no `submit`
});
$("filter").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(readFilter, 250);
});
$("yes").addEventListener("click", () => $("sure").close("yes"));
