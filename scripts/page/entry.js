// All that the page uses of others, but for its editor.
export { createAbsolutePositionFromRelativePosition, createRelativePositionFromTypeIndex, Doc, UndoManager } from "yjs";
export { WebsocketProvider } from "y-websocket";
