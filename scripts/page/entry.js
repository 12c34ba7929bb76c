// All that the page uses of others.
export { Doc } from "yjs";
export { WebsocketProvider } from "y-websocket";
