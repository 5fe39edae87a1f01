/*
 * The publishers' connections. A topic belongs to one publisher (topic modulo publishers), which sends its messages in
 * order, one at a time, waiting for each answer; what falls due meanwhile queues here and its clock runs from when it was due.
 * With one topic and several publishers each publisher is a stream of its own, since the server may order them as it likes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

enum { PATH_ROOM = 128, ANSWER_ROOM = 1 << 16 };

struct task { unsigned topic; bool warm; uint64_t due; };

struct publisher {
    int fd;
    bool busy;
    struct task now;
    struct task *queue;
    size_t first, queued, room;
    char answer[ANSWER_ROOM];
    size_t length;
};

int streams = 1;
uint32_t *warm_sent;
static struct publisher *publishers;
static uint64_t (*numbers)[MOST_STREAMS];       /* for each topic and stream: the last number given out */
static uint64_t schedule_start, schedule_total, schedule_sent, closed_until;
static unsigned busy_publishers;
static bool priming;

static void publisher_open(struct publisher *publisher, int index)
{
    int one = 1;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    publisher->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (publisher->fd < 0 || connect(publisher->fd, (struct sockaddr *)&server, sizeof server) < 0)
        give_up("a publisher cannot connect: %s", strerror(errno));
    setsockopt(publisher->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    arrival_wanted(publisher->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)PUBLISHER_TAG << 32 | (uint64_t)index};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, publisher->fd, &event);
}

void publishers_prepare(void)
{
    streams = options.topics == 1 && options.publishers <= MOST_STREAMS ? options.publishers : 1;
    publishers = calloc((size_t)options.publishers, sizeof *publishers);
    numbers = calloc((size_t)all_topics(), sizeof *numbers);
    warm_sent = calloc((size_t)all_topics(), sizeof *warm_sent);
    if (publishers == NULL || numbers == NULL || warm_sent == NULL)
        give_up("out of memory");
    for (int i = 0; i < options.publishers; i++)
        publisher_open(&publishers[i], i);
}

static void publisher_send(struct publisher *publisher, struct task task)
{
    char path[PATH_ROOM], lines[LINES_ROOM], body[256 + MOST_SIZE], request[PATH_ROOM + LINES_ROOM + 512 + MOST_SIZE];
    unsigned stream = streams > 1 ? (unsigned)(publisher - publishers) : 0;
    struct message message = {stream, task.topic, 0, task.due};
    if (!task.warm)
        message.number = ++numbers[task.topic][stream];
    transport->publish_path(path, sizeof path, task.topic);
    int size = message_write(body, &message);
    if (transport->publish_body != NULL) {
        char wrapped[sizeof body];
        size = transport->publish_body(wrapped, sizeof wrapped, task.topic, body, size);
        memcpy(body, wrapped, (size_t)size);
    }
    further_lines(lines, true);
    int length = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n",
                         path, options.port, lines, size);
    memcpy(request + length, body, (size_t)size);
    length += size;
    publisher->busy = true;
    publisher->now = task;
    busy_publishers++;
    if (send(publisher->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        give_up("a publish was not taken whole by the kernel: %s", strerror(errno));
}

static void publisher_give(struct publisher *publisher, struct task task)
{
    if (!publisher->busy && publisher->queued == 0) {
        publisher_send(publisher, task);
        return;
    }
    if (publisher->queued == publisher->room) {
        size_t room = publisher->room ? publisher->room * 2 : 64;
        struct task *larger = malloc(room * sizeof *larger);
        if (larger == NULL)
            give_up("out of memory");
        for (size_t i = 0; i < publisher->queued; i++)
            larger[i] = publisher->queue[(publisher->first + i) % publisher->room];
        free(publisher->queue);
        publisher->queue = larger;
        publisher->first = 0;
        publisher->room = room;
    }
    publisher->queue[(publisher->first + publisher->queued++) % publisher->room] = task;
}

static struct publisher *publisher_of(unsigned topic) { return &publishers[topic % (unsigned)options.publishers]; }

void publish_warm(unsigned topic)
{
    warm_sent[topic]++;
    publisher_give(publisher_of(topic), (struct task){topic, true, warm_sent[topic]});
}

static uint64_t readers_of(unsigned topic)
{
    bool idle = topic >= (unsigned)options.topics;
    unsigned all = (unsigned)(idle ? options.idle_readers : options.readers);
    unsigned topics = (unsigned)(idle ? options.idle_topics : options.topics);
    topic -= idle ? (unsigned)options.topics : 0;
    return all / topics + (topic < all % topics);
}

static void count_published(unsigned topic)
{
    tally.published++;
    tally.expected += readers_of(topic);
}

void publish_one(unsigned topic)
{
    count_published(topic);
    publisher_give(publisher_of(topic), (struct task){topic, false, now_ns()});
}

void publish_schedule(uint64_t start)
{
    schedule_start = start;
    schedule_sent = 0;
    schedule_total = (uint64_t)(options.rate * options.seconds);
}

static uint64_t due_of(uint64_t turn) { return schedule_start + (uint64_t)((double)turn * 1e9 / options.rate); }

uint64_t publishers_next(void) { return schedule_sent < schedule_total ? due_of(schedule_sent) : UINT64_MAX; }

void publishers_tick(uint64_t now)
{
    while (schedule_sent < schedule_total && due_of(schedule_sent) <= now) {
        uint64_t due = due_of(schedule_sent);
        unsigned topic = (unsigned)(schedule_sent % (uint64_t)options.topics);
        unsigned publisher = (unsigned)(streams > 1 ? schedule_sent % (uint64_t)options.publishers : topic % (unsigned)options.publishers);
        spread_add(&lateness, now - due);
        count_published(topic);
        publisher_give(&publishers[publisher], (struct task){topic, false, due});
        schedule_sent++;
    }
}

static unsigned next_topic(struct publisher *publisher)
{
    unsigned topic = publisher->now.topic + (unsigned)options.publishers;      /* the next one that is its own */
    return topic < (unsigned)options.topics ? topic : (unsigned)(publisher - publishers) % (unsigned)options.topics;
}

void publish_closed(uint64_t until)
{
    closed_until = until;
    for (int i = 0; i < options.publishers; i++) {
        unsigned topic = (unsigned)(i % options.topics);
        count_published(topic);
        publisher_give(&publishers[i], (struct task){topic, false, now_ns()});
    }
}

bool publishers_idle(void) { return busy_publishers == 0 && schedule_sent == schedule_total; }

static void publisher_answered(struct publisher *publisher, const struct answer *answer, uint64_t arrival)
{
    uint64_t now = now_ns();
    struct task done = publisher->now;
    publisher->busy = false;
    busy_publishers--;
    if (priming)
        return;
    if (answer->status < 200 || answer->status > 299) {
        if (done.warm)               /* nobody reads there yet: 404 is what a mailbox rule says */
            goto next;
        if (tally.failed++ == 0)
            fprintf(stderr, "load: the first refused publish: %.*s\n", (int)(answer->body - answer->head), answer->head);
    } else if (!done.warm) {
        spread_add(&publish_latency, arrival > done.due ? arrival - done.due : 0);
    }
next:
    if (publisher->queued > 0) {
        struct task task = publisher->queue[publisher->first];
        publisher->first = (publisher->first + 1) % publisher->room;
        publisher->queued--;
        publisher_send(publisher, task);
    } else if (now < closed_until && !done.warm) {
        unsigned topic = next_topic(publisher);
        count_published(topic);
        publisher_send(publisher, (struct task){topic, false, now});
    }
}

void publisher_event(int index, uint32_t events)
{
    struct publisher *publisher = &publishers[index];
    struct answer answer;
    uint64_t arrival;
    ssize_t got = receive(publisher->fd, publisher->answer + publisher->length, ANSWER_ROOM - publisher->length, &arrival);
    (void)events;
    if (got <= 0)
        give_up("the server closed a publisher's connection");
    publisher->length += (size_t)got;
    long used = answer_read(publisher->answer, publisher->length, &answer);
    if (used < 0 || publisher->length == ANSWER_ROOM)
        give_up("a publisher cannot use this answer: %.200s", publisher->answer);
    if (used == 0)
        return;
    publisher->length = 0;            /* one request in flight, so one answer in the buffer */
    publisher_answered(publisher, &answer, arrival);
}

/* Asks once for each topic without waiting, so that a server that takes messages only for watched topics takes them. */
void prime_topics(void)
{
    if (transport->prime_path == NULL)
        return;
    priming = true;
    for (unsigned topic = 0; topic < (unsigned)options.topics; topic++) {
        struct publisher *publisher = publisher_of(topic);
        char path[PATH_ROOM], lines[LINES_ROOM], request[PATH_ROOM + LINES_ROOM + 64];
        transport->prime_path(path, sizeof path, topic);
        further_lines(lines, false);
        int length = sprintf(request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", path, options.port, lines);
        publisher->busy = true;
        busy_publishers++;
        if (send(publisher->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
            give_up("a request was not taken whole by the kernel");
        while (publisher->busy)
            loop_turn(UINT64_MAX);
    }
    priming = false;
}
