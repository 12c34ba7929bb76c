// The merge train: what waits to land, in its order, and how much of it is being tested at once.

import { heading, showStatus, statusMark, taskButton, whenEmpty } from "./card.js";
import { attribute, el, keyed, say } from "./dom.js";

const SIGNS = {
  waiting: "waiting", building: "working", built: "submitted", gating: "landing", passed: "landed", failed: "failed",
  conflicted: "failed", landing: "landing",
};
const TOLD = 3;

export class Train {
  constructor(root, page) {
    this.page = page;
    this.window = el("span", { class: "note" });
    heading(root, "Merge train", this.window);
    this.line = el("ol", { class: "queue" });
    this.empty = el("p", { class: "empty" }, "No train is running.");
    this.more = el("p", { class: "note" });
    root.append(this.line, this.more, this.empty);
  }

  update(changes) {
    if (!changes.now) return;
    const train = this.page.store.now?.train;
    const items = (train?.items ?? []).map((item, place) => ({ ...item, place, inside: place < train.window }));
    say(this.window, train ? `window ${train.window}` : "");
    keyed(this.line, items, (item) => `${item.task} ${item.generation}`, (item) => this.make(item), (node, item) => this.show(node, item));
    say(this.more, train?.more ? `and ${train.more} more` : "");
    whenEmpty(this.empty, items.length === 0, train ? "Nothing waits to land." : "No train is running.");
  }

  make(item) {
    const onto = el("span", { class: "note onto" });
    const node = el("li", {}, taskButton(this.page, item.task), el("span", { class: "gen" }, `gen ${item.generation}`), statusMark(), onto);
    return node;
  }

  show(node, item) {
    attribute(node, "class", item.inside ? "inside" : "outside");
    showStatus(node.children[2], SIGNS[item.state] ?? "waiting", item.state);
    const others = item.onto.filter((id) => id !== item.task);
    const few = others.slice(-TOLD).join(", ");
    const text = others.length > TOLD ? `on top of ${others.length}: … ${few}` : few && `on top of ${few}`;
    say(node.children[3], text);
  }
}
