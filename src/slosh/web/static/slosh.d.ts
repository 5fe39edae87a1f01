/**
 * slosh.js: watch topics of a slosh server, and publish to them, from a page, from Node, Deno or Bun.
 *
 *     import { watch, publish } from "/-/slosh.js";                  // in a page of the server
 *     import { watch, publish } from "slosh-client";                 // from npm; with the option `server`
 *
 *     for await (const { message, topic, time, lost } of watch("kitchen", { since: "-50" })) draw(message);
 *     watch(["kitchen", "house/*"], { onMessage: ({ message, topic }) => draw(topic, message) });
 *     await publish("kitchen", { t: 21.5 }, { retries: 3 });
 */

/** A name (`kitchen`, `house/kitchen`, not percent-encoded), a pattern (`house/*`, `house/**`), or several of both. */
export type Topics = string | string[];

export interface Connection {
  /** The server's address with its scheme, `https://example.org/slosh`. Default: the one that the script came from. */
  server?: string;
  /** Sent as `Authorization: Bearer …`. A function is asked before each request. What it throws is told: it is the reason
   *  of `offline`, and it is asked again after a pause; `publish` throws a `TypeError` with it. */
  token?: string | (() => string | Promise<string>);
  /** Further header fields of each request. */
  headers?: Record<string, string>;
  /** Ends it. */
  signal?: AbortSignal;
}

export interface Options extends Connection {
  /** Where to start: `now` (default), `earliest`, `-50`, `90s`, or a place kept from before. */
  since?: string;
  /** At most this many messages in one answer, the newest. */
  limit?: number;
  /** Gather this long before an answer: `250ms`, `1s`. */
  every?: string;
  /** A path into the message: only the newest of each value. */
  key?: string;
  /** All topics of all tabs of this browser share one connection. Without HTTPS or localhost: all topics of this page. */
  shared?: boolean;
  /** What a hidden tab does with a connection of its own: give it back (default; two tabs of a browser keep theirs), ask
   *  for one answer in five seconds, or keep it. It goes on from its place when it is shown. */
  whenHidden?: "rest" | "less" | "keep";
  /** How the answers travel. Default `stream`; polls take its place where a proxy holds streams back or refuses them. */
  transport?: Transport;
  /** Seconds that a poll is held. Default 25. */
  wait?: number;
  /** Milliseconds without a byte after which a stream is given up. Default 20,000; the server sends one each 15 s. */
  patience?: number;
  /** Times come always; kept for pages that ask for them. */
  times?: boolean;
  /** Called each time the state changes. */
  onState?: (state: State) => void;
}

/** What the connection is doing. */
export interface State {
  /** connecting: a request is under way. waiting: the server answered that it cannot now. offline: it cannot be reached.
   *  resting: the tab is hidden. ended: the topic has ended. failed: refused for good. closed: `close()` was called. */
  name: "connecting" | "live" | "waiting" | "offline" | "resting" | "failed" | "ended" | "closed";
  /** Why, in words; with live: what is not given, as where patterns take in too many topics, or where a message came twice
   *  as no JSON and was passed over. */
  reason?: string;
  /** With live: the patterns take in more topics than one reader may come to, and some are left out. */
  incomplete?: boolean;
  /** Milliseconds until the next try; with waiting and offline. */
  retryIn?: number;
  /** With failed: the refusal. */
  error?: SloshError;
}

export interface Item<T = any> {
  message: T;
  topic: string;
  /** When it arrived, Unix milliseconds by the server's clock. */
  time?: number;
  /** Its number in the topic's present life; NaN where messages were left out (`key`, `limit`) and it cannot be told. */
  offset: number;
  /** Messages of its topic that are missing before it, because the topic keeps a bounded number. */
  lost: number;
  /** The topic began again before it; what was before is not known. */
  reset: boolean;
  /** `since` asked for a window, and messages inside it, before this one, are not kept any more. */
  truncated: boolean;
}

/** An answer of the server, as docs/protocol.md describes it. */
export interface Answer<T = any> {
  /** Offset of the newest message in the topic. */
  max?: number;
  /** Messages since the place that was asked from: `delivering + lost + conflated`. */
  saw?: number;
  delivering?: number;
  /** The messages, oldest first. */
  res?: T[];
  times?: number[];
  offsets?: number[];
  /** The place to ask from next time. */
  next: string;
  lost?: number;
  conflated?: number;
  reset?: boolean;
  truncated?: boolean;
  /** A message came twice as no JSON, was passed over, and is counted in `lost`. */
  unread?: boolean;
  ended?: boolean;
  timeout?: boolean;
  /** When the server answered, Unix milliseconds; where its response told it. */
  date?: number;
  /** Of several topics: the answer of each that has one. */
  topics?: Record<string, Answer<T>>;
}

/** Connects once and yields answers, the first, be it empty, as soon as the server is there. */
export type Transport = (request: {
  url: URL; topic: string; since: string; query: Record<string, string | number | undefined>; wait: number; signal: AbortSignal; returns: boolean; options: Options;
  /** Whether what is no JSON was none when it came before, and is to be passed over. */
  passes?: () => boolean;
}) => AsyncIterable<Answer>;

export const stream: Transport;
export const longPoll: Transport;

/** Messages as they come: iterate over it, or pass `onMessage`. An iteration ends when the topic ends or `close()` is
 *  called, and throws the `SloshError` with which the server refused for good. A handler that returns a promise is waited
 *  for; a reader that takes long is told what it lost, and nothing piles up. */
export function watch<T = any>(topics: Topics, options?: Options & { onMessage?: (item: Item<T>) => void | Promise<void> }): Watching<T>;

export class Watching<T = any> implements AsyncIterableIterator<Item<T>> {
  /** Give it as `since` to go on behind what was given. */
  readonly place: string;
  readonly state: State;
  /** Topics that have ended. */
  readonly ended: string[];
  close(): void;
  /** Try now instead of after the pause. */
  retry(): void;
  next(): Promise<IteratorResult<Item<T>>>;
  return(value?: any): Promise<IteratorResult<Item<T>>>;
  [Symbol.asyncIterator](): this;
}

/** The same by whole answers: for charts, and whatever takes many messages at a time. */
export function follow<T = any>(topics: Topics, options?: Options & { onAnswer?: (answer: Answer<T>) => void | Promise<void> }): Following;

export class Following {
  readonly topic: string;
  readonly place: string;
  readonly state: State;
  /** Whose topics have one connection: of this browser, of this page, or this one's alone. */
  readonly sharing: "browser" | "page" | "none";
  close(): void;
  retry(): void;
}

export interface Publishing extends Connection {
  /** The same key within five minutes is stored once. Made for you where there are `retries`. */
  idempotencyKey?: string;
  /** Try again so often where the server cannot be reached or cannot now. Default 0. */
  retries?: number;
  /** Make the topic active, as a reader would. */
  open?: boolean;
  /** These are the topic's last messages. */
  end?: boolean;
}

/** `taken: false` is no error: nobody watches the topic, or it has ended, so nothing was kept and a producer may rest. */
export type Published =
  | { taken: true; max: number; next: string; watchers: number; accepted?: number; queue?: number; queue_bytes?: number; ended?: true }
  | { taken: false; code: "no_watchers" | "ended" };

/** Publish one value, anything that `JSON.stringify` takes.
 *  @throws {SloshError} the server refused
 *  @throws {TypeError} it cannot be reached, or an argument makes no sense; the message says which */
export function publish(topic: string, value: unknown, options?: Publishing): Promise<Published>;

/** Publish several values, in their order and next to each other: all, or none. */
export function publishBatch(topic: string, values: Iterable<unknown>, options?: Publishing): Promise<Published>;

/** End a topic without a message: its readers get what is left, and their iterations end. `taken: false` where it is not
 *  active. */
export function end(topic: string, options?: Connection & { retries?: number }): Promise<Published>;

/** A refusal of the server. */
export class SloshError extends Error {
  readonly status: number;
  /** A short fixed word, such as `too_large`; docs/protocol.md lists them. */
  readonly code: string;
  /** Milliseconds for which the server asks to be left alone; 0 where it did not say. */
  readonly retryAfter: number;
  /** Whether the server asks to be asked again within half a second, because the next server is there already. */
  readonly isSoon: boolean;
  /** Whether the same request may succeed later. */
  readonly passing: boolean;
}
