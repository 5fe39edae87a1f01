/** Elements of a page that changes by itself: what a person presses and what has the focus stay where they are. */

/** Make an element. Text goes in as text, never as HTML. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Write a text where there is another one. What stays as it is can be selected, and is not read out again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Milliseconds for which what is pressed stays where it is: at most, and behind its release, because a click by touch comes later. */
const [HELD, RELEASED] = [5000, 100];
let heldUntil = 0;
const hold = ({ type, buttons, key, target }) => {
  const now = performance.now();
  const isDown = type === "keydown" ? key === " " : type.startsWith("pointer") && buttons & 1 && target.localName !== "select";
  if (isDown && (type !== "pointermove" || heldUntil > now)) heldUntil = now + HELD;
  // An element loses the focus at each press; that the window does may hide its release.
  else if (type !== "keydown" && (type !== "blur" || target === globalThis)) heldUntil = type === "click" ? 0 : Math.min(heldUntil, now + RELEASED);
};
for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel", "keydown", "keyup", "click", "contextmenu", "blur"]) addEventListener(type, hold, { capture: true, passive: true });

/** Whether something is pressed: until it is released nothing on the page may take its place, or its click would be lost, or be another's. */
export const isHeld = () => performance.now() < heldUntil;

const waiting = [];

/** Make changes that move what stands around them: at once, or in their order as soon as nothing is pressed any more. */
export function settle(...changes) {
  waiting.push(...changes);
  if (isHeld()) setTimeout(settle, RELEASED);
  else for (const change of waiting.splice(0)) change();
}

/** Let these elements stand in another one, and no others. Those that are there already are not moved. */
export const arrange = (place, elements) => keepFocus(place, () => {
  const wanted = new Set(elements);
  for (const each of [...place.children]) if (!wanted.has(each)) each.remove();
  elements.forEach((each, i) => place.children[i] === each || place.insertBefore(each, place.children[i] ?? null));
});

/** Move elements on the page of `place`. The one with the focus keeps it, wherever it is afterwards. */
export function keepFocus(place, move) {
  const root = place.getRootNode();
  const { activeElement } = root;
  move();
  if (activeElement?.isConnected && activeElement !== root.activeElement) activeElement.focus({ preventScroll: true });
}
