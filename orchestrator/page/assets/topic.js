// One document of the board, as a live peer of it.

import { Doc, WebsocketProvider } from "./vendor/yjs.js";

/** How the server closes the connection for a document that is not there, or not yet. */
export const NO_DOCUMENT = 4404;

/**
 * Follows one document. `tell(root, keys)` is called when something of a root has changed: `keys` are those of a map, null
 * if all may have. `moved()` is called when the connection has changed: see `state` (connecting, live, lost, closed).
 *
 * After a lost connection the document is fetched anew: the process at the other end may be another one, whose document
 * has nothing to do with the one of before. What was last known stays until the new one is here.
 */
export class Topic {
  constructor(url, name, token, maps, arrays, tell, moved) {
    Object.assign(this, { url, name, token, maps, arrays, tell, moved });
    this.state = "connecting";
    this.why = "";
    this.doc = new Doc();
    this.begin();
  }

  begin() {
    const doc = new Doc();
    const peer = new WebsocketProvider(this.url, this.name, doc, {
      params: { token: this.token },
      disableBc: true,
      maxBackoffTime: 5000,
      resyncInterval: 10000, // else a board on which nothing happens is taken for a dead one after 30 s
    });
    peer.awareness.setLocalState({ page: true });
    peer.awareness.on("change", () => this.doc === doc && this.tell("", null));
    peer.on("sync", (synced) => synced && this.adopt(doc, peer));
    peer.on("status", ({ status }) => {
      if (status === "disconnected" && this.doc === doc) this.lost(peer);
    });
    peer.on("connection-close", () => this.doc !== doc && this.state === "connecting" && this.become("lost"));
    peer.on("closed", ({ code, reason }) => {
      this.become("closed", code, reason);
      if (code === NO_DOCUMENT) setTimeout(() => this.begin(), 3000); // it is shown once the run has begun
    });
  }

  adopt(doc, peer) {
    if (this.doc !== doc) {
      this.doc = doc;
      this.peer = peer;
      for (const root of this.maps) doc.getMap(root).observe((event) => this.tell(root, event.keysChanged));
      for (const root of this.arrays) doc.getArray(root).observe(() => this.tell(root, null));
      for (const root of [...this.maps, ...this.arrays]) this.tell(root, null);
    }
    this.become("live");
  }

  lost(peer) {
    queueMicrotask(() => {
      if (this.state === "closed") return;
      peer.destroy();
      this.become("lost");
      this.begin();
    });
  }

  become(state, code = 0, why = "") {
    if (this.state === state) return;
    Object.assign(this, { state, code, why });
    this.moved();
  }

  /** Returns the values of a map by key, or those of some of its keys; what is no JSON object is left out. */
  values(root, keys = null) {
    const map = this.doc.getMap(root);
    return new Map([...(keys ?? map.keys())].map((key) => [key, parsed(map.get(key))]).filter(([, value]) => value));
  }

  list(root) {
    return this.doc.getArray(root).toArray().map(parsed).filter(Boolean);
  }

  /** Returns what others who look at this document say about themselves. */
  peers() {
    const own = this.doc.clientID;
    return [...(this.peer?.awareness.getStates() ?? [])].filter(([id, said]) => id !== own && said).map(([, said]) => said);
  }
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
