/** What the server kept of the time before this page: rollups of `GET /topics/<name>?history=`, where it keeps some. */

/** Topics of which the past is asked for, and requests at a time. */
const MOST = 60;
const AT_ONCE = 3;

export class Past {
  #kept;
  #lines;
  #topicOf;
  #asked = new Map();
  #waiting = [];
  #busy = 0;
  #onFilled;

  /**
   * @param {number} kept  seconds that are asked for
   * @param {object} lines  what is filled
   * @param {Function} topicOf  the address of a topic
   * @param {Function} onFilled  called when something was
   */
  constructor(kept, lines, topicOf, onFilled = () => {}) {
    [this.#kept, this.#lines, this.#topicOf, this.#onFilled] = [kept, lines, topicOf, onFilled];
  }

  /**
   * Ask for the past of these topics, each once, and again once it is known by which member lines are told apart. Of a
   * pattern there is a past of each topic that it takes in, as soon as one of its messages has come.
   * @param {Iterable<string>} names
   */
  fill(names) {
    const by = this.#lines.by ?? "";
    for (const name of names) {
      if (name.includes("*") || this.#asked.get(name) === by || (!this.#asked.has(name) && this.#asked.size >= MOST)) continue;
      this.#asked.set(name, by);
      this.#waiting.push([name, by]);
    }
    while (this.#busy < AT_ONCE && this.#waiting.length) this.#begin(...this.#waiting.shift());
  }

  async #begin(name, by) {
    this.#busy++;
    const history = await ask(this.#topicOf(name), by, this.#kept);
    this.#busy--;
    // Meanwhile lines may have come to be told apart by a member.
    if (history && this.#asked.get(name) === by) {
      this.#lines.fillPast(name, history);
      this.#onFilled();
    }
    this.fill([]);
  }
}

/** The history of one topic, as far back as there is one; undefined where there is none. */
async function ask(url, by, kept) {
  try {
    const response = await fetch(`${url}?history=${Math.ceil(kept)}s,all${by && `&by=${encodeURIComponent(by)}`}`, { cache: "no-store" });
    if (!response.ok) return undefined;
    const history = await response.json();
    return Array.isArray(history.series) && history.step > 0 ? history : undefined;
  } catch {
    // The page goes on with what the ring holds; that the server cannot be reached is told by the connection itself.
    return undefined;
  }
}
