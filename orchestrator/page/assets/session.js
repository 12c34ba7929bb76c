// The token of this tab, and what is asked of the server with it.

const KEY = "orch-token";

/** Takes the token out of the address, where it would be copied and photographed, and keeps it for this tab. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return token();
}

export function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function keepToken(text) {
  sessionStorage.setItem(KEY, text);
}

/** Tells whether the token looks like the owner's: only those of others are sealed with a dot. The server decides. */
export function mayAct() {
  return token() !== "" && !token().includes(".");
}

export function boardUrl() {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/board`;
}

/** Returns a text of the API; throws an Error with a sentence for people. */
export async function fetchText(path, query) {
  return answered(await asked(`${path}?${new URLSearchParams(query)}`, {}));
}

/** Leaves a message for the run: `answer`, `cancel`, `pause` or `unpause`. */
export async function send(message) {
  const body = JSON.stringify(message);
  await answered(await asked("/api/message", { method: "POST", body, headers: { "Content-Type": "application/json" } }));
}

async function asked(path, options) {
  const headers = { ...options.headers, Authorization: `Bearer ${token()}` };
  try {
    return await fetch(path, { ...options, headers, credentials: "omit", cache: "no-store" });
  } catch {
    throw new Error("The server cannot be reached.");
  }
}

async function answered(response) {
  const text = await response.text();
  if (!response.ok) throw new Error(text || `The server said ${response.status}.`);
  return text;
}
