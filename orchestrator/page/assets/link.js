// The line that says that the connection is lost, or asks for the token.

import { button, el } from "./dom.js";
import { keepToken } from "./session.js";
import { isOver } from "./words.js";

const NO_TOKEN = 4401;
const SENTENCES = {
  lost: "The connection is lost. What you see is what was last known; this page keeps trying.",
  over: "The run is over, and is not served any more. What you see is how it ended; orch serve shows it again.",
  closed: "The server ended this connection",
};

export class LinkState {
  constructor(root, { store }) {
    Object.assign(this, { root, store });
  }

  update(changes) {
    if (!changes.link) return;
    const { state, code, why } = this.store.link;
    if (state === "closed" && code === NO_TOKEN) this.ask("The server does not know this token.");
    else if (state === "closed") this.show(`${SENTENCES.closed}: ${why || code}.`, button("Try again", () => location.reload()));
    else if (state === "lost") this.show(isOver(this.store.now) ? SENTENCES.over : SENTENCES.lost);
    else this.root.hidden = true;
  }

  show(text, ...more) {
    this.root.hidden = false;
    this.root.replaceChildren(el("p", {}, text), ...more);
  }

  ask(why) {
    const field = el("input", { type: "password", name: "token", autocomplete: "off", required: true, "aria-label": "Token" });
    const keep = (event) => {
      event.preventDefault();
      keepToken(field.value.trim());
      location.reload();
    };
    const form = el("form", { on: { submit: keep } }, field, el("button", { class: "primary" }, "Connect"));
    this.show(`${why} It stands in the address that orch printed, after #token=.`, form);
    field.focus();
  }
}
