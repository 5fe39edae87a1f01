/*
 * The healthy client of `python -m benchmarks.fairness`: one publisher, four kinds of readers, three kinds of requests,
 * and how long each had to wait. It is one thread, and meant to run at a higher priority than the attacker beside it.
 *
 * Rules of this file:
 *   1. A wait begins when the request was sent. Requests that were due while the answer to the one before them had not
 *      come are charged from when they were due until that came, and are not sent: so a server that stands still for a
 *      second is charged with all that should have happened in that second, and with no more. This program's own delays
 *      are charged to nobody, and told apart.
 *   2. A wait ends when the kernel had the answer at this socket (SO_TIMESTAMPNS), not when this program read it.
 *   3. A message carries its number. Each reader is charged from the publish to the arrival of that number.
 *   4. An answer that never came waited until this program gave up, and is counted.
 *
 * Words on stdin and stdout: it says `ready` once all is open; each line that it hears is a number of seconds; it asks
 * for that long, waits for what is still open, and prints one line of JSON. It ends with its stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20, MOST_WAITS = 1 << 20, MOST_MESSAGES = 1 << 20 };
static const uint64_t MS = 1000000, SECOND = 1000000000;

enum kind { PUBLISH, HEALTHY, CONNECT, BIRTH, POLL, SSE, WEBSOCKET, KINDS };
static const char *const names[KINDS] = {"publish", "healthy", "connect", "birth", "poll", "sse", "websocket"};
/* Time between two requests of a kind that asks on a schedule; 0 for readers, who follow the publisher. */
static const uint64_t period[KINDS] = {5000000, 5000000, 20000000, 50000000, 0, 0, 0};

struct waits { uint32_t *microseconds; size_t count; unsigned refused, lost, unanswered; };

struct line {                 /* one kind's connection */
    int fd;
    bool connecting, asked;   /* asked: a request is on its way */
    uint64_t due, since;      /* when the next is due; when the present wait began */
    char *data;               /* received and not yet used */
    size_t have;
    bool opened;              /* a stream whose head has come */
    uint64_t seen;            /* number of the last message */
    struct waits waits;
};

static struct line lines[KINDS];
static struct waits lateness;
static uint64_t *sent;        /* when the wait for message number i began */
static uint64_t published, first_counted;
static uint64_t births;
static char place[8192] = "now";
static const char *host_header = "127.0.0.1";
static int port;
static bool counting;         /* between the first request of a phase and its end */
static uint64_t until;        /* when nothing more is due in this phase */
static double patience = 30;

static _Noreturn void give_up(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void waits_add(struct waits *waits, uint64_t nanoseconds)
{
    if (!counting || waits->count == MOST_WAITS)
        return;
    uint64_t microseconds = nanoseconds / 1000;
    waits->microseconds[waits->count++] = microseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)microseconds;
}

static int by_size(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static double waits_at(const struct waits *waits, double share)      /* milliseconds; sorted before */
{
    if (waits->count == 0)
        return 0;
    size_t index = (size_t)(share * (double)(waits->count - 1) + 0.5);
    return waits->microseconds[index] / 1e3;
}

/* ---- sockets ---- */

static void line_connect(struct line *line)
{
    int one = 1;
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (line->fd < 0)
        give_up("no socket: %s", strerror(errno));
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(line->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    line->connecting = connect(line->fd, (struct sockaddr *)&server, sizeof server) < 0;
    if (line->connecting && errno != EINPROGRESS)
        give_up("cannot connect: %s", strerror(errno));
    line->have = 0;
    line->opened = false;
}

static void line_close(struct line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
    line->asked = false;
}

static ssize_t line_receive(struct line *line, uint64_t *arrival)
{
    union { struct cmsghdr align; char room[CMSG_SPACE(sizeof(struct timespec))]; } control;
    struct iovec vector = {.iov_base = line->data + line->have, .iov_len = ROOM - line->have - 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    ssize_t got = recvmsg(line->fd, &message, 0);
    *arrival = now_ns();
    struct cmsghdr *part = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec came, wall;
        memcpy(&came, CMSG_DATA(part), sizeof came);
        clock_gettime(CLOCK_REALTIME, &wall);
        int64_t age = (int64_t)(wall.tv_sec - came.tv_sec) * (int64_t)SECOND + wall.tv_nsec - came.tv_nsec;
        if (age > 0 && (uint64_t)age < *arrival)
            *arrival -= (uint64_t)age;
    }
    return got;
}

static void line_send(struct line *line, const char *request)
{
    size_t length = strlen(request);
    if (send(line->fd, request, length, MSG_NOSIGNAL) != (ssize_t)length && errno != EPIPE && errno != ECONNRESET)
        give_up("%s: a request was not taken whole by the kernel: %s", names[line - lines], strerror(errno));
}

/* ---- asking ---- */

static void ask(enum kind kind)
{
    struct line *line = &lines[kind];
    char request[16384];
    switch (kind) {
    case PUBLISH: {
        char body[256];
        if (++published >= MOST_MESSAGES)
            give_up("too many messages");
        int length = snprintf(body, sizeof body, "{\"n\":%llu,\"t\":21.5,\"host\":\"healthy\",\"unit\":\"degrees\"}", (unsigned long long)published);
        snprintf(request, sizeof request,
            "POST /topics/healthy/one HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
            host_header, length, body);
        sent[published] = line->since;
        break;
    }
    case HEALTHY:
    case CONNECT:
        snprintf(request, sizeof request, "GET /-/healthy HTTP/1.1\r\nHost: %s\r\n%s\r\n", host_header,
            kind == CONNECT ? "Connection: close\r\n" : "");
        break;
    case BIRTH:
        snprintf(request, sizeof request, "GET /topics/healthy/new-%llu?wait=0 HTTP/1.1\r\nHost: %s\r\n\r\n",
            (unsigned long long)++births, host_header);
        break;
    case POLL:
        snprintf(request, sizeof request, "GET /topics/healthy/one?since=%s HTTP/1.1\r\nHost: %s\r\n\r\n", place, host_header);
        break;
    case SSE:
        snprintf(request, sizeof request, "GET /topics/healthy/one?format=sse HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", host_header);
        break;
    default:
        snprintf(request, sizeof request,
            "GET /topics/healthy/one HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host_header);
    }
    line->asked = true;
    line_send(line, request);
}

/* Sends what is due, unless the answer before it has not come. */
static void ask_if_due(enum kind kind)
{
    struct line *line = &lines[kind];
    uint64_t now = now_ns();
    if (line->asked || line->due > now || line->due >= until)
        return;
    line->since = now;
    waits_add(&lateness, now - line->due);
    line->due += period[kind];
    if (kind == CONNECT) {
        line_connect(line);
        line->asked = true;                         /* it is sent when the connection stands */
        if (!line->connecting)
            ask(kind);
    } else
        ask(kind);
}

/* ---- answers ---- */

static const char *field(const char *head, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = memchr(head, '\n', (size_t)(end - head)); at != NULL && ++at < end; at = memchr(at, '\n', (size_t)(end - at)))
        if ((size_t)(end - at) > length && strncasecmp(at, name, length) == 0)
            return at + length;
    return NULL;
}

/* Every message in these bytes: its wait, and that of those between it and the one before, which were lost or left out. */
static void read_messages(struct line *line, const char *data, size_t length, uint64_t arrival)
{
    const char *end = data + length;
    for (const char *at = data; (at = memmem(at, (size_t)(end - at), "{\"n\":", 5)) != NULL;) {
        at += 5;
        uint64_t number = strtoull(at, NULL, 10);
        if (number <= line->seen || number > published)
            continue;
        for (uint64_t each = line->seen + 1; each <= number; each++) {
            if (each >= first_counted)
                waits_add(&line->waits, arrival > sent[each] ? arrival - sent[each] : 0);
            if (each < number && counting && each >= first_counted)
                line->waits.lost++;
        }
        line->seen = number;
    }
}

static void use(struct line *line, size_t used)
{
    memmove(line->data, line->data + used, line->have - used);
    line->have -= used;
}

/* One whole answer at the front of the data, if it is there. */
static bool take_answer(struct line *line, enum kind kind, uint64_t arrival)
{
    line->data[line->have] = 0;
    char *blank = memmem(line->data, line->have, "\r\n\r\n", 4);
    if (blank == NULL)
        return false;
    const char *length = field(line->data, blank, "content-length:");
    size_t whole = (size_t)(blank - line->data) + 4 + (length ? strtoul(length, NULL, 10) : 0);
    if (line->have < whole)
        return false;
    int status = line->have > 12 ? atoi(line->data + 9) : 0;
    line->asked = false;
    if (kind == POLL) {
        const char *next = field(line->data, blank, "slosh-next:");
        if (status != 200 || next == NULL) {
            if (counting)
                line->waits.refused++;
        } else {
            while (*next == ' ')
                next++;
            size_t size = strcspn(next, "\r\n");
            snprintf(place, sizeof place, "%.*s", (int)size, next);
            read_messages(line, blank, whole - (size_t)(blank - line->data), arrival);
        }
    } else {
        if (status != 200 && counting)
            line->waits.refused++;
        waits_add(&line->waits, arrival > line->since ? arrival - line->since : 0);
        for (; line->due < arrival && line->due < until; line->due += period[kind])
            waits_add(&line->waits, arrival - line->due);
    }
    use(line, whole);
    return true;
}

static void take_stream(struct line *line, uint64_t arrival)
{
    if (!line->opened) {
        char *blank = memmem(line->data, line->have, "\r\n\r\n", 4);
        if (blank == NULL)
            return;
        int status = line->have > 12 ? atoi(line->data + 9) : 0;
        if (status != 200 && status != 101)
            give_up("%s: %.300s", names[line - lines], line->data);
        line->opened = true;
        use(line, (size_t)(blank - line->data) + 4);
    }
    read_messages(line, line->data, line->have, arrival);
    /* A number whose digits have not all come is read again with the next bytes; it is never smaller than what was seen. */
    if (line->have > ROOM / 2)
        use(line, line->have - 64);
    else {
        char *last = memrchr(line->data, '\n', line->have);
        char *brace = memrchr(line->data, '}', line->have);
        char *cut = last > brace ? last : brace;
        if (cut != NULL)
            use(line, (size_t)(cut - line->data) + 1);
    }
}

static void line_event(enum kind kind, short events)
{
    struct line *line = &lines[kind];
    if (line->connecting) {
        if (!(events & (POLLOUT | POLLERR | POLLHUP)))
            return;
        line->connecting = false;
        ask(kind);
        return;
    }
    uint64_t arrival;
    ssize_t got = line_receive(line, &arrival);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {                                /* closed: a fresh connection asks again, and the wait goes on */
        bool owed = line->asked || kind >= POLL;
        if (counting && owed)
            line->waits.refused++;
        line_close(line);
        if (kind != CONNECT || owed) {
            line_connect(line);
            if (!line->connecting && owed)
                ask(kind);
            line->asked = owed;
            if (!owed)
                line->connecting = false;
        }
        return;
    }
    line->have += (size_t)got;
    if (kind == SSE || kind == WEBSOCKET)
        take_stream(line, arrival);
    else
        while (take_answer(line, kind, arrival)) {
            if (kind == POLL)
                ask(kind);
            else if (kind == CONNECT) {
                line_close(line);
                return;
            }
        }
    if (line->have >= ROOM - 1)
        give_up("%s: an answer is too large", names[kind]);
}

/* ---- the loop ---- */

static void turn(uint64_t deadline)
{
    struct pollfd waiting[KINDS];
    for (int kind = 0; kind < KINDS; kind++)
        waiting[kind] = (struct pollfd){.fd = lines[kind].fd, .events = lines[kind].connecting ? POLLOUT : POLLIN};
    uint64_t now = now_ns(), rest = deadline > now ? deadline - now : 0;
    struct timespec time = {.tv_sec = (time_t)(rest / SECOND), .tv_nsec = (long)(rest % SECOND)};
    if (ppoll(waiting, KINDS, &time, NULL) <= 0)
        return;
    for (int kind = 0; kind < KINDS; kind++)
        if (waiting[kind].revents)
            line_event(kind, waiting[kind].revents);
}

/* Whether nothing is open: all requests answered, and every message at every reader. */
static bool settled(void)
{
    for (int kind = 0; kind < KINDS; kind++)
        if (period[kind] ? lines[kind].asked : lines[kind].seen < published)
            return false;
    return true;
}

static void phase(double seconds)
{
    uint64_t start = now_ns() + MS;
    until = start + (uint64_t)(seconds * 1e9);
    uint64_t last = until + (uint64_t)(patience * 1e9);
    for (int kind = 0; kind < KINDS; kind++) {
        struct waits *waits = &lines[kind].waits;
        waits->count = waits->refused = waits->lost = waits->unanswered = 0;
        lines[kind].due = start + (uint64_t)kind * MS / 2;
    }
    lateness.count = 0;
    first_counted = published + 1;
    counting = true;
    for (;;) {
        uint64_t next = now_ns() >= until ? last : until;
        bool more = false;
        for (int kind = 0; kind < KINDS; kind++)
            if (period[kind]) {
                ask_if_due(kind);
                more |= lines[kind].due < until;
                if (!lines[kind].asked && lines[kind].due < until && lines[kind].due < next)
                    next = lines[kind].due;
            }
        uint64_t now = now_ns();
        if ((!more && now >= until && settled()) || now >= last)
            break;
        turn(next);
    }
    for (int kind = 0; kind < KINDS; kind++) {     /* rule 4 */
        struct line *line = &lines[kind];
        uint64_t now = now_ns();
        if (period[kind]) {
            if (line->asked) {
                line->waits.unanswered++;
                waits_add(&line->waits, now - line->since);
                for (; line->due < until; line->due += period[kind])
                    waits_add(&line->waits, now - line->due);
            }
        } else
            for (uint64_t each = line->seen < first_counted ? first_counted : line->seen + 1; each <= published; each++) {
                line->waits.unanswered++;
                waits_add(&line->waits, now - sent[each]);
            }
    }
    counting = false;
}

static void tell_one(const char *name, struct waits *waits, const char *end)
{
    qsort(waits->microseconds, waits->count, sizeof *waits->microseconds, by_size);
    printf("\"%s\":{\"count\":%zu,\"p50\":%.3f,\"p99\":%.3f,\"worst\":%.3f,\"refused\":%u,\"lost\":%u,\"unanswered\":%u}%s", name,
        waits->count, waits_at(waits, 0.5), waits_at(waits, 0.99), waits_at(waits, 1), waits->refused, waits->lost,
        waits->unanswered, end);
}

static void tell(void)
{
    putchar('{');
    for (int kind = 0; kind < KINDS; kind++)
        tell_one(names[kind], &lines[kind].waits, ",");
    tell_one("late", &lateness, "}\n");
    fflush(stdout);
}

static void open_all(void)
{
    sent = calloc(MOST_MESSAGES, sizeof *sent);
    lateness.microseconds = calloc(MOST_WAITS, sizeof *lateness.microseconds);
    for (int kind = 0; kind < KINDS; kind++) {
        struct line *line = &lines[kind];
        line->data = malloc(ROOM);
        line->waits.microseconds = calloc(MOST_WAITS, sizeof *line->waits.microseconds);
        line->fd = -1;
        if (sent == NULL || line->data == NULL || line->waits.microseconds == NULL || lateness.microseconds == NULL)
            give_up("out of memory");
        if (kind == CONNECT)
            continue;
        line_connect(line);
        struct pollfd one = {.fd = line->fd, .events = POLLOUT};
        if (poll(&one, 1, 20000) != 1)
            give_up("%s: not connected within 20 s", names[kind]);
        line->connecting = false;
        if (period[kind])
            continue;
        ask(kind);
        uint64_t deadline = now_ns() + 20 * SECOND;
        while (kind != POLL && !line->opened) {
            turn(deadline);
            if (now_ns() > deadline)
                give_up("%s: not open within 20 s", names[kind]);
        }
    }
    /* The poll is held once a message comes back through it; one that was published before it was is not waited for. */
    uint64_t deadline = now_ns() + 20 * SECOND, again = 0;
    while (lines[POLL].seen == 0 || lines[SSE].seen < published || lines[WEBSOCKET].seen < published) {
        uint64_t now = now_ns();
        if (now > deadline)
            give_up("the readers did not get a message within 20 s");
        if (!lines[PUBLISH].asked && now >= again) {
            lines[PUBLISH].since = now;
            ask(PUBLISH);
            again = now + SECOND / 2;
        }
        turn(now_ns() + 50 * MS);
    }
    while (!settled())
        turn(now_ns() + 50 * MS);
}

int main(int count, char **words)
{
    if (count < 2 || (port = atoi(words[1])) <= 0)
        give_up("usage: healthy PORT [PATIENCE]");
    if (count > 2)
        patience = atof(words[2]);
    open_all();
    puts("ready");
    fflush(stdout);
    /* While it waits for the next word its streams are read on, so that the server has no slow reader in it. */
    char word[64];
    for (;;) {
        struct pollfd control = {.fd = 0, .events = POLLIN};
        if (poll(&control, 1, 5) == 1) {
            ssize_t got = read(0, word, sizeof word - 1);
            if (got <= 0)
                return 0;
            word[got] = 0;
            phase(atof(word));
            tell();
        } else
            turn(now_ns());
    }
}
