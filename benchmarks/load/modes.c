/*
 * What a run does. Each mode speaks with benchmarks/loading.py at the moments when the server's CPU is read:
 *   load says `ready`, is told `go`, says `held` or its result, and lives on until `bye`, so that the closing of its
 *   connections is nobody's cost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <stdio.h>

#include "load.h"

enum { EVENTS = 512, CONNECTING_AT_ONCE = 64, WARM_ROUNDS = 3 };
static const uint64_t SECOND = 1000000000ull, LEAD_IN = 50000000ull, WARM_SILENCE = 250000000ull, WARM_LIMIT = 90ull * SECOND;

int epoll_fd;
const struct transport *transport;

void loop_turn(uint64_t deadline)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns();
    struct timespec wait = {1, 0};
    if (deadline != UINT64_MAX) {
        uint64_t left = deadline > now ? deadline - now : 0;
        wait.tv_sec = (time_t)(left / SECOND);
        wait.tv_nsec = (long)(left % SECOND);
    }
    int count = epoll_pwait2(epoll_fd, events, EVENTS, &wait, NULL);
    if (count < 0 && errno != EINTR)
        give_up("epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        uint32_t index = (uint32_t)events[i].data.u64;
        if (events[i].data.u64 >> 32 == PUBLISHER_TAG)
            publisher_event((int)index, events[i].events);
        else
            reader_event(&readers[index], events[i].events);
    }
}

static unsigned still_connecting(int upto)
{
    unsigned count = 0;
    for (int i = upto > 2 * CONNECTING_AT_ONCE ? upto - 2 * CONNECTING_AT_ONCE : 0; i < upto; i++)
        count += readers[i].state == READER_CONNECTING;
    return count;
}

static void connect_all(void)
{
    for (int i = 0; i < all_readers(); i++) {
        reader_connect(&readers[i]);
        while (still_connecting(i + 1) >= CONNECTING_AT_ONCE)
            loop_turn(UINT64_MAX);
    }
    for (int i = 0; i < all_readers(); i++)
        while (readers[i].state == READER_CONNECTING)
            loop_turn(UINT64_MAX);
}

/* Publishes uncounted rounds until every reader has a place and has answered the newest round in WARM_ROUNDS of them. */
static void warm_up(void)
{
    uint64_t start = now_ns();
    for (int complete = 0; complete < WARM_ROUNDS;) {
        lagging = (unsigned)all_readers();
        for (unsigned topic = 0; topic < (unsigned)all_topics(); topic++)
            publish_warm(topic);
        uint64_t progress = now_ns();
        unsigned before = lagging;
        while (lagging > 0 || !publishers_idle()) {
            loop_turn(now_ns() + WARM_SILENCE / 4);
            if (lagging != before) {
                before = lagging;
                progress = now_ns();
            } else if (now_ns() - progress > WARM_SILENCE && publishers_idle()) {
                break;
            }
        }
        if (lagging == 0)
            complete++;
        if (now_ns() - start > WARM_LIMIT)
            give_up("%u of %d readers never got a warm-up message", lagging, all_readers());
    }
    tally.answers = 0;
    tally.doubled = tally.swapped = tally.strangers = tally.damaged = 0;
}

/* Until all that was published has come everywhere, or nothing has come for options.patience seconds. */
static void gather(uint64_t start)
{
    uint64_t patience = (uint64_t)(options.patience * 1e9), quiet_since = now_ns(), seen = tally.delivered;
    for (;;) {
        publishers_tick(now_ns());
        if (publishers_idle() && (tally.delivered >= tally.expected || all_readers() == 0))
            return;
        uint64_t next = publishers_next(), pause = now_ns() + SECOND / 4;
        loop_turn(next < pause ? next : pause);
        if (tally.delivered != seen || publishers_next() != UINT64_MAX || now_ns() < start) {
            seen = tally.delivered;
            quiet_since = now_ns();
        } else if (now_ns() - quiet_since > patience) {
            return;
        }
    }
}

/* Reads what still comes for a moment: a doubled last message would come after the last one was counted. */
static void listen_on(void)
{
    uint64_t until = now_ns() + SECOND / 10;
    while (now_ns() < until)
        loop_turn(until);
}

/* Open loop from `start` on where there is a rate, else closed loop from now on. */
static void publish_all(uint64_t start)
{
    if (options.rate > 0)
        publish_schedule(start);
    else
        publish_closed(now_ns() + (uint64_t)(options.seconds * 1e9));
}

static void mode_steady(void)
{
    connect_all();
    warm_up();
    say("ready");
    await_word("go");
    uint64_t start = now_ns() + LEAD_IN;
    publish_all(start);
    gather(start);
    listen_on();
}

/* Some are served while others wait; at the end a message to each idle topic proves that all of those were held. */
static void mode_mixed(void)
{
    connect_all();
    warm_up();
    say("ready");
    await_word("go");
    uint64_t start = now_ns() + LEAD_IN;
    publish_schedule(start);
    gather(start);
    listen_on();
    stop_clock();
    say("served");
    await_word("check");
    for (int topic = options.topics; topic < all_topics(); topic++)
        publish_one((unsigned)topic);
    gather(0);
    listen_on();
}

/* Readers that only wait. At the end one message proves that each of them was really held. */
static void mode_idle(void)
{
    say("ready");
    await_word("go");
    connect_all();
    say("held");
    while (!control_readable())
        loop_turn(now_ns() + SECOND / 50);
    await_word("check");
    for (unsigned topic = 0; topic < (unsigned)options.topics; topic++)
        publish_one(topic);
    gather(0);
    listen_on();
}

/* Readers who publish nothing: what comes is another load generator's, and how much of it had to come is judged by whoever started both. */
static void mode_listen(void)
{
    say("ready");
    await_word("go");
    connect_all();
    say("held");
    while (!control_readable())
        loop_turn(now_ns() + SECOND / 50);
    await_word("check");
    listen_on();
}

static void mode_publish(void)
{
    prime_topics();
    say("ready");
    await_word("go");
    publish_all(now_ns());
    gather(0);
}

/* All readers go at once, a message comes while they are away, and they return spread evenly over options.seconds. */
static void mode_storm(void)
{
    connect_all();
    warm_up();
    say("ready");
    await_word("go");
    for (int i = 0; i < options.readers; i++)
        reader_close(&readers[i]);
    for (unsigned topic = 0; topic < (unsigned)options.topics; topic++)
        publish_one(topic);
    while (!publishers_idle())
        loop_turn(now_ns() + SECOND / 50);
    uint64_t start = now_ns(), step = (uint64_t)(options.seconds * 1e9) / (uint64_t)options.readers;
    for (int i = 0; i < options.readers;) {
        uint64_t due = start + step * (uint64_t)i, now = now_ns();
        if (due > now) {
            loop_turn(due);
            continue;
        }
        spread_add(&lateness, now - due);
        readers[i].due = due;
        reader_connect(&readers[i++]);
        if (i % 16 == 0)
            loop_turn(now);           /* a look at the sockets, however late the schedule is */
    }
    gather(0);
    listen_on();
}

void mode_run(void)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"steady", mode_steady}, {"mixed", mode_mixed}, {"idle", mode_idle}, {"listen", mode_listen}, {"publish", mode_publish}, {"storm", mode_storm}};
    prctl(PR_SET_TIMERSLACK, 1000ul);       /* 1 µs: the default of 50 µs would be told as lateness */
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(options.mode, modes[i].name) == 0) {
            modes[i].run();
            return;
        }
    give_up("no mode is named %s", options.mode);
}
