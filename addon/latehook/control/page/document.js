// Write into the document, only where it differs: what did not change keeps its focus, scroll place and input.
"use strict";

/** A template's copy; its parts by name. */
function cloneTemplate(template) {
  const node = $(template).content.firstElementChild.cloneNode(true);
  node.parts = Object.fromEntries([...node.querySelectorAll("[data-part]")].map(part => [part.dataset.part, part]));
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, attribute, value) {
  if (value === null) node.removeAttribute(attribute);
  else if (node.getAttribute(attribute) !== String(value)) node.setAttribute(attribute, value);
}

function setShare(node, name, share) {
  const value = `${(100 * share).toFixed(2)}%`;
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

/** The children of a node, one for each item, whose keys differ: those that are there are kept and updated. */
function updateChildren(parent, items, key, make, update) {
  const keys = items.map(key), wanted = new Set(keys);
  for (const node of [...parent.children]) if (!wanted.has(node.key)) node.remove();
  const had = new Map([...parent.children].map(node => [node.key, node]));
  let at = parent.firstElementChild;
  for (const [index, item] of items.entries()) {
    const node = had.get(keys[index]) ?? Object.assign(make(item), {key: keys[index]});
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
    update(node, item);
  }
}
