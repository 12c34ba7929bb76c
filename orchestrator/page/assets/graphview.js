// The graph of tasks, drawn: edges as SVG, each task as a button that stands on it.

import { meter, showMeter, showStatus, statusMark } from "./card.js";
import { attribute, el, keyed, say, svg } from "./dom.js";
import { around, layout, NODE, pathOf } from "./graph.js";

const STEPS = 2;
const MOST = 50;

export class GraphView {
  constructor(page) {
    Object.assign(this, { page, shape: "", plan: null, focus: null });
    this.edges = svg("svg", { class: "edges", "aria-hidden": "true" });
    const on = { keydown: (event) => this.key(event), focusin: (event) => this.reach(event.target.dataset.task) };
    this.nodes = el("div", { class: "nodes", role: "group", "aria-label": "Graph of tasks; arrow keys go along it", on });
    this.sheet = el("div", { class: "canvas" }, this.edges, this.nodes);
    this.note = el("p", { class: "note" });
    this.scroll = el("div", { class: "scroll" }, this.sheet);
    this.node = el("div", { class: "graph" }, this.note, this.scroll);
  }

  /** Shows these tasks, those that are not `let_through` faintly; of `many`, only what is around one of them. */
  show(all, letThrough, many, changed) {
    const { store } = this.page;
    const centre = many ? this.page.selected() ?? letThrough?.[0]?.id ?? null : null;
    const some = centre && store.tasks.has(centre) ? around(centre, store.tasks, store.neededBy, STEPS, MOST) : new Set();
    const shown = many ? all.filter((task) => some.has(task.id)) : all;
    this.explain(many, shown.length, centre);
    const shape = shown.map((task) => `${task.id}<${task.needs.join()}`).join(" ");
    const fresh = shape !== this.shape;
    if (fresh) {
      this.shape = shape;
      this.plan = layout(shown);
      this.drawEdges();
    }
    const strong = letThrough && !many ? new Set(letThrough.map((task) => task.id)) : null;
    keyed(this.nodes, shown, (task) => task.id, (task) => this.make(task), (node, task) => {
      if (fresh) this.place(node, task);
      if (fresh || !changed || changed.has(task.id)) this.drawNode(node, task);
      attribute(node, "data-faint", strong !== null && !strong.has(task.id));
      attribute(node, "data-centre", task.id === centre);
      attribute(node, "aria-current", task.id === this.page.selected() ? "true" : null);
    });
    this.keepFocus(shown);
    this.drawStates();
  }

  explain(many, number, centre) {
    this.note.hidden = !many;
    if (!many) return;
    say(this.note, centre
      ? `${number} tasks around ${centre}: what it needs, and what needs it, two steps far.`
      : "These are too many tasks for one picture. Filter them, or choose one in the list: the graph shows what is around it.");
  }

  drawEdges() {
    const { width, height, edges } = this.plan;
    this.sheet.style.width = `${width}px`;
    this.sheet.style.height = `${height}px`;
    attribute(this.edges, "viewBox", `0 0 ${width} ${height}`);
    this.edges.replaceChildren(...edges.map(({ from, to, points }) => svg("path", { d: pathOf(points), "data-from": from, "data-to": to })));
  }

  drawStates() {
    const { store } = this.page;
    const chosen = this.page.selected();
    for (const path of this.edges.children) {
      const { from, to } = path.dataset;
      const state = store.tasks.get(from)?.status === "landed" ? "met" : "unmet";
      attribute(path, "class", chosen === from || chosen === to ? `${state} near` : state);
    }
  }

  make(task) {
    const top = el("span", { class: "top" }, statusMark(), el("span", { class: "gen" }));
    const traits = { type: "button", class: "node", "data-task": task.id, tabindex: "-1" };
    const node = el("button", traits, top, el("span", { class: "id" }), el("span", { class: "title" }), meter());
    node.addEventListener("click", () => this.page.open(task.id));
    return node;
  }

  place(node, task) {
    const { x, y } = this.plan.places.get(task.id);
    node.style.transform = `translate(${x}px, ${y}px)`;
    node.style.width = `${NODE.width}px`;
    node.style.height = `${NODE.height}px`;
  }

  drawNode(node, task) {
    const [top, id, title, progress] = node.children;
    showStatus(top.firstChild, task.status);
    say(top.lastChild, task.generation ? `gen ${task.generation}` : "");
    say(id, task.id);
    say(title, task.title);
    showMeter(progress, task.done, task.todos.length, "TODOs done");
    attribute(node, "data-status", task.status);
    attribute(node, "title", [task.title, task.holder, task.words?.text ?? task.reason].filter(Boolean).join("\n"));
  }

  /** One node alone is reached by Tab; the arrow keys go on from there. */
  keepFocus(shown) {
    this.reach(this.plan?.places.has(this.focus) ? this.focus : shown[0]?.id);
  }

  reach(id) {
    this.focus = id;
    for (const node of this.nodes.children) attribute(node, "tabindex", node.dataset.task === id ? "0" : "-1");
  }

  key(event) {
    const next = this.next(event.key);
    if (next === undefined) return;
    event.preventDefault();
    if (next === null) return;
    for (const node of this.nodes.children) if (node.dataset.task === next) node.focus();
  }

  /** Returns where a key leads: to what is needed, to what needs it, up or down; null if nowhere, undefined if it is none. */
  next(key) {
    const { places, edges } = this.plan;
    const { layer, y } = places.get(this.focus);
    const far = (id) => 1e6 * Math.abs(places.get(id).layer - layer) + Math.abs(places.get(id).y - y);
    const nearest = (ids) => ids.sort((one, other) => far(one) - far(other))[0] ?? null;
    if (key === "ArrowLeft") return nearest(edges.filter((edge) => edge.to === this.focus).map((edge) => edge.from));
    if (key === "ArrowRight") return nearest(edges.filter((edge) => edge.from === this.focus).map((edge) => edge.to));
    if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
    const others = [...places].filter(([, place]) => place.layer === layer).sort(([, one], [, other]) => one.y - other.y);
    const beyond = key === "ArrowDown" ? others.find(([, place]) => place.y > y) : others.findLast(([, place]) => place.y < y);
    return beyond?.[0] ?? null;
  }
}
