// Making and changing elements. Text goes in as text, never as markup: most of it was written by agents.

const SVG = "http://www.w3.org/2000/svg";

/** Returns a new element; `traits` are its attributes, except that `on` holds listeners. Children that are none are left out. */
export function el(name, traits = {}, ...children) {
  return fill(document.createElement(name), traits, children);
}

export function svg(name, traits = {}, ...children) {
  return fill(document.createElementNS(SVG, name), traits, children);
}

function fill(node, traits, children) {
  for (const [name, value] of Object.entries(traits)) {
    if (name === "on") for (const [kind, act] of Object.entries(value)) node.addEventListener(kind, act);
    else attribute(node, name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets an attribute, or takes it away (null, undefined, false); does nothing if it is so already. */
export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/** Sets a node's text; does nothing if it is so already. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes the children of `parent` those of `items`, in their order, touching only what differs.
 * `key` names an item; `make` returns the node of a new one, `update` brings a node up to date.
 */
export function keyed(parent, items, key, make, update = () => {}) {
  const known = (parent.byKey ??= new Map());
  const wanted = new Map(items.map((item) => [String(key(item)), item]));
  for (const [name, node] of known) {
    if (!wanted.has(name)) {
      node.remove();
      known.delete(name);
    }
  }
  let next = parent.firstChild;
  for (const [name, item] of wanted) {
    let node = known.get(name);
    if (!node) known.set(name, (node = make(item)));
    update(node, item);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}

export function button(label, act, traits = {}) {
  return el("button", { type: "button", ...traits, on: { click: act } }, label);
}
