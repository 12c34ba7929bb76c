// What the cards of the page have in common.

import { attribute, button, el, say } from "./dom.js";
import { sign } from "./words.js";

/** Adds the heading of a card, and what stands beside it. */
export function heading(root, text, ...beside) {
  root.append(el("div", { class: "heading" }, el("h2", { id: `${root.id}-title` }, text), ...beside));
}

/** Returns a place for a state, as a shape and a word; see `showStatus`. */
export function statusMark() {
  return el("span", { class: "status" });
}

export function showStatus(node, status, word = status) {
  if (node.dataset.status === `${status} ${word}`) return;
  node.dataset.status = `${status} ${word}`;
  attribute(node, "class", `status c-${status}`);
  node.replaceChildren(sign(status), el("span", {}, word));
}

/** Returns a button that opens a task's details. */
export function taskButton(page, id, label = id) {
  return button(label, () => page.open(id), { class: "task", title: `Show ${id}` });
}

/** Returns a bar of how much of something is done; see `showMeter`. */
export function meter() {
  return el("span", { class: "meter", role: "img" }, el("span"));
}

export function showMeter(node, done, all, what) {
  for (const name of ["aria-label", "title"]) attribute(node, name, `${done} of ${all} ${what}`);
  node.hidden = all === 0;
  node.firstChild.style.width = `${all ? (100 * done) / all : 0}%`;
}

/** Shows a sentence where a list is empty. */
export function whenEmpty(node, empty, text) {
  node.hidden = !empty;
  if (empty) say(node, text);
}
