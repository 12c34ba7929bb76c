// The tasks: a filter, and below it the list or the graph of those that it lets through.

import { heading, whenEmpty } from "./card.js";
import { attribute, button, el, keyed, say } from "./dom.js";
import { GraphView } from "./graphview.js";
import { List } from "./list.js";
import { BY_ACTIVITY, sign } from "./words.js";

const MANY = 60; // more than that is no picture any more
const NARROW = 640;
const VIEW = "orch-view";
const RANK = new Map(BY_ACTIVITY.map((status, place) => [status, place]));
const ORDERS = {
  id: () => 0, // that is how they come
  activity: (one, other) => RANK.get(one.status) - RANK.get(other.status),
  cost: (one, other) => other.cost_usd - one.cost_usd,
};

export class Tasks {
  constructor(root, page) {
    Object.assign(this, { root, page, text: "", only: new Set(), order: "id", chosen: sessionStorage.getItem(VIEW), all: [] });
    const views = ["list", "graph"].map((name) => button(name === "list" ? "List" : "Graph", () => this.choose(name), { "data-view": name }));
    this.number = el("span", { class: "note" });
    this.views = el("div", { class: "views", role: "group", "aria-label": "View" }, ...views);
    heading(root, "Tasks", this.number, el("span", { class: "gap" }), this.views);
    root.append(this.makeTools());
    this.list = new List(page);
    this.graph = new GraphView(page);
    this.empty = el("p", { class: "empty" });
    root.append(this.list.node, this.graph.node, this.empty);
    addEventListener("keydown", (event) => this.slash(event));
  }

  makeTools() {
    const search = { type: "search", placeholder: "Filter by id, title, track, agent", "aria-label": "Filter tasks", "aria-keyshortcuts": "/" };
    const narrow = () => {
      this.text = this.filter.value.trim().toLowerCase();
      this.show();
    };
    this.filter = el("input", { ...search, on: { input: narrow } });
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Only these states" });
    const options = Object.keys(ORDERS).map((name) => el("option", { value: name }, `by ${name}`));
    const reorder = (event) => {
      this.order = event.target.value;
      this.show();
    };
    this.orders = el("select", { "aria-label": "Order", on: { change: reorder } }, ...options);
    return el("div", { class: "tools" }, this.filter, this.orders, this.chips);
  }

  slash(event) {
    const [target] = event.composedPath(); // that of the event itself may hide an editor
    if (event.key !== "/" || event.ctrlKey || event.metaKey || target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
    event.preventDefault();
    this.filter.focus();
  }

  choose(view) {
    this.chosen = view;
    sessionStorage.setItem(VIEW, view);
    this.show();
  }

  get view() {
    if (this.chosen) return this.chosen;
    return this.all.length <= MANY && innerWidth >= NARROW ? "graph" : "list";
  }

  update(changes) {
    if (!changes.tasks.size && !changes.selected) return;
    this.all = this.page.store.ordered();
    this.show(changes.shape || changes.selected ? null : changes.tasks);
  }

  /** Shows what the filter lets through; `changed` are the ids of what alone is new, null if anything may be. */
  show(changed = null) {
    this.showChips();
    const shown = this.all.filter((task) => this.lets(task)).sort(ORDERS[this.order]);
    const filtered = shown.length !== this.all.length;
    say(this.number, filtered ? `${shown.length} of ${this.all.length}` : String(this.all.length));
    const view = this.view;
    for (const node of this.views.children) attribute(node, "aria-pressed", String(node.dataset.view === view));
    this.list.node.hidden = view !== "list" || shown.length === 0;
    this.graph.node.hidden = view !== "graph" || this.all.length === 0;
    this.orders.hidden = view === "graph";
    if (view === "list") this.list.show(shown, changed);
    else this.graph.show(this.all, filtered ? shown : null, this.all.length > MANY, changed);
    const nothing = this.all.length === 0 ? "No tasks yet." : "No task is like that.";
    whenEmpty(this.empty, this.all.length === 0 || (view === "list" && shown.length === 0), nothing);
  }

  lets(task) {
    if (this.only.size && !this.only.has(task.status)) return false;
    if (!this.text) return true;
    return [task.id, task.title, task.track, task.agent, task.model].some((part) => String(part ?? "").toLowerCase().includes(this.text));
  }

  showChips() {
    const counts = new Map();
    for (const { status } of this.all) counts.set(status, (counts.get(status) ?? 0) + 1);
    const shown = BY_ACTIVITY.filter((status) => counts.has(status) || this.only.has(status));
    const toggle = (status) => {
      if (!this.only.delete(status)) this.only.add(status);
      this.show();
    };
    const make = (status) => {
      const node = button(sign(status), () => toggle(status), { class: `chip c-${status}` });
      node.append(el("span", {}, status), el("b"));
      return node;
    };
    keyed(this.chips, shown, (status) => status, make, (node, status) => {
      say(node.lastChild, String(counts.get(status) ?? 0));
      attribute(node, "aria-pressed", String(this.only.has(status)));
    });
  }
}
