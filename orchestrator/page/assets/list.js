// The list of tasks. Only the rows in sight are there, so that a thousand tasks cost no more than thirty.

import { meter, showMeter, showStatus, statusMark } from "./card.js";
import { attribute, el, keyed, say } from "./dom.js";
import { dollars } from "./words.js";

const WIDE = matchMedia("(min-width: 641px)");
const BEYOND = 6; // rows that are there above and below what is in sight

export class List {
  constructor(page) {
    Object.assign(this, { page, tasks: [], active: null });
    this.rows = el("div", { class: "sheet" });
    const traits = { class: "list", role: "listbox", tabindex: "0", "aria-label": "Tasks" };
    const on = {
      scroll: () => this.draw(null),
      keydown: (event) => this.key(event),
      click: (event) => this.click(event),
      focus: () => this.focus(),
    };
    this.node = el("div", { ...traits, on: { ...on } }, this.rows);
    new ResizeObserver(() => this.draw(null)).observe(this.node);
    WIDE.addEventListener("change", () => this.show(this.tasks, null));
  }

  get height() {
    return WIDE.matches ? 34 : 56;
  }

  /** Shows these tasks; see `Tasks.show` for `changed`. */
  show(tasks, changed) {
    const same = tasks.length === this.tasks.length && tasks.every((task, place) => task.id === this.tasks[place].id);
    this.tasks = tasks;
    this.rows.style.height = `${tasks.length * this.height}px`;
    if (!tasks.some((task) => task.id === this.active)) this.active = tasks[0]?.id ?? null;
    this.draw(same ? changed : null);
  }

  /** Brings the rows in sight up to date: those of `changed`, or all. */
  draw(changed) {
    const { scrollTop, clientHeight } = this.node;
    const top = Math.max(0, Math.min(scrollTop, this.tasks.length * this.height - clientHeight)); // rows of before may reach lower
    const first = Math.max(0, Math.floor(top / this.height) - BEYOND);
    const last = Math.ceil((top + clientHeight) / this.height) + BEYOND;
    const inSight = this.tasks.slice(first, last).map((task, place) => ({ task, place: first + place }));
    const make = ({ task }) => this.make(task);
    keyed(this.rows, inSight, ({ task }) => task.id, make, (node, { task, place }) => {
      if (changed === null || changed.has(task.id) || !node.drawn) this.drawRow(node, task, place);
    });
    attribute(this.node, "aria-activedescendant", this.active && `row-${this.active}`);
  }

  make(task) {
    const parts = ["id", "title", "gen", "doing", "cost"].map((name) => el("span", { class: name }));
    parts.splice(3, 0, meter());
    return el("div", { class: "row", role: "option", id: `row-${task.id}`, "data-task": task.id }, statusMark(), ...parts);
  }

  drawRow(node, task, place) {
    const [mark, id, title, gen, progress, doing, cost] = node.children;
    node.drawn = true;
    node.style.transform = `translateY(${place * this.height}px)`;
    attribute(node, "aria-posinset", place + 1);
    attribute(node, "aria-setsize", this.tasks.length);
    attribute(node, "aria-selected", String(task.id === this.page.selected()));
    attribute(node, "data-active", task.id === this.active);
    showStatus(mark, task.status);
    say(id, task.id);
    say(title, task.title);
    say(gen, task.generation ? `gen ${task.generation}` : "");
    showMeter(progress, task.done, task.todos.length, "TODOs done");
    say(doing, task.holder ? task.words?.text ?? task.holder : task.reason);
    say(cost, task.cost_usd ? dollars(task.cost_usd) : "");
  }

  focus() {
    if (this.active) this.moveTo(this.tasks.findIndex((task) => task.id === this.active));
  }

  key(event) {
    const place = this.tasks.findIndex((task) => task.id === this.active);
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.moveTo(place + steps[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && this.active) this.page.open(this.active);
    else return;
    event.preventDefault();
  }

  moveTo(wanted) {
    const place = Math.min(Math.max(wanted, 0), this.tasks.length - 1);
    this.active = this.tasks[place]?.id ?? null;
    const top = place * this.height;
    const bottom = top + this.height - this.node.clientHeight;
    this.node.scrollTop = Math.max(bottom, Math.min(top, this.node.scrollTop));
    this.draw(null);
  }

  click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.active = row.dataset.task;
    this.draw(null);
    this.page.open(this.active);
  }
}
