// Notes: the result of an operation, shown where the user asked for it.
"use strict";

function setNote(where, text, bad = false) {
  if (!text) return void notes.delete(where);
  const said = {text, bad, until: bad ? Infinity : Date.now() + 6000};
  notes.set(where, said);
  setText($("said"), text);
}

function renderNote(node, ...places) {
  const said = places.map(where => notes.get(where)).find(each => each && each.until > Date.now());
  setText(node, said?.text ?? "");
  setAttribute(node, "data-bad", said?.bad ? "" : null);
}

async function operate(where, path, body, done, method = "POST") {
  setNote(where, "…");
  render();
  try {
    setNote(where, done(await call(method, path, body)));
    refreshNow();
  } catch (error) {
    setNote(where, error instanceof Problem ? error.message : "Latehook does not answer.", true);
  }
  render();
}
