// Who is at work: what they hold, and what they said last.

import { heading, showMeter, showStatus, statusMark, taskButton, meter, whenEmpty } from "./card.js";
import { attribute, el, keyed, say } from "./dom.js";
import { clock, count } from "./words.js";

const MOST = 100;

export class Agents {
  constructor(root, page) {
    this.page = page;
    this.number = el("span", { class: "note" });
    heading(root, "Agents", this.number);
    this.list = el("ul", { class: "agents" });
    this.empty = el("p", { class: "empty" });
    root.append(this.list, this.empty);
  }

  update(changes) {
    if (!changes.people && !changes.tasks.size) return;
    const { store } = this.page;
    const agents = store.ordered().filter((task) => task.holder);
    const peers = store.peers();
    const online = new Set(peers.map((peer) => peer.agent).filter((name) => typeof name === "string"));
    const onlookers = Math.ceil(peers.filter((peer) => peer.page === true).length / 2); // each looks at two documents
    const working = agents.filter((task) => task.status === "working").length;
    say(this.number, [`${working} at work`, onlookers && `${count(onlookers, "other page")} looking on`].filter(Boolean).join(", "));
    keyed(this.list, agents.slice(0, MOST), (task) => task.holder, (task) => this.make(task), (node, task) => this.show(node, task, online));
    whenEmpty(this.empty, agents.length === 0, "Nobody is at work.");
  }

  make(task) {
    const top = el("div", { class: "top" }, statusMark(), taskButton(this.page, task.id), el("span", { class: "gap" }), meter());
    return el("li", {}, top, el("p", { class: "note" }), el("p", { class: "words" }));
  }

  show(node, task, online) {
    const [top, who, words] = node.children;
    const [mark, , , progress] = top.children;
    showStatus(mark, task.status);
    const here = online.has(task.holder) && "connected";
    say(who, [`gen ${task.generation}`, task.model, task.words && clock(task.words.at), here].filter(Boolean).join(" · "));
    attribute(node, "title", task.holder);
    showMeter(progress, task.done, task.todos.length, "TODOs done");
    const doing = task.todos.find((todo) => todo.state === "held");
    say(words, task.words?.text ?? (doing ? `${doing.id}: ${doing.title}` : "Nothing said yet."));
  }
}
