// The button that cancels a task; it asks once more, since that cannot be taken back.

import { button, el, say } from "./dom.js";
import { mayAct, send } from "./session.js";
import { FINAL, isOver } from "./words.js";

export class Cancel {
  constructor(page) {
    Object.assign(this, { page, id: null });
    this.ask = button("Cancel task", () => this.confirm(true), { class: "quiet danger" });
    this.sure = button("Yes, cancel it", () => this.send(), { class: "danger" });
    this.no = button("No", () => this.confirm(false), { class: "quiet" });
    this.said = el("span", { class: "note", role: "status" });
    this.node = el("span", { class: "cancel" }, this.said, this.ask, this.sure, this.no);
  }

  open(id) {
    this.id = id;
    say(this.said, "");
    this.confirm(false, false);
  }

  show(task) {
    this.node.hidden = !mayAct() || isOver(this.page.store.now) || FINAL.has(task.status);
  }

  confirm(asked, focus = true) {
    this.ask.hidden = asked;
    this.sure.hidden = this.no.hidden = !asked;
    if (focus) (asked ? this.no : this.ask).focus();
  }

  async send() {
    this.sure.hidden = this.no.hidden = true;
    try {
      await send({ kind: "cancel", about: this.id });
      say(this.said, "Is to be cancelled.");
    } catch (fault) {
      say(this.said, fault.message);
      this.ask.hidden = false;
    }
  }
}
