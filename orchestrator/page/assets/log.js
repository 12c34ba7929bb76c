// What happened, newest first; and of that, what somebody should look at.

import { heading, taskButton, whenEmpty } from "./card.js";
import { attribute, el, keyed } from "./dom.js";
import { clock, count, sign } from "./words.js";

const SIGNS = {
  "attempt-started": "working", reported: "said", submitted: "submitted", "landing-started": "landing", landed: "landed",
  "cancel-requested": "cancelled", refused: "warning", "overlap-seen": "warning", noticed: "note", expelled: "warning",
};
const ALWAYS = new Set(["overlap-seen", "overlap", "refused", "noticed", "stop-requested", "expelled"]);

/** Tells whether an entry is about something that went wrong, or may. */
export function isWarning({ kind, text = "" }) {
  if (kind === "checked") return !text.endsWith(" passed.");
  return ALWAYS.has(kind) || kind === "task-ended";
}

function signOf(entry) {
  if (entry.kind === "checked") return isWarning(entry) ? "failed" : "landed";
  if (entry.kind === "task-ended") return /: blocked/.test(entry.text) ? "blocked" : "failed";
  return SIGNS[entry.kind] ?? "note";
}

/** Numbers the entries so that one keeps its number, and so its row, while others come and go. */
function numbered(said) {
  const seen = new Map();
  return said.map((entry) => {
    const name = `${entry.at} ${entry.kind} ${entry.text}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return { ...entry, name: `${name} ${seen.get(name)}` };
  });
}

function makeRow(page, entry) {
  const { task, text = "" } = entry;
  const about = task && page.store.tasks.has(task);
  const words = about && text.startsWith(`${task}: `) ? text.slice(task.length + 2) : text;
  const look = signOf(entry);
  return el(
    "li", { class: `entry c-${look}` },
    el("time", {}, clock(entry.at)), sign(look), about ? taskButton(page, task) : null, el("span", { class: "text" }, words),
  );
}

export class Log {
  constructor(root, page) {
    this.page = page;
    heading(root, "What happened");
    this.list = el("ol", { class: "entries", tabindex: "0", "aria-label": "What happened, newest first" });
    this.empty = el("p", { class: "empty" });
    root.append(this.list, this.empty);
  }

  update(changes) {
    if (!changes.said) return;
    const entries = numbered(this.page.store.said).reverse();
    keyed(this.list, entries, (entry) => entry.name, (entry) => makeRow(this.page, entry));
    whenEmpty(this.empty, entries.length === 0, "Nothing yet.");
  }
}

export class Warnings {
  constructor(root, page) {
    this.page = page;
    this.number = el("span", { class: "note" });
    heading(root, "Conflicts and warnings", this.number);
    this.list = el("ol", { class: "entries", tabindex: "0", "aria-label": "Conflicts and warnings, newest first" });
    this.empty = el("p", { class: "empty" });
    root.append(this.list, this.empty);
    this.last = null;
  }

  update(changes) {
    if (!changes.said) return;
    const entries = numbered(this.page.store.said).filter(isWarning).reverse();
    keyed(this.list, entries, (entry) => entry.name, (entry) => makeRow(this.page, entry));
    whenEmpty(this.empty, entries.length === 0, "None.");
    this.number.textContent = entries.length ? count(entries.length, "entry", "entries") : "";
    attribute(this.list, "hidden", entries.length === 0);
    const newest = entries[0];
    if (newest && this.last !== null && newest.name !== this.last) this.page.say(newest.text);
    this.last = newest?.name ?? "";
  }
}
