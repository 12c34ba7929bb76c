// All that the editor of shared files uses of others.
export { defaultKeymap } from "@codemirror/commands";
export { Annotation, Compartment, EditorState, StateEffect, StateField } from "@codemirror/state";
export { Decoration, EditorView, keymap, lineNumbers, WidgetType } from "@codemirror/view";
