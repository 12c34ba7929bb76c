// The run as a whole: its name and state, how far it is, what it costs, and the buttons that hold it up.

import { attribute, button, el, keyed, say } from "./dom.js";
import { mayAct, send } from "./session.js";
import { dollars, STATUSES } from "./words.js";

const LINKS = { live: "live", connecting: "connecting…", lost: "not connected", closed: "not connected" };

export class Head {
  constructor(root, page) {
    this.page = page;
    this.name = el("h1", {}, "orch");
    this.state = el("span", { class: "pill" });
    this.link = el("span", { class: "live" });
    this.why = el("p", { class: "why" });
    this.pause = button("Pause", () => this.toggle(), { class: "quiet", hidden: true });
    this.failed = el("span", { class: "failure", role: "alert" });
    this.figures = el("dl", { class: "figures" });
    this.bar = el("div", { class: "progress", role: "img" });
    root.append(
      el("div", { class: "title" }, this.name, this.state, this.link, el("span", { class: "gap" }), this.failed, this.pause),
      this.why, this.bar, this.figures,
    );
  }

  update(changes) {
    const { store } = this.page;
    if (changes.link) {
      say(this.link, LINKS[store.link.state] ?? "");
      attribute(this.link, "data-link", store.link.state);
    }
    if (changes.now) this.showRun(store.now);
    if (changes.now || changes.tasks.size) this.showProgress();
  }

  showRun(now) {
    const state = now?.state ?? "";
    say(this.name, now?.plan || now?.run || "orch");
    say(this.state, state);
    attribute(this.state, "class", `pill run-${state}`);
    say(this.why, now?.why ? `Stopping: ${now.why}` : "");
    this.why.hidden = !now?.why;
    this.pause.hidden = !mayAct() || !(state === "running" || state === "paused");
    say(this.pause, state === "paused" ? "Go on" : "Pause");
    document.title = now ? `${state} – ${now.plan || now.run}` : "orch";
  }

  showProgress() {
    const { store } = this.page;
    const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
    for (const task of store.tasks.values()) counts[task.status] += 1;
    const all = store.tasks.size;
    const shown = ["landed", "landing", "submitted", "working", "waiting", "blocked", "cancelled", "failed"].filter((s) => counts[s]);
    keyed(this.bar, shown, (status) => status, (status) => el("span", { class: `b-${status}` }), (node, status) => {
      node.style.flexGrow = counts[status];
    });
    attribute(this.bar, "aria-label", shown.map((status) => `${counts[status]} ${status}`).join(", ") || "no tasks yet");
    this.showFigures(counts, all, store.now);
  }

  showFigures(counts, all, now) {
    const figures = [["landed", `${counts.landed} of ${all}`]];
    if (now) {
      figures.push(["cost", dollars(now.cost_usd ?? 0)], ["agents at once", String(now.jobs ?? "")]);
      figures.push([now.base || "base", String(now.commit ?? "").slice(0, 10)], ["run", now.run]);
    }
    keyed(this.figures, figures, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")), (node, [, text]) => {
      say(node.lastChild, text);
    });
  }

  async toggle() {
    const paused = this.page.store.now?.state === "paused";
    this.pause.disabled = true;
    try {
      await send({ kind: paused ? "unpause" : "pause" });
      say(this.failed, "");
    } catch (fault) {
      say(this.failed, fault.message);
    }
    this.pause.disabled = false;
  }
}

