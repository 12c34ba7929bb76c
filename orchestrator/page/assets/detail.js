// One task: where it stands, what its agent has said, done and written. Escape closes it.

import { showStatus, statusMark, taskButton } from "./card.js";
import { attribute, button, el, keyed, say } from "./dom.js";
import { Cancel } from "./cancel.js";
import { Papers } from "./papers.js";
import { dollars, duration, FINAL } from "./words.js";

const NARROW = matchMedia("(max-width: 700px)");

export class Detail {
  constructor(root, page) {
    Object.assign(this, { root, page, id: null, opener: null });
    this.mark = statusMark();
    this.title = el("h2", { id: "detail-title", tabindex: "-1" });
    this.cancel = new Cancel(page);
    const close = button("Close", () => this.close(), { class: "quiet", "aria-keyshortcuts": "Escape" });
    this.about = el("p", { class: "about" });
    this.reason = el("p", { class: "reason" });
    this.words = el("p", { class: "words" });
    this.facts = el("dl", { class: "facts" });
    this.todos = el("ul", { class: "todos" });
    this.near = el("dl", { class: "near" });
    this.checks = el("ul", { class: "checks" });
    this.papers = new Papers(page);
    root.append(
      el("div", { class: "bar" }, this.title, this.mark, el("span", { class: "gap" }), this.cancel.node, close),
      el("div", { class: "body" }, this.about, this.reason, this.words, this.facts, this.near, this.todos, this.checks, this.papers.node),
    );
    addEventListener("keydown", (event) => event.key === "Escape" && this.id !== null && this.close());
  }

  open(id) {
    if (this.id === null) this.opener = document.activeElement;
    this.id = id;
    this.root.hidden = false;
    if (NARROW.matches) for (const node of outside()) node.inert = true;
    this.show();
    this.papers.open(id);
    this.cancel.open(id);
    this.root.querySelector(".body").scrollTop = 0;
    this.title.focus();
    this.page.store.note("", "selected", null);
  }

  close() {
    this.id = null;
    this.root.hidden = true;
    for (const node of outside()) node.inert = false;
    if (this.opener?.isConnected) this.opener.focus();
    this.page.store.note("", "selected", null);
  }

  update(changes) {
    if (this.id === null || !(changes.tasks.has(this.id) || changes.now || changes.said || changes.shape)) return;
    this.show();
    this.papers.update(changes);
  }

  show() {
    const task = this.page.store.tasks.get(this.id);
    say(this.title, this.id);
    if (!task) {
      say(this.about, "This task is not in the plan any more.");
      return;
    }
    showStatus(this.mark, task.status);
    this.cancel.show(task);
    say(this.about, task.title);
    this.showText(this.reason, task.reason && !FINAL.has(task.status) ? `Refused before: ${task.reason}` : task.reason);
    this.showText(this.words, task.words?.text ?? "");
    keyed(this.facts, factsOf(task), ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")), (node, [, text]) => {
      say(node.lastChild, text);
    });
    this.showNear(task);
    this.todos.hidden = task.todos.length === 0;
    keyed(this.todos, task.todos, (todo) => todo.id, makeTodo, showTodo);
    const checks = task.checks.map((check, place) => ({ ...check, place }));
    this.checks.hidden = checks.length === 0;
    keyed(this.checks, checks, (check) => check.place, () => el("li", {}, statusMark(), el("span", { class: "note" })), showCheck);
  }

  showText(node, text) {
    node.hidden = !text;
    say(node, text ?? "");
  }

  showNear(task) {
    const groups = [["needs", task.needs], ["needed by", this.page.store.neededBy.get(task.id) ?? []]].filter(([, ids]) => ids.length);
    keyed(this.near, groups, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")), (node, [, ids]) => {
      keyed(node.lastChild, ids, (id) => id, (id) => el("span", { class: "with" }, statusMark(), taskButton(this.page, id)), (chip, id) => {
        showStatus(chip.firstChild, this.page.store.tasks.get(id)?.status ?? "waiting");
      });
    });
  }
}

function outside() {
  return document.querySelectorAll("header, main");
}

function factsOf(task) {
  return [
    ["generation", String(task.generation)],
    ["attempts used up", task.attempts ? `${task.refused} of ${task.attempts}` : ""],
    ["held by", task.holder],
    ["agent", [task.agent, task.model].filter(Boolean).join(", ")],
    ["track", task.track],
    ["time", task.seconds ? duration(task.seconds) : ""],
    ["cost", task.cost_usd ? dollars(task.cost_usd) : ""],
    ["commit", task.commit?.slice(0, 12)],
    ["branch", task.branch],
  ].filter(([, text]) => text);
}

const TODO_SIGNS = { open: "waiting", held: "working", done: "landed" };

function makeTodo(todo) {
  return el("li", {}, statusMark(), el("span", { class: "id" }, todo.id), el("span", {}, todo.title));
}

function showTodo(node, todo) {
  showStatus(node.firstChild, TODO_SIGNS[todo.state] ?? todo.state, todo.state);
  attribute(node, "data-state", todo.state);
}

function showCheck(node, { name, passed, stage }) {
  showStatus(node.firstChild, passed ? "landed" : "failed", passed ? "passed" : "failed");
  say(node.lastChild, `${name}, ${stage === "landing" ? "merged" : "as submitted"}`);
}
