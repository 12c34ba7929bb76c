// What is known of the run: the documents `run` and `ctl` as one picture, and who is to be told what has changed.

import { NO_DOCUMENT, Topic } from "./topic.js";
import { byId } from "./words.js";

const OF_GRANT = { open: "waiting", held: "working", submitted: "submitted", done: "landed" };
const SAID = 200; // entries of the board's log that are shown, as many as the document `run` has
const ROOTS = { run: [["now", "tasks"], ["said"]], ctl: [["tasks", "grants", "questions", "writers"], ["log"]] };

export class Store {
  constructor() {
    this.tasks = new Map();
    this.now = null;
    this.said = [];
    this.grants = new Map();
    this.questions = [];
    this.files = new Map(); // topic → who writes it, by client id
    this.words = new Map();
    this.neededBy = new Map();
    this.listeners = [];
    this.dirty = new Map();
    this.order = null;
    this.link = { state: "connecting", code: 0, why: "" };
  }

  connect(url, token) {
    const follow = (name) => new Topic(
      url, name, token, ...ROOTS[name], (root, keys) => this.note(name, root, keys), () => this.moved()
    );
    this.run = follow("run");
    this.ctl = follow("ctl");
  }

  /** Calls `act(changes)` before a frame in which something is new: `changes.tasks` is a set of ids, the rest is true or absent. */
  listen(act) {
    this.listeners.push(act);
  }

  note(topic, root, keys) {
    const name = `${topic}:${root}`;
    const before = this.dirty.get(name);
    this.dirty.set(name, keys === null || before === null ? null : new Set([...(before ?? []), ...keys]));
    this.wake();
  }

  moved() {
    const topics = [this.ctl, this.run].filter((topic) => topic && !(topic.code === NO_DOCUMENT && topic.name === "run"));
    const worst = ["closed", "lost", "connecting", "live"].find((state) => topics.some((topic) => topic.state === state));
    const { code = 0, why = "" } = topics.find((topic) => topic.state === worst) ?? {};
    this.link = { state: worst, code, why };
    this.note("", "link", null);
  }

  wake() {
    if (this.waking) return;
    this.waking = true;
    const flush = () => {
      this.waking = false;
      this.flush();
    };
    if (document.hidden) setTimeout(flush, 500);
    else requestAnimationFrame(flush);
  }

  flush() {
    const dirty = this.dirty;
    this.dirty = new Map();
    const changes = { tasks: new Set() };
    for (const own of ["link", "selected"]) if (dirty.has(`:${own}`)) changes[own] = true;
    if (dirty.has("run:now")) [this.now, changes.now] = [this.run.values("now").get("now") ?? null, true];
    if (dirty.has("run:said")) [this.said, changes.said] = [this.run.list("said"), true];
    if (dirty.has("ctl:log") && !this.run.doc.getArray("said").length) {
      [this.said, changes.said] = [this.ctl.list("log").slice(-SAID).map(entry), true];
    }
    if (changes.said) this.readWords(changes.tasks);
    if (dirty.has("ctl:questions")) [this.questions, changes.questions] = [questionsIn(this.ctl), true];
    if (dirty.has("ctl:writers")) [this.files, changes.files] = [this.ctl.values("writers"), true];
    if (dirty.has("ctl:") || dirty.has("ctl:grants") || dirty.has("run:")) changes.people = true;
    if (dirty.has("ctl:grants")) this.readGrants(dirty.get("ctl:grants"), changes.tasks);
    for (const name of ["run:tasks", "ctl:tasks"]) if (dirty.has(name)) this.addKeys(name, dirty.get(name), changes.tasks);
    for (const id of changes.tasks) this.readTask(id, changes);
    if (changes.shape) this.readNeeds();
    for (const act of this.listeners) act(changes);
  }

  addKeys(name, keys, into) {
    const [topic, root] = name.split(":");
    for (const id of keys ?? [...this[topic].doc.getMap(root).keys(), ...this.tasks.keys()]) into.add(id);
  }

  readGrants(keys, into) {
    if (keys === null) this.grants.clear();
    const found = this.ctl.values("grants", keys);
    for (const key of keys ?? [...found.keys(), ...this.tasks.keys()]) {
      if (found.has(key)) this.grants.set(key, found.get(key));
      else this.grants.delete(key);
      into.add(key.split("/")[0]);
    }
  }

  readWords(into) {
    for (const { kind, task, text, at } of this.said) {
      if (kind !== "reported" || !task || this.words.get(task)?.text === text) continue;
      this.words.set(task, { text: text.startsWith(`${task}: `) ? text.slice(task.length + 2) : text, at });
      into.add(task);
    }
  }

  readTask(id, changes) {
    const card = this.run.values("tasks", [id]).get(id) ?? this.ctl.values("tasks", [id]).get(id);
    const before = this.tasks.get(id);
    if (!card) {
      if (this.tasks.delete(id)) changes.shape = true;
      return;
    }
    const grant = this.grants.get(id) ?? {};
    const todos = (card.todos ?? []).map((todo) => {
      const { state = "open", holder = null } = this.grants.get(`${id}/${todo.id}`) ?? {};
      return { ...todo, state, holder };
    });
    const task = {
      id, title: "", track: null, reason: "", attempts: 0, refused: 0, seconds: 0, cost_usd: 0, checks: [], generation: grant.gen ?? 0,
      ...card,
      status: card.status ?? OF_GRANT[grant.state ?? "open"] ?? grant.state,
      needs: card.needs ?? [],
      holder: grant.state === "held" || grant.state === "submitted" ? grant.holder : null,
      todos,
      done: todos.filter((todo) => todo.state === "done").length,
      words: this.words.get(id) ?? null,
    };
    this.tasks.set(id, task);
    changes.shape ||= !before || before.needs.join() !== task.needs.join();
  }

  readNeeds() {
    this.order = null;
    this.neededBy = new Map([...this.tasks.keys()].map((id) => [id, []]));
    for (const task of this.tasks.values()) for (const need of task.needs) this.neededBy.get(need)?.push(task.id);
  }

  /** Returns all tasks, in the natural order of their ids. */
  ordered() {
    this.order ??= [...this.tasks.values()].sort(byId).map((task) => task.id);
    return this.order.map((id) => this.tasks.get(id));
  }

  /** Returns what somebody else says about itself who looks at the board just now. */
  peers() {
    return [...(this.ctl?.peers() ?? []), ...(this.run?.peers() ?? [])];
  }
}

function questionsIn(ctl) {
  return [...ctl.values("questions")].map(([id, question]) => ({ id, ...question })).sort((one, other) => one.n - other.n);
}

/** Returns an entry of the board's own log as one of `said`; it is shown where there is no document `run`. */
function entry({ at, kind, key, tasks, holder, agent, note, text, paths }) {
  const ids = key ? [String(key)] : listed(tasks);
  const about = ids.join(", ") || agent || "";
  const more = [holder && `by ${holder}`, text, note, listed(paths).slice(0, 3).join(", ")].filter(Boolean).join(" – ");
  return { at, kind, task: ids.length ? ids[0].split("/")[0] : null, text: `${about && `${about}: `}${kind} ${more}`.trim() };
}

function listed(value) {
  return Array.isArray(value) ? value.map(String) : [];
}
