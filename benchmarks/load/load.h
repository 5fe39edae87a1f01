/*
 * The load generator of slosh's benchmark: what its parts share.
 *
 * Rules that every file here keeps:
 *   1. Load is open-loop unless a scenario says otherwise: a message's latency counts from the moment it was due,
 *      not from the moment this program found time to send it, so that waiting is never hidden. It ends when the
 *      kernel has the answer at the reader's socket, not when this program found time to read it.
 *   2. Every message carries its stream, topic, number and due time; every reader keeps a ledger of what came.
 *      A run that lost, doubled, swapped or damaged anything says so, and benchmarks/ prints no figure for it.
 *   3. It stays cheaper than the servers: one thread, edge-triggered epoll, one recv and one send for a delivery.
 *
 * main.c      options, and the words exchanged with benchmarks/loading.py
 * modes.c     what a run does: steady, mixed, idle, listen, publish, storm
 * readers.c   the readers' connections
 * publishers.c the publishers' connections, open and closed loop
 * arrival.c   when bytes came
 * ledger.c    missing, doubled, swapped; latency
 * vary.c      what makes requests differ from each other
 * http.c      where an answer ends
 * longpoll.c  the long-poll transport of each server, and the list of all transports
 * streams.c   Server-Sent Events and WebSocket
 * bayeux.c    Faye's protocol
 */
#ifndef SLOSH_LOAD_H
#define SLOSH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MOST_SIZE = 65536, MOST_STREAMS = 8, PLACE_ROOM = 160, COOKIE_ROOM = 32, LINES_ROOM = 512, RECEIVE_ROOM = 4 << 20 };

/* The token of --token; benchmarks/servers/slosh.py gives servers its digest. */
#define BENCH_TOKEN "bench_5e1d0c9b8a7f6e5d4c3b2a19"

enum way { WAY_SINCE, WAY_COOKIE, WAY_NUMBER, WAY_AMONG, WAY_EVENT };   /* how slosh's readers name their place */

/* ---- options (main.c) ---- */

struct options {
    const char *mode;         /* steady | mixed | idle | listen | publish | storm */
    const char *transport;    /* a name in transports[] */
    int port;
    int readers;
    int topics;
    int idle_readers;         /* mixed: readers that wait beside the others, on topics of their own, */
    int idle_topics;          /* whose numbers follow those of the others */
    int publishers;
    double rate;              /* messages a second over all topics; 0 = closed loop */
    double seconds;           /* how long messages are published */
    int size;                 /* bytes of a message, from its first quote to its last brace */
    int most;                 /* larger than size: lengths are from size to this, by chance */
    int source;               /* which address of 127.0.0.0/8 the first readers come from; 0 = the usual one */
    enum way way;
    bool keys;                /* each publish has an Idempotency-Key */
    bool ids;                 /* each request has an X-Request-ID and a traceparent */
    bool token;               /* each request has an Authorization */
    bool mix;                 /* keys, ids and ways by chance */
    bool browser;             /* readers send the headers of a browser, each with its own cookies */
    double patience;          /* seconds without any arrival after which the rest counts as missing */
};
extern struct options options;

uint64_t now_ns(void);
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool control_readable(void);          /* true once benchmarks/loading.py has said the next word */
void await_word(const char *word);    /* blocks for a line on stdin */
void say(const char *word);           /* one line on stdout */
void stop_clock(void);                /* what happens from here on is part of no figure, only of the count of messages */
bool clock_stopped(void);
static inline int all_readers(void) { return options.readers + options.idle_readers; }
static inline int all_topics(void) { return options.topics + options.idle_topics; }

/* ---- arrival (arrival.c) ---- */

void arrival_wanted(int fd);                                                    /* before anything comes on this socket */
ssize_t receive(int fd, char *data, size_t room, uint64_t *arrival);            /* recv(), and when its last byte came (ns) */

/* ---- ledger (ledger.c) ---- */

struct ledger {               /* of one reader for one stream; numbers start at 1 */
    uint64_t highest;
    uint64_t window;          /* bit k: number (highest - k) has come */
};

struct tally {
    uint64_t published, failed, expected;
    uint64_t delivered;       /* distinct messages that came, in order or not */
    uint64_t doubled, swapped, strangers, damaged;
    uint64_t answers;         /* frames (HTTP answers, events) that carried them */
    uint64_t last_arrival;    /* ns */
};
extern struct tally tally;

struct spread {               /* a log-linear histogram: 32 steps to each power of two, so within 3 % */
    uint64_t count, most;
    uint64_t slots[64 * 32];
};
extern struct spread delivery_latency, publish_latency, reconnect_latency, lateness;

void spread_add(struct spread *, uint64_t ns);
double spread_at(const struct spread *, double share);   /* microseconds */

struct message { unsigned stream, topic; uint64_t number, due; };

int message_write(char *out, const struct message *);    /* -> its bytes; no terminating zero */
struct reader;
int messages_read(struct reader *, const char *data, size_t length, uint64_t now);   /* -> messages found */

/* ---- variety (vary.c) ---- */

int message_size(const struct message *);
enum way way_chosen(void);
unsigned few_seconds(void);                           /* another number each time */
int further_lines(char *out, bool publish);           /* header lines, LINES_ROOM of room; -> their length, without the terminating zero */

/* ---- one transport (longpoll.c, streams.c) ---- */

struct transport {
    const char *name;
    /* Path of a publish to this topic. */
    void (*publish_path)(char *out, size_t room, unsigned topic);
    /* Bytes to send on a fresh connection, and, when asks_again, after each frame. Returns their length. */
    int (*ask)(struct reader *, char *out, size_t room);
    /* One frame at `data`: reads its messages and the reader's new place. Bytes used; 0 = not all here yet; -1 = broken. */
    long (*take)(struct reader *, const char *data, size_t length, uint64_t now);
    bool asks_again;
    /* A request that makes topics take messages although nobody reads, or NULL when the server always does. */
    void (*prime_path)(char *out, size_t room, unsigned topic);
    /* The body of a publish of this message, or NULL when it is its bytes alone. Returns its length. */
    int (*publish_body)(char *out, size_t room, unsigned topic, const char *message, int size);
};
extern const struct transport slosh_sse, nchan_sse, slosh_websocket, nchan_websocket, bayeux;
extern const struct transport *const transports[];       /* ends with NULL */
extern const struct transport *transport;                /* the one in use */

/* ---- readers (readers.c) ---- */

enum reader_state { READER_CLOSED, READER_CONNECTING, READER_OPEN };

struct reader {
    int fd;
    unsigned topic;
    enum reader_state state;
    int opened;               /* a stream's own: whether its head was read, and how its body is framed; Bayeux's steps */
    uint32_t warm;            /* number of the last warm-up message that came */
    uint64_t due;             /* storm: when it was to connect; 0 = not in a storm */
    char place[PLACE_ROOM];   /* the cursor, spelled as the transport wants to send it */
    char cookie[COOKIE_ROOM]; /* the name of its cookie, with the = */
    char *headers;            /* further header lines, or NULL */
    char *stash;              /* the front of a frame whose rest has not come */
    size_t stashed;
    struct ledger ledgers[MOST_STREAMS];
};
extern struct reader *readers;
extern uint64_t connections_lost;     /* closed by the server without being asked */
extern unsigned lagging;              /* readers that have not seen the newest warm-up message of their topic */

void readers_prepare(void);
void reader_connect(struct reader *);
void reader_close(struct reader *);
void reader_event(struct reader *, uint32_t events);

/* ---- publishers (publishers.c) ---- */

extern int streams;           /* publishers of one topic that speak at the same time */
extern uint32_t *warm_sent;   /* for each topic: the number of its newest warm-up message */
void publishers_prepare(void);
void publish_warm(unsigned topic);
void publish_one(unsigned topic);                     /* one counted message, due now */
void publish_schedule(uint64_t start);                /* open loop: options.rate for options.seconds */
void publish_closed(uint64_t until);                  /* closed loop on every publisher */
void publishers_tick(uint64_t now);                   /* sends what is due */
uint64_t publishers_next(void);                       /* ns of the next due message, UINT64_MAX = none */
bool publishers_idle(void);                           /* everything due was sent and answered */
void publisher_event(int index, uint32_t events);
void prime_topics(void);

/* ---- http (http.c) ---- */

struct answer { int status; const char *head, *body; size_t head_length, body_length; };
bool copy_place(struct reader *, const char *value, size_t length);    /* false when it is none, or too long */
const char *text_member(const struct answer *, const char *name, size_t *length);   /* of the body: "name":"text"; NULL = none */
long answer_read(const char *data, size_t length, struct answer *);   /* bytes of the whole answer; 0 = more to come; -1 = broken */
const char *header_value(const struct answer *, const char *name, size_t *length);

/* ---- the loop (modes.c) ---- */

enum { PUBLISHER_TAG = 1 };
extern int epoll_fd;
void loop_turn(uint64_t deadline);    /* waits for the sockets or the deadline (ns), whichever is first, and serves them */
void mode_run(void);

#endif
