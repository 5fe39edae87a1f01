/** Which hidden tabs of a browser keep their connections. Loaded when one is hidden. */

/** Tabs that need not rest. */
const KEEPING = 2;

/** True where this hidden tab may keep its connection, until the function handed to `hold` is called. */
export async function keepSlot(hold) {
  // Only pages over HTTPS or on localhost have locks; elsewhere each hidden tab rests.
  for (let slot = 0; slot < KEEPING && navigator.locks; slot++) {
    const isMine = await new Promise((resolve) => {
      const take = (lock) => (resolve(lock), lock && new Promise(hold));
      navigator.locks.request(`slosh: hidden tab ${slot}`, { ifAvailable: true }, take).catch(() => resolve());
    });
    if (isMine) return true;
  }
  return false;
}
