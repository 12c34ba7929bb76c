// How well the run goes: conflicts that never came to be, that were seen early, that were met at the merge; and work done twice.

import { heading, meter, showMeter } from "./card.js";
import { attribute, el, keyed, say } from "./dom.js";

export class Health {
  constructor(root, page) {
    this.page = page;
    heading(root, "Health");
    this.groups = el("div", { class: "health" });
    this.tracks = el("ul", { class: "tracks" });
    this.none = el("p", { class: "empty" }, "No figures yet.");
    root.append(this.none, this.groups, this.tracks);
  }

  update(changes) {
    if (!changes.now) return;
    const health = this.page.store.now?.health;
    this.none.hidden = Boolean(health);
    keyed(this.groups, health ? groupsOf(health) : [], (group) => group.name, makeGroup, showGroup);
    const tracks = Object.entries(health?.tracks ?? {});
    keyed(this.tracks, tracks, ([name]) => name, makeTrack, showTrack);
  }
}

function groupsOf({ conflicts, generations, refused, rework }) {
  const { prevented, detected_early: early, at_merge: late, resolved, by_type: types } = conflicts;
  const kinds = Object.entries(types ?? {}).filter(([, number]) => number).map(([name, number]) => `${number} ${name}`);
  return [
    { name: "Conflicts", figures: { prevented, "seen early": early, "at the merge": late }, note: kinds.join(", ") },
    { name: "Resolved by", figures: { script: resolved.auto, "an agent": resolved.ai, "a person": resolved.human } },
    { name: "Rework", figures: { generations, refused, rework: `${Math.round(100 * rework)} %` } },
  ];
}

function makeGroup({ name, figures }) {
  const list = Object.keys(figures).map((label) => el("div", {}, el("dt", {}, label), el("dd")));
  return el("div", { class: "group" }, el("h3", {}, name), el("dl", {}, ...list), el("p", { class: "note" }));
}

function showGroup(node, { figures, note = "" }) {
  Object.values(figures).forEach((value, place) => {
    const figure = node.children[1].children[place];
    say(figure.lastChild, String(value));
    attribute(figure, "class", value === 0 ? "zero" : null);
  });
  say(node.lastChild, note);
  node.lastChild.hidden = !note;
}

function makeTrack([name]) {
  return el("li", {}, el("span", { class: "name" }, name), meter(), el("span", { class: "note" }));
}

function showTrack(node, [name, counts]) {
  const landed = counts.landed ?? 0;
  showMeter(node.children[1], landed, counts.tasks, `tasks of ${name} landed`);
  say(node.lastChild, `${landed}/${counts.tasks}${counts.refused ? `, ${counts.refused} refused` : ""}`);
}
