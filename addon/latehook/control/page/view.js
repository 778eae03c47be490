// What is shown: the list, its page, its filter, the selected row. The URL keeps the list and the filter.
"use strict";

function open(list) {
  if (view.list !== list) Object.assign(view, {list, cursors: [null], chosen: null, open: false});
  $("listing").scrollTop = 0;
  writeUrl();
  refreshNow();
}

function turnPage(by) {
  if (by > 0 ? !known.next : view.cursors.length === 1) return;
  if (by > 0) view.cursors.push(known.next);
  else view.cursors.pop();
  $("listing").scrollTop = 0;
  refreshNow();
}

/** The job of a row is the one that keys are about; the detail shows it, once that is open. */
function selectRow(row, opened = view.open) {
  const {item} = row.closest("li");
  view.chosen = {key: keyOf(item), job: isJob(item) ? item.id : item.job};
  view.open = opened && view.chosen.job !== null;
  if (isJob(item)) known.job = item;
  else refreshNow();
  render();
}

function closeDetail() {
  wholeTexts.clear();
  view.open = false;
  render();
  chosenRow()?.focus();
}

const rows = () => [...document.querySelectorAll("#list .row")];
const chosenRow = () => document.querySelector("#list .row[aria-current]");

function focusRow(by) {
  const all = rows(), at = all.indexOf(chosenRow());
  const row = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
  row?.focus();
}

/** On a narrow screen the filter is hidden until the user wants it. */
function showFilter(isShown) {
  $("filter").classList.toggle("opened", isShown);
  setAttribute($("showfilter"), "aria-expanded", isShown);
}

/** Write the list and the filters into the URL: a reload shows the same. */
function writeUrl() {
  history.replaceState(null, "", `#${query({list: view.list, ...view.filters})}`);
  sessionStorage.setItem("latehook url", location.hash);
}

/** Read list and filters from the URL. Another site may have made it: an expression in it then waits for the user. */
function readUrl() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (Object.hasOwn(EMPTY, given.get("list"))) view.list = given.get("list");
  for (const name of FILTERS) $("filter").elements[name].value = given.get(name) ?? "";
  view.unread = Boolean(given.get("where")) && sessionStorage.getItem("latehook url") !== location.hash;
  showFilter(FILTERS.some(name => given.get(name)));
  if (!view.unread) readFilter();
}

function readFilter() {
  view.unread = false;
  const given = FILTERS.map(name => [name, $("filter").elements[name].value.trim()]);
  const filters = Object.fromEntries(given.filter(([, value]) => value));
  if (JSON.stringify(filters) === JSON.stringify(view.filters)) return;
  view.filters = filters;
  view.cursors = [null];
  writeUrl();
  refreshNow();
}
