// Makes and changes elements. Data become text and attributes, never markup.

// Returns a new element. A function among the attributes listens to the event of its name; false and null leave an
// attribute out.
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else setAttribute(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Returns a new element of SVG.
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Each of the following changes the document only if something is different.

export function setText(node, text) {
  const now = String(text);
  if (node.textContent === now) return;
  if (node.firstChild?.nodeType === Node.TEXT_NODE && !node.firstChild.nextSibling) node.firstChild.data = now; // makes no garbage
  else node.textContent = now;
}

export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? '' : value);
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

const rowsOf = new WeakMap();

// Gives the parent one child for each item, in their order. It keeps the children of items that stay: create returns
// {node, update(item)}, and update is called each time.
export function keyed(parent, items, keyOf, create) {
  const before = rowsOf.get(parent) ?? new Map();
  const after = new Map();
  let next = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const row = before.get(key) ?? create(item);
    after.set(key, row);
    row.update(item);
    if (row.node === next) next = next.nextSibling;
    else parent.insertBefore(row.node, next);
  }
  for (const [key, row] of before) if (!after.has(key)) row.node.remove();
  rowsOf.set(parent, after);
}
