// The bar, the variables, and the buttons that choose a list.
"use strict";

function renderBar() {
  const {status} = known;
  if (!status) return;
  const ahead = status.clock.now - status.clock.real;
  const speed = status.clock.speed === 1 ? "" : ` ×${status.clock.speed}`;
  setText($("clock"), `Clock ${timeOfDay(now({ahead: 0}))}${speed}` + (ahead >= 1 ? `, ${span(ahead)} ahead` : ""));
  $("holding").hidden = !status.holding;
  setAttribute($("speed"), "placeholder", `×${status.clock.speed}`);
  const option = () => document.createElement("option");
  updateChildren($("mocks"), status.mocks, mock => mock.name, option, (node, mock) => setAttribute(node, "value", mock.name));
  const variables = Object.entries(status.vars);
  $("novars").hidden = variables.length > 0;
  updateChildren($("vars"), variables, ([name]) => name, () => cloneTemplate("variable"), renderVariable);
}

function renderVariable(node, [name, value]) {
  const {value: input} = node.parts, text = variableText(value);
  setText(node.parts.name, name);
  setAttribute(input, "id", `variable ${name}`);
  setAttribute(node.parts.name, "for", `variable ${name}`);
  if (document.activeElement !== input && input.known !== text) input.value = text;
  if (document.activeElement !== input) input.known = text;
}

function renderViews() {
  for (const button of document.querySelectorAll(".views > button")) {
    const {list} = button.dataset, count = known.status?.counts[list];
    setAttribute(button, "aria-pressed", view.list === list);
    button.classList.toggle("some", list === "unmatched" && count > 0);
    setText(button.querySelector("b"), count === undefined ? "" : countText(list, count));
  }
  for (const name of ["event", "state"]) $("filter").elements[name].closest("label").hidden = view.list !== "jobs";
  $("several").hidden = view.list !== "jobs";
  setText($("scope"), Object.keys(view.filters).length ? "Those filtered" : "All");
}

/** The filters that the list has. */
function filtersOf(list) {
  const names = list === "jobs" ? FILTERS : OF_REQUESTS;
  return Object.fromEntries(names.filter(name => view.filters[name]).map(name => [name, view.filters[name]]));
}

/** How many items a list has; of the list that is shown with a filter also how many the filter selects. */
function countText(list, count) {
  const isFiltered = Object.keys(filtersOf(list)).length > 0 && view.list === list && known.path === listPath();
  const total = count.toLocaleString("en");
  if (!isFiltered || known.isFilterBad) return total;
  const selected = (view.cursors.length - 1) * PAGE + known.items.length;
  return `${selected.toLocaleString("en")}${known.next ? "+" : ""} of ${total}`;
}
