// Questions of agents: those that a person is to answer, with a form; and all others, to read.

import { heading, taskButton } from "./card.js";
import { el, keyed, say } from "./dom.js";
import { mayAct, send } from "./session.js";
import { count } from "./words.js";

const PERSON = "person";
const OLD = 20;

export class Questions {
  constructor(root, page) {
    Object.assign(this, { root, page, known: null });
    this.number = el("span", { class: "note" });
    heading(root, "Questions", this.number);
    this.open = el("ul", { class: "open" });
    this.others = el("ul", { class: "answered" });
    this.rest = el("details", {}, el("summary", {}), this.others);
    root.append(this.open, this.rest);
  }

  update(changes) {
    if (!changes.questions) return;
    const all = this.page.store.questions;
    const open = all.filter((question) => question.to === PERSON && question.answer === null);
    const others = all.filter((question) => !open.includes(question)).reverse().slice(0, OLD);
    this.root.hidden = all.length === 0;
    this.root.classList.toggle("urgent", open.length > 0);
    say(this.number, open.length ? `${open.length} to answer` : "none to answer");
    keyed(this.open, open, (question) => question.id, (question) => this.make(question));
    this.rest.hidden = others.length === 0;
    say(this.rest.firstChild, count(others.length, "other question"));
    keyed(this.others, others, (question) => question.id, makeOther, showOther);
    const newest = open.at(-1);
    if (newest && this.known !== null && newest.n > this.known) this.page.say(`${newest.by} asks: ${newest.text}`);
    this.known = Math.max(0, ...all.map((question) => question.n));
  }

  make({ id, by, text }) {
    const task = by.replace(/\.gen-\d+$/, "");
    const who = this.page.store.tasks.has(task) ? taskButton(this.page, task) : el("span", {}, by);
    const head = el("p", { class: "who" }, who, el("span", { class: "note" }, ` asks (${id})`));
    return el("li", { "data-question": id }, head, el("p", { class: "text", id: `ask-${id}` }, text), mayAct() ? answerForm(id) : null);
  }
}

function answerForm(id) {
  const field = el("textarea", { rows: "2", maxlength: "2000", required: true, "aria-label": `Answer to ${id}`, "aria-describedby": `ask-${id}` });
  const failed = el("span", { class: "failure", role: "alert" });
  const submit = el("button", { class: "primary" }, "Answer");
  const act = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await send({ kind: "answer", about: id, text: field.value });
      say(failed, "");
      say(submit, "Sent");
    } catch (fault) {
      say(failed, fault.message);
      submit.disabled = false;
    }
  };
  return el("form", { on: { submit: act } }, field, submit, failed);
}

function makeOther({ id, by, to, text }) {
  const whom = to === PERSON ? "" : ` → ${to}`;
  return el("li", { "data-question": id }, el("p", { class: "note" }, `${id} ${by}${whom}`), el("p", { class: "text" }, text), el("p", { class: "answer" }));
}

function showOther(node, { answer, answered_by: by }) {
  say(node.lastChild, answer === null ? "Not answered yet." : `${by}: ${answer}`);
}
