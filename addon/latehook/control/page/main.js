// Start: this file is the last one.
"use strict";

function render() {
  renderBar();
  renderViews();
  renderList();
  renderDetail();
  for (const node of document.querySelectorAll("[data-note]")) renderNote(node, node.dataset.note);
}

readUrl();
setInterval(render, TICK);
keepUpToDate();
