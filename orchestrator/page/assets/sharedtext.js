// A shared file as an editor sees it: its words, without the edges of slots that stand among them in the replicated text.
//
// An *index* counts UTF-16 units and one for each edge, as Yjs does; a *position* counts the units of the words alone, as an
// editor does. What somebody writes in one go goes into a slot of its own, as agents' text does, so that nobody steps between.

const EDGES = "edges"; // the origin of changes that cannot be seen, which an undo must not touch

/** Follows one Y.Text. `changed(changes, origin)` gets what others changed: {from, to, insert}, in positions of before. */
export class SharedText {
  constructor(text, changed) {
    Object.assign(this, { text, changed, own: null, caret: 0 });
    this.segments = text.toDelta().map(({ insert }) => segmentOf(insert));
    this.hear = ({ delta }, { origin }) => {
      const { segments, changes, caret } = follow(this.segments, delta, this.caret);
      Object.assign(this, { segments, caret });
      if (origin !== this && changes.length) this.changed(changes, origin);
    };
    text.observe(this.hear);
  }

  /** Returns all words. */
  words() {
    return this.segments.filter(isWords).join("");
  }

  /** Returns the position of an index. */
  position(index) {
    let [at, position] = [0, 0];
    for (const segment of this.segments) {
      if (at >= index) break;
      if (isWords(segment)) position += Math.min(segment.length, index - at);
      at += lengthOf(segment);
    }
    return position;
  }

  /** Returns the slots that have both edges, with the positions between which their words stand. */
  slots() {
    const opened = new Map();
    const found = [];
    for (const { segment, position } of walk(this.segments)) {
      const { slot, edge, owner } = isWords(segment) ? {} : segment;
      if (edge === "open" && !opened.has(slot)) opened.set(slot, { slot, owner: String(owner), from: position });
      if (edge === "close" && opened.has(slot)) {
        found.push({ ...opened.get(slot), to: position });
        opened.delete(slot);
      }
    }
    return found;
  }

  /**
   * Says where the person will write. The caret keeps its index while others write: so it stays behind the slot at whose
   * end it stands, and directly behind what the person wrote last.
   */
  moveTo(position) {
    if (this.position(this.caret) !== position) this.caret = this.place(position);
  }

  /** Makes the person's changes ({from, to, insert}, in positions of before, in order), which the editor shows already. */
  edit(changes) {
    const written = changes.filter(({ insert }) => insert);
    if (written.length === 1) this.reserve(written[0].from);
    this.text.doc.transact(() => {
      for (const { from, to, insert } of [...changes].reverse()) {
        const index = this.gap(from);
        for (const piece of this.pieces(from, to).reverse()) this.text.delete(piece.index, piece.length);
        if (insert) this.text.insert(index, insert);
      }
    }, this);
    if (written.length === 1) this.caret += written[0].insert.length;
    else this.stepOut();
  }

  /** Ends the slot in which the person has written; the words stay. */
  release() {
    if (this.own === null) return;
    const edges = walk(this.segments).filter(({ segment }) => segment.slot === this.own);
    this.own = null;
    this.text.doc.transact(() => {
      for (const { index } of edges.reverse()) this.text.delete(index, 1);
    }, EDGES);
  }

  /** Follows the text no more. */
  close() {
    this.release();
    this.text.unobserve(this.hear);
  }

  /** Puts the caret into a slot of the person's own at a position, opening one if there is none. */
  reserve(position) {
    if (!this.isOwn(this.gap(position))) {
      this.release();
      const index = this.gap(position);
      this.own = newId();
      this.text.doc.transact(() => {
        this.text.insertEmbed(index, { slot: this.own, edge: "open", owner: "person" });
        this.text.insertEmbed(index + 1, { slot: this.own, edge: "close" });
      }, EDGES);
      this.caret = index + 1;
    }
    this.caret = this.gap(position);
  }

  /** Returns the index at which the person inserts at a position. */
  gap(position) {
    return this.position(this.caret) === position ? this.caret : this.place(position);
  }

  /**
   * Returns the index for a position to which the person comes. Between two letters there is only one. At the edges of slots
   * it is the one in the person's own slot, or else in the fewest, and of those the last: nobody writes by accident into what
   * an agent is writing just now.
   */
  place(position) {
    const found = this.gaps(position);
    const mine = found.find(({ inside }) => this.own !== null && inside.at(-1) === this.own);
    const least = Math.min(...found.map(({ inside }) => inside.length));
    return (mine ?? found.findLast(({ inside }) => inside.length === least)).index;
  }

  gaps(position) {
    const found = [];
    for (const { segment, index, position: begin, inside } of walk([...this.segments, ""])) {
      if (begin === position) found.push({ index, inside });
      else if (isWords(segment) && begin < position && position < begin + segment.length) {
        found.push({ index: index + position - begin, inside });
      }
    }
    return found;
  }

  /** Takes the caret out of a slot of others at whose edge it stands, now that words beside it are gone. */
  stepOut() {
    const index = this.place(this.position(this.caret));
    if (this.inside(index).length < this.inside(this.caret).length && !this.isOwn(this.caret)) this.caret = index;
  }

  isOwn(index) {
    return this.own !== null && this.inside(index).at(-1) === this.own;
  }

  inside(index) {
    return walk([...this.segments, ""]).findLast((item) => item.index <= index).inside;
  }

  /** Returns where the words between two positions stand, without the edges among them. */
  pieces(from, to) {
    return walk(this.segments).flatMap(({ segment, index, position }) => {
      const first = Math.max(from - position, 0);
      const last = Math.min(to - position, segment.length ?? 0);
      return isWords(segment) && first < last ? [{ index: index + first, length: last - first }] : [];
    });
  }
}

/** Returns who wrote what can be seen, from the beginning to the end: {client, length}. */
export function writers(text) {
  const found = [];
  for (let item = text._start; item; item = item.right) {
    if (item.deleted || !isWords(item.content.str)) continue;
    if (found.at(-1)?.client === item.id.client) found.at(-1).length += item.length;
    else found.push({ client: item.id.client, length: item.length });
  }
  return found;
}

/** Returns segments with the index and position at which each begins, and the whole slots that are open there. */
function walk(segments) {
  const closed = new Set(segments.filter(({ edge }) => edge === "close").map(({ slot }) => slot));
  let [index, position, inside] = [0, 0, []];
  return segments.map((segment) => {
    const item = { segment, index, position, inside };
    index += lengthOf(segment);
    if (isWords(segment)) position += segment.length;
    else if (segment.edge === "open" && closed.has(segment.slot)) inside = [...inside, segment.slot];
    else if (segment.edge === "close") inside = inside.filter((slot) => slot !== segment.slot);
    return item;
  });
}

/** Returns the segments after a delta, what it changed in positions of before, and the index that a caret has after it. */
function follow(segments, delta, caret) {
  const rest = [...segments].reverse();
  const [after, changes] = [[], []];
  let [old, now, position, moved] = [0, 0, 0, null];
  const take = (length, keep) => {
    for (let left = length; left > 0; ) {
      let segment = rest.pop();
      if (isWords(segment) && segment.length > left) {
        rest.push(segment.slice(left));
        segment = segment.slice(0, left);
      }
      left -= lengthOf(segment);
      if (isWords(segment)) {
        if (!keep) changes.push({ from: position, to: position + segment.length, insert: "" });
        position += segment.length;
      }
      if (keep) add(after, segment);
    }
  };
  for (const { retain = 0, insert, delete: cut = 0 } of delta) {
    if (moved === null && (caret === old || caret < old + retain + cut)) moved = now + (retain ? caret - old : 0);
    take(retain + cut, retain > 0);
    old += retain + cut;
    now += retain;
    if (insert === undefined) continue;
    const segment = segmentOf(insert);
    now += lengthOf(segment);
    if (isWords(segment)) changes.push({ from: position, to: position, insert });
    add(after, segment);
  }
  while (rest.length) add(after, rest.pop());
  return { segments: after, changes, caret: moved ?? now + caret - old };
}

function add(segments, segment) {
  if (isWords(segment) && isWords(segments.at(-1))) segments[segments.length - 1] += segment;
  else segments.push(segment);
}

function isWords(segment) {
  return typeof segment === "string";
}

/** Returns words as they are, and of what is embedded an object, whatever it is. */
function segmentOf(insert) {
  return isWords(insert) ? insert : { ...insert };
}

function lengthOf(segment) {
  return isWords(segment) ? segment.length : 1;
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
