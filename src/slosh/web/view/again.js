/**
 * Loads the page again where one of its scripts did not come: a browser drops what it is loading when its network changes,
 * and does not ask again for a script by itself. No module, so that nothing it needs can fail.
 */
(() => {
  /** Tries, and milliseconds before the first; each pause is twice the one before. */
  const MOST = 6;
  const FIRST = 500;
  const tries = history.state?.tries ?? 0;
  let isBad = false;
  addEventListener("error", ({ target }) => {
    if (!(target instanceof HTMLScriptElement) || isBad || tries >= MOST) return;
    isBad = true;
    history.replaceState({ tries: tries + 1 }, "");
    setTimeout(() => location.reload(), FIRST * 2 ** tries);
  }, true);
  // After the last script.
  addEventListener("load", () => isBad || !tries || history.replaceState(null, ""));
})();
