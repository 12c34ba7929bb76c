// How states, times and amounts are said; a state is always a word and a shape, its colour only helps.

import { svg } from "./dom.js";

/** The states of a task, in the order in which a task passes them. */
export const STATUSES = ["waiting", "working", "submitted", "landing", "landed", "failed", "blocked", "cancelled"];
/** The same, those first that somebody may want to look at. */
export const BY_ACTIVITY = ["failed", "working", "landing", "submitted", "blocked", "waiting", "cancelled", "landed"];
export const FINAL = new Set(["landed", "failed", "blocked", "cancelled"]);
const GOING_ON = new Set(["running", "paused", "stopping"]);

/** Tells whether a run, as the document `run` says it, has ended. */
export function isOver(now) {
  return Boolean(now?.state) && !GOING_ON.has(now.state);
}

const RING = "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2";
const SHAPES = {
  waiting: [["stroke dashed", RING]],
  working: [["stroke", RING], ["fill", "M8 4.4a3.6 3.6 0 0 1 0 7.2z"]],
  submitted: [["stroke", "M8 2 14 8l-6 6-6-6z"], ["fill", "M8 5.4 10.6 8 8 10.6 5.4 8z"]],
  landing: [["stroke", "M8 2v7.2M4.6 6.2 8 9.6l3.4-3.4M2.8 13.4h10.4"]],
  landed: [["fill", "M8 1.4a6.6 6.6 0 1 0 0 13.2A6.6 6.6 0 0 0 8 1.4"], ["cut", "m4.9 8.2 2.2 2.2 4-4.5"]],
  failed: [["fill", "M5.2 1.6h5.6l3.6 3.6v5.6l-3.6 3.6H5.2l-3.6-3.6V5.2z"], ["cut", "m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8"]],
  blocked: [["stroke", RING], ["stroke", "M5 8h6"]],
  cancelled: [["stroke", RING], ["stroke", "m4 12 8-8"]],
  warning: [["stroke", "M8 2.2 14.4 13.4H1.6zM8 6.4v3.2M8 11.6v.2"]],
  said: [["stroke", "M2.4 3h11.2v7.6H7L4.4 13v-2.4h-2z"]],
  note: [["stroke", RING], ["stroke", "M8 7.4v3.4M8 5.2v.2"]],
};

/** Returns the sign of a state, or of a kind of news. It is hidden from screen readers: the word stands beside it. */
export function sign(name) {
  const shape = SHAPES[name] ?? SHAPES.note;
  const paths = shape.map(([look, d]) => svg("path", { class: look, d }));
  return svg("svg", { class: `sign s-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, ...paths);
}

export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function dollars(amount) {
  return `$${amount.toFixed(amount && amount < 0.1 ? 4 : 2)}`;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

const natural = new Intl.Collator("en", { numeric: true });
export const byId = (one, other) => natural.compare(one.id, other.id);
