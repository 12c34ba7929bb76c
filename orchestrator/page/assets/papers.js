// What an attempt left to read: its transcript, its diff, and what was said about it. All of it is shown as text.

import { attribute, button, el, keyed } from "./dom.js";
import { fetchText } from "./session.js";
import { clock } from "./words.js";

const ENTRIES = 400; // of a transcript, the last
const LINES = 4000; // of a diff, the first
const KINDS = { transcript: "Transcript", diff: "Diff", history: "History" };

export class Papers {
  constructor(page) {
    Object.assign(this, { page, id: null, kind: "transcript", asked: 0, stage: "" });
    const tab = (kind) => button(KINDS[kind], () => this.choose(kind), {
      id: `tab-${kind}`, role: "tab", "aria-controls": "paper", "data-kind": kind,
    });
    this.tabs = el("div", { class: "tabs", role: "tablist", "aria-label": "What to read", on: { keydown: (event) => this.key(event) } }, ...Object.keys(KINDS).map(tab));
    this.generations = el("select", { "aria-label": "Generation", on: { change: () => this.load() } });
    this.again = button("Refresh", () => this.load(), { class: "quiet" });
    this.paper = el("div", { id: "paper", class: "paper", role: "tabpanel", tabindex: "0" });
    this.node = el("div", { class: "papers" }, el("div", { class: "head" }, this.tabs, el("span", { class: "gap" }), this.generations, this.again), this.paper);
  }

  open(id) {
    this.id = id;
    this.generations.replaceChildren();
    this.choose(this.kind);
  }

  update(changes) {
    const task = this.page.store.tasks.get(this.id);
    if (changes.said && (this.kind === "history" || (this.kind === "transcript" && this.atEnd()))) this.load();
    else if (task && this.stage !== stageOf(task)) this.choose(this.kind);
  }

  choose(kind) {
    const task = this.page.store.tasks.get(this.id);
    this.kind = kind;
    this.stage = task ? stageOf(task) : "";
    for (const tab of this.tabs.children) {
      const chosen = tab.dataset.kind === kind;
      attribute(tab, "aria-selected", String(chosen));
      attribute(tab, "tabindex", chosen ? "0" : "-1");
      if (chosen) attribute(this.paper, "aria-labelledby", tab.id);
    }
    this.showGenerations(task?.generation ?? 0);
    this.load();
  }

  showGenerations(newest) {
    const numbers = Array.from({ length: newest }, (_, place) => newest - place);
    const chosen = this.generations.value;
    const wasNewest = this.generations.selectedIndex <= 0;
    keyed(this.generations, numbers, (number) => number, (number) => el("option", { value: number }, `gen ${number}`));
    if (newest) this.generations.value = wasNewest ? String(newest) : chosen;
    this.generations.hidden = this.kind !== "transcript" || newest < 2;
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const kinds = Object.keys(KINDS);
    const next = kinds[(kinds.indexOf(this.kind) + step + kinds.length) % kinds.length];
    event.preventDefault();
    this.choose(next);
    this.tabs.querySelector(`[data-kind=${next}]`).focus();
  }

  async load() {
    const mine = (this.asked += 1);
    const { kind, id } = this;
    this.again.hidden = kind === "history";
    let shown;
    try {
      shown = await this.read(kind, id);
    } catch (fault) {
      shown = [el("p", { class: "empty" }, fault.message)];
    }
    if (mine !== this.asked) return; // something else was chosen meanwhile
    const atEnd = this.atEnd();
    attribute(this.paper, "data-shown", `${kind} ${id}`);
    this.paper.replaceChildren(...shown);
    if (kind === "transcript" && atEnd) this.paper.scrollTop = this.paper.scrollHeight;
  }

  /** Tells whether the end is in sight, so that more of it is wanted. */
  atEnd() {
    return this.paper.scrollTop + this.paper.clientHeight >= this.paper.scrollHeight - 8;
  }

  async read(kind, id) {
    if (kind === "history") return historyOf(this.page.store.said.filter((entry) => entry.task === id));
    if (kind === "diff") return diffOf(await fetchText("/api/diff", { task: id }));
    if (!this.generations.value) return [el("p", { class: "empty" }, "No agent has begun.")];
    return transcriptOf(await fetchText("/api/transcript", { task: id, generation: this.generations.value }));
  }
}

function stageOf({ status, generation }) {
  return `${status} ${generation}`;
}

function transcriptOf(text) {
  const lines = text.split("\n").filter(Boolean);
  const left = lines.length - ENTRIES;
  const more = left > 0 ? [el("p", { class: "note" }, `${left} earlier entries are left out.`)] : [];
  return [...more, ...lines.slice(-ENTRIES).map(entryOf)];
}

function entryOf(line) {
  let event = "", at = null, said = line;
  try {
    const { at: when, event: kind, ...rest } = JSON.parse(line);
    [event, at] = [String(kind ?? ""), Number(when) || null];
    said = Object.entries(rest).map(([name, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return name === "text" ? text : `${name}: ${text}`;
    }).join("\n");
  } catch {
    // the first line of a cut transcript may be half a line
  }
  return el("div", { class: "line" }, el("time", {}, at ? clock(at) : ""), el("b", {}, event), el("pre", {}, said));
}

const LOOKS = { "+": "add", "-": "del", "@": "hunk", d: "file" };

function diffOf(text) {
  if (!text) return [el("p", { class: "empty" }, "Nothing was changed.")];
  const lines = text.split("\n");
  const left = lines.length - LINES;
  const pre = el("pre", { class: "diff" });
  for (const line of lines.slice(0, LINES)) {
    const look = /^(\+\+\+|---) /.test(line) ? "name" : LOOKS[line[0]] ?? "";
    pre.append(el("span", { class: look }, `${line}\n`));
  }
  return [pre, left > 0 && el("p", { class: "note" }, `${left} more lines are left out.`)].filter(Boolean);
}

function historyOf(said) {
  if (!said.length) return [el("p", { class: "empty" }, "Nothing was said about it lately.")];
  return [...said].reverse().map(({ at, text }) => el("div", { class: "line" }, el("time", {}, clock(at)), el("pre", {}, text)));
}
