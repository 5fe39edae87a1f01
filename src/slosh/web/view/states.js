/**
 * Booleans and short texts that change now and then, such as `on` or `"heating"`: bands of colour over the time. Nothing
 * here touches the page.
 */

/** Paths that are kept, values of one that are told apart, changes of one that are kept, characters of a value. */
export const MAX_STATES = 20;
const MAX_VALUES = 12;
const MAX_CHANGES = 2000;
const MAX_TEXT = 40;
/** Times that a text must have come before it is taken for a state. */
const LEAST = 3;

export class States {
  all = new Map();
  #lines;

  constructor(lines) {
    this.#lines = lines;
  }

  /** Take a value of a message into account. */
  note(source, by, path, raw, time) {
    if (path === this.#lines.by) return;
    const key = JSON.stringify([source, by, path]);
    let state = this.all.get(key);
    if (!state) {
      if (this.all.size >= MAX_STATES) return;
      state = { source, value: by, path, changes: [], values: new Map(), count: 0, isText: false };
      this.all.set(key, state);
    }
    if (state.isText) return;
    const text = String(raw);
    state.count++;
    // Texts of many kinds are no states but messages.
    if (text.length > MAX_TEXT || (!state.values.has(text) && state.values.size >= MAX_VALUES)) {
      Object.assign(state, { isText: true, changes: [], values: new Map() });
      return;
    }
    if (!state.values.has(text)) state.values.set(text, state.values.size);
    const last = state.changes.at(-1);
    // One that is over held until something went missing.
    if (last && !last.isOver) last.until = Math.max(last.until, time);
    if (last?.text !== text || last.isOver) state.changes.push({ text, from: time, until: time, isOver: false });
    if (state.changes.length > MAX_CHANGES) state.changes.shift();
  }

  /** Nothing is known of what came in between. */
  end(source) {
    for (const state of this.all.values()) {
      if (source !== undefined && state.source !== source) continue;
      const last = state.changes.at(-1);
      if (last) last.isOver = true;
    }
  }

  forget(before) {
    for (const state of this.all.values()) while (state.changes.length > 1 && state.changes[0].until < before) state.changes.shift();
  }

  /** Those that are bands: booleans, and texts that came again. */
  get shown() {
    return [...this.all.values()].filter(({ isText, values, count }) => {
      if (isText || !values.size) return false;
      const isBoolean = [...values.keys()].every((text) => text === "true" || text === "false");
      return isBoolean || (count >= LEAST && values.size <= Math.max(1, count / 2));
    });
  }
}
