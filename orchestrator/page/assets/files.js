// The files that several write at once: who writes in them, and an editor for the one that is open.

import { heading } from "./card.js";
import { attribute, button, el, keyed, say } from "./dom.js";
import { Editor } from "./editor.js";
import { boardUrl, mayAct, token } from "./session.js";
import { count } from "./words.js";

const LOOKS = 7;
const PERSON = "person";
const RUN = "run";

export class Files {
  constructor(root, page) {
    Object.assign(this, { root, page, topic: null, seen: { state: "connecting", slots: [], others: 0 } });
    this.number = el("span", { class: "note" });
    heading(root, "Shared files", this.number);
    this.list = el("div", { class: "files", role: "group", "aria-label": "Open a file" });
    this.shut = button("Close", () => this.close(), { class: "quiet", "aria-keyshortcuts": "Escape" });
    this.words = el("p", { class: "note", role: "status" });
    this.legend = el("ul", { class: "legend", "aria-label": "Who wrote what" });
    this.place = el("div");
    const top = el("div", { class: "top" }, this.words, el("span", { class: "gap" }), this.shut);
    this.open = el("div", { class: "open-file", hidden: true }, top, this.legend, this.place);
    root.append(this.list, this.open);
  }

  update(changes) {
    if (!changes.files && !changes.tasks.size) return;
    const { files } = this.page.store;
    this.root.hidden = files.size === 0 && this.topic === null;
    const shown = newest(files.keys());
    say(this.number, count(shown.length, "file"));
    keyed(this.list, shown, ({ topic }) => topic, (file) => this.choice(file), (node, { topic }) => {
      attribute(node, "aria-pressed", String(topic === this.topic));
    });
    this.editor?.allow(this.mayWrite());
    if (changes.files) this.editor?.mark();
    this.tell(this.seen);
  }

  choice({ topic, path }) {
    return button(path, () => (this.topic === topic ? this.close() : this.show(topic)), { class: "file" });
  }

  show(topic) {
    this.editor?.close();
    this.topic = topic;
    this.open.hidden = false;
    this.editor = new Editor(this.place, {
      url: boardUrl(), topic, token: token(), label: parsed(topic).path, mayWrite: this.mayWrite(),
      colours: () => this.colours(), tell: (seen) => this.tell(seen), leave: () => this.close(),
    });
    this.page.store.note("ctl", "writers", null);
  }

  close() {
    this.editor?.close();
    const { topic } = this;
    Object.assign(this, { editor: null, topic: null });
    this.open.hidden = true;
    this.list.byKey?.get(topic)?.focus();
    this.page.store.note("ctl", "writers", null);
  }

  /** Tells whether what a person writes still goes into what lands. */
  mayWrite() {
    const task = this.page.store.tasks.get(parsed(this.topic).task);
    return mayAct() && task?.status === "working" && newest(this.page.store.files.keys()).some(({ topic }) => topic === this.topic);
  }

  /** Returns who writes the file that is open, by client id; agents have colours in the order of their names. */
  colours() {
    const authors = Object.entries(this.page.store.files.get(this.topic) ?? {});
    const agents = [...new Set(authors.map(([, author]) => author))].filter((author) => author !== PERSON && author !== RUN).sort();
    return new Map(authors.map(([client, author]) => {
      const look = author === RUN ? "" : author === PERSON ? "by-person" : `by-${agents.indexOf(author) % LOOKS}`;
      return [Number(client), { author, name: named(author, this.topic), look }];
    }));
  }

  tell(seen) {
    this.seen = seen;
    if (this.topic === null) return;
    const { state, why, slots, others } = seen;
    say(this.words, sentence(state, why, this.mayWrite()) + (others ? ` ${count(others, "other person", "other people")} here.` : ""));
    const writing = new Set(slots.map(({ owner }) => owner));
    const known = [...this.colours().values()].sort((one, other) => (one.look < other.look ? -1 : 1));
    keyed(this.legend, known, ({ author }) => author, () => el("li", {}, el("i"), el("span")), (node, { author, name, look }) => {
      attribute(node.firstChild, "class", look || null);
      node.firstChild.style.background = look && `var(--${look})`;
      say(node.lastChild, writing.has(author) ? `${name} (writing)` : name);
    });
  }
}

function sentence(state, why, mayWrite) {
  if (state === "connecting") return "Connecting.";
  if (!mayWrite) return mayAct() ? "Nobody writes this any more." : "Your token does not allow to write this.";
  if (state === "closed") return `This file is closed: ${why}`;
  if (state === "lost") return "The connection is lost. What you type is sent when it is back.";
  return "You write along: what you type lands as yours.";
}

function named(author, topic) {
  const name = author.replace(/^agent /, "");
  const attempt = `${parsed(topic).attempt}.`;
  if (author === RUN) return "the plan";
  return name.startsWith(attempt) ? name.slice(attempt.length) : name;
}

/** Returns the parts of a topic, `file/<task>.gen-<n>/<path>`. */
function parsed(topic) {
  const [, attempt = "", ...path] = (topic ?? "").split("/");
  const [task, generation] = attempt.split(/\.gen-(?=\d+$)/);
  return { topic, attempt, task, generation: Number(generation) || 0, path: path.join("/") };
}

/** Returns the files of each task's newest attempt. */
function newest(topics) {
  const files = [...topics].map(parsed);
  const last = new Map();
  for (const { task, generation } of files) last.set(task, Math.max(generation, last.get(task) ?? 0));
  return files.filter(({ task, generation }) => last.get(task) === generation).sort((one, other) => (one.path < other.path ? -1 : 1));
}
