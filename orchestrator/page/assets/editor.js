// One shared file in an editor: a live peer of its document, in which a person writes while agents do.

import { el } from "./dom.js";
import { SharedText, writers } from "./sharedtext.js";
import {
  Annotation, Compartment, Decoration, defaultKeymap, EditorState, EditorView, keymap, lineNumbers, StateEffect, StateField, WidgetType,
} from "./vendor/codemirror.js";
import {
  createAbsolutePositionFromRelativePosition, createRelativePositionFromTypeIndex, Doc, UndoManager, WebsocketProvider,
} from "./vendor/yjs.js";

const IDLE = 1500; // ms without a key, after which what was typed is finished
const REMOTE = Annotation.define(); // changes that others made
const MARKS = StateEffect.define(); // colours and cursors, made anew
const LOOK = EditorView.theme({
  "&": { color: "var(--text)", fontSize: "13px", maxHeight: "min(60vh, 40rem)" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--soft)", borderRight: "1px solid var(--line)" },
  ...Object.fromEntries([0, 1, 2, 3, 4, 5, 6].map((n) => [`.by-${n}`, { backgroundColor: `var(--by-${n})` }])),
  ".by-person": { backgroundColor: "var(--by-person)", borderBottom: "1px dotted var(--text)" },
  ".here": { padding: "0 .3em", marginLeft: "1px", borderLeft: "2px solid var(--text)", borderRadius: "0 4px 4px 0", fontSize: ".78em" },
  "@media (max-width: 640px)": { "&": { fontSize: "16px" } }, // less, and a phone zooms in
});

/**
 * Shows a document in `place` until it is closed. `colours()` returns by client id {name, look} of who may have written;
 * `tell({state, why, slots, others})` is called when something of that is new; `leave()` when Escape is pressed.
 */
export class Editor {
  constructor(place, { url, topic, token, label, mayWrite, colours, tell, leave }) {
    Object.assign(this, { place, label, mayWrite, colours, tell, leave, state: "connecting", why: "", view: null });
    this.doc = new Doc();
    this.text = this.doc.getText("t");
    const room = topic.split("/").map(encodeURIComponent).join("/");
    this.peer = new WebsocketProvider(url, room, this.doc, {
      params: { token }, disableBc: true, maxBackoffTime: 5000, resyncInterval: 10000, // as the other documents
    });
    this.peer.on("sync", (synced) => synced && this.begin());
    this.peer.on("status", ({ status }) => status === "disconnected" && this.state !== "closed" && this.become("lost"));
    this.peer.on("closed", ({ code, reason }) => this.become("closed", reason || `The server said ${code}.`));
    this.peer.awareness.on("change", () => this.mark());
    this.away = () => this.shared?.release();
    addEventListener("pagehide", this.away);
  }

  begin() {
    this.view ??= this.show();
    this.become("live");
  }

  show() {
    this.shared = new SharedText(this.text, (changes, origin) => this.hear(changes, origin));
    this.undoing = new UndoManager(this.text, { trackedOrigins: new Set([this.shared]) });
    this.writable = new Compartment();
    const keys = [
      { key: "Mod-z", run: () => this.turn("undo"), preventDefault: true },
      { key: "Mod-y", mac: "Mod-Shift-z", run: () => this.turn("redo"), preventDefault: true },
      { key: "Mod-Shift-z", run: () => this.turn("redo"), preventDefault: true },
      { key: "Escape", run: () => this.leave() ?? true, stopPropagation: true },
    ];
    const marks = StateField.define({
      create: () => Decoration.none,
      update: (set, { changes, effects }) => effects.find((effect) => effect.is(MARKS))?.value ?? set.map(changes),
      provide: (field) => EditorView.decorations.from(field),
    });
    const extensions = [
      lineNumbers(), EditorView.lineWrapping, LOOK, marks, keymap.of([...keys, ...defaultKeymap]), this.writable.of(this.rights()),
      EditorState.lineSeparator.of("\n"), // else a position would not count the letters of other line ends
      EditorView.contentAttributes.of({ "aria-label": this.label, spellcheck: "false", autocorrect: "off", autocapitalize: "off" }),
      EditorView.updateListener.of((update) => this.seen(update)),
      EditorView.domEventHandlers({ blur: () => this.shared.release() }),
    ];
    const host = el("div", { class: "editor" });
    const root = host.attachShadow({ mode: "open" }); // where the editor's own styles need no leave of the page's policy
    this.place.append(host);
    return new EditorView({ state: EditorState.create({ doc: this.shared.words(), extensions }), parent: root, root });
  }

  rights() {
    const may = this.mayWrite && this.state !== "closed";
    return [EditorState.readOnly.of(!may), EditorView.editable.of(may)];
  }

  /** Takes note of whether a person may write. */
  allow(mayWrite) {
    if (this.mayWrite === mayWrite) return;
    this.mayWrite = mayWrite;
    this.become(this.state, this.why);
  }

  become(state, why = "") {
    Object.assign(this, { state, why });
    if (state === "closed" || !this.mayWrite) this.shared?.release();
    this.view?.dispatch({ effects: this.writable.reconfigure(this.rights()) });
    this.mark();
  }

  /** Passes on what the person did. */
  seen(update) {
    if (update.transactions.some((each) => each.annotation(REMOTE))) return;
    if (update.docChanged) {
      const changes = [];
      update.changes.iterChanges((from, to, _from, _to, words) => changes.push({ from, to, insert: words.toString() }));
      this.shared.edit(changes);
      clearTimeout(this.idle);
      this.idle = setTimeout(() => this.shared.release(), IDLE);
    }
    if (!update.docChanged && !update.selectionSet) return;
    this.shared.moveTo(update.state.selection.main.head);
    const caret = createRelativePositionFromTypeIndex(this.text, this.shared.caret);
    this.peer.awareness.setLocalState({ page: true, caret: JSON.stringify(caret) });
    this.mark();
  }

  /** Shows what others changed, and what was undone. */
  hear(changes, origin) {
    const { main } = this.view.state.selection;
    const spec = this.view.state.changes(changes);
    let head = this.shared.position(this.shared.caret);
    if (origin === this.undoing) head = changes.reduce((_, { to, insert }) => spec.mapPos(to, insert ? 1 : -1), head);
    const follows = main.empty || origin === this.undoing;
    this.view.dispatch({ changes: spec, selection: follows ? { anchor: head } : undefined, annotations: REMOTE.of(true) });
    this.shared.moveTo(this.view.state.selection.main.head);
    this.mark();
  }

  turn(way) {
    if (!this.view.state.readOnly) this.undoing[way]();
    return true;
  }

  /** Brings colours and cursors up to date with the next picture, however much happens until then. */
  mark() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      const slots = this.shared?.slots().filter(({ slot }) => slot !== this.shared.own) ?? [];
      const others = this.others();
      if (this.view) this.view.dispatch({ effects: MARKS.of(Decoration.set([...this.colour(), ...this.cursors(slots, others)], true)) });
      this.tell({ state: this.state, why: this.why, slots, others: others.length });
    });
  }

  colour() {
    const known = this.colours();
    let at = 0;
    return writers(this.text).flatMap(({ client, length }) => {
      at += length;
      const { name, look } = known.get(client) ?? {};
      return look ? [Decoration.mark({ class: look, attributes: { title: name } }).range(at - length, at)] : [];
    });
  }

  cursors(slots, others) {
    const looks = new Map([...this.colours().values()].map(({ author, name, look }) => [author, { name, look }]));
    const agents = slots.filter(({ owner }) => owner !== "person").map(({ owner, to }) => [to, looks.get(owner) ?? { name: owner, look: "" }]);
    const people = others.filter((at) => at !== null).map((at) => [at, { name: "another person", look: "by-person" }]);
    return [...agents, ...people].map(([at, who]) => Decoration.widget({ widget: new Here(who), side: 1 }).range(at));
  }

  /** Returns the positions of other people's cursors, null for those who only look on. */
  others() {
    const states = [...this.peer.awareness.getStates()].filter(([id, said]) => id !== this.doc.clientID && said?.page === true);
    return states.map(([, { caret }]) => {
      try {
        return this.shared.position(createAbsolutePositionFromRelativePosition(JSON.parse(caret), this.doc).index);
      } catch {
        return null; // none, or one in words that have not come yet
      }
    });
  }

  focus() {
    this.view?.focus();
  }

  close() {
    clearTimeout(this.idle);
    removeEventListener("pagehide", this.away);
    cancelAnimationFrame(this.waiting);
    this.waiting = 0; // nothing is marked any more
    this.shared?.close();
    this.undoing?.destroy();
    this.view?.destroy();
    this.peer.destroy();
    this.place.replaceChildren();
  }
}

/** Where somebody is writing: a stroke with a name. */
class Here extends WidgetType {
  constructor({ name, look }) {
    super();
    Object.assign(this, { name, look });
  }

  eq(other) {
    return other.name === this.name && other.look === this.look;
  }

  toDOM() {
    return el("span", { class: `here ${this.look}`, "aria-hidden": "true" }, this.name);
  }
}
