// An SSE client from npm, by its name: prints each message, its place and each word of a loss, on a line of its own.
// Each comes back by itself where the package does; where a package leaves that to its caller, as its manual says.
const [name, url, cookie] = process.argv.slice(2);
const headers = cookie ? { Cookie: cookie } : {};

function take({ event, data }) {
  console.log(!event || event === "message" ? data : `${event} ${data}`);
}

function listen(source) {
  for (const event of ["message", "place", "lost", "reset", "refused"]) {
    source.addEventListener(event, ({ data }) => take({ event, data }));
  }
}

const clients = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    listen(new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
    }));
  },
  async "event-source-polyfill"() {
    const { EventSourcePolyfill } = (await import("event-source-polyfill")).default;
    listen(new EventSourcePolyfill(url, { headers }));
  },
  async "eventsource-client"() {
    const { createEventSource } = await import("eventsource-client");
    createEventSource({ url, headers, onMessage: take });
  },
  async "@microsoft/fetch-event-source"() {
    // It is made for pages, and uses a few things of them.
    globalThis.window = globalThis;
    globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    fetchEventSource(url, {
      headers,
      openWhenHidden: true,
      onmessage: take,
      onclose() { throw new Error("an end is not meant to be the last"); },
      onerror() {},
    });
  },
};

await clients[name]();
