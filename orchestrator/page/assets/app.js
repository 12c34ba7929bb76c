// Begins: takes the token, connects, and gives every part of the page its place.

import { Agents } from "./agents.js";
import { Detail } from "./detail.js";
import { el } from "./dom.js";
import { Files } from "./files.js";
import { Head } from "./head.js";
import { Health } from "./health.js";
import { LinkState } from "./link.js";
import { Log, Warnings } from "./log.js";
import { Questions } from "./questions.js";
import { boardUrl, takeToken } from "./session.js";
import { Store } from "./store.js";
import { Tasks } from "./tasks.js";
import { Train } from "./train.js";

const place = (id) => document.getElementById(id);

function begin() {
  const token = takeToken();
  const store = new Store();
  const page = { store, open: (id) => detail.open(id), selected: () => detail.id, say: announcer() };
  const detail = new Detail(place("detail"), page);
  const parts = [
    new LinkState(place("link"), page),
    new Head(place("head"), page),
    new Questions(place("questions"), page),
    new Tasks(place("tasks"), page),
    new Files(place("files"), page),
    new Train(place("train"), page),
    new Agents(place("agents"), page),
    new Warnings(place("warnings"), page),
    new Health(place("health"), page),
    new Log(place("log"), page),
    detail,
  ];
  for (const part of parts) store.listen((changes) => part.update(changes));
  addEventListener("hashchange", () => takeToken() !== token && location.reload());
  if (token) store.connect(boardUrl(), token);
  else parts[0].ask("This board needs its token.");
}

/** Returns what tells screen readers something: only the last of many things that come at once. */
function announcer() {
  const node = place("news");
  return (text) => node.replaceChildren(el("p", {}, text));
}

begin();
