/*
 * One crew of an attacker of `python -m benchmarks.fairness`: connections that send prepared bytes as fast as a server
 * takes them. The bytes come from files; which, how many and how is said by the options, so that a kind of attack is data.
 *
 * Each connection sends its opening once, waits for the first bytes of the answer to it, and sends its burst again and
 * again. What comes is thrown away unread, or, for a deaf crew, left in the socket. A connection that ends is replaced.
 *
 * It says `ready` once all connections are open, begins with the next line on stdin, and ends with its stdin, with one
 * line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 1 << 20, EVENTS = 256, PORTS_OF_AN_ADDRESS = 10000 };

struct bytes { const char *data; size_t length; };

static struct options {
    int port, connections, write, reopen;
    double pause;             /* seconds between two bursts of a connection */
    bool deaf, eager;         /* never reads; does not wait for the answer to its opening */
    const char *source;
    struct bytes opening, burst;
} options = {.connections = 1, .write = AT_ONCE, .source = "127.0.0.1"};

enum state { CONNECTING, OPENING, AWAITING, READY, SENDING, RESTING };

struct link {
    int fd;
    enum state state;
    size_t at;                /* sent of the present bytes */
    int bursts;               /* sent on this connection */
    uint64_t wakes;           /* RESTING: when the next burst begins */
    uint32_t events;          /* what epoll watches for */
};

static struct link *links;
static int epoll_fd, opened;
static bool begun;
static uint64_t bytes_out, bytes_in, bursts, closed, connects;

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
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static struct bytes load(const char *path)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) < 0)
        give_up("%s: %s", path, strerror(errno));
    if (about.st_size == 0)
        return (struct bytes){"", 0};
    const char *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED)
        give_up("%s: %s", path, strerror(errno));
    close(fd);
    return (struct bytes){data, (size_t)about.st_size};
}

static void watch(struct link *link, uint32_t events)
{
    if (options.deaf)
        events &= ~(uint32_t)EPOLLIN;
    if (link->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = link};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, link->fd, &event);
    link->events = events;
}

static void link_open(struct link *link)
{
    int one = 1, index = (int)(link - links), small = 4096;
    struct sockaddr_in source = {.sin_family = AF_INET}, server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        give_up("connection %d has no socket: %s (raise ulimit -n)", index, strerror(errno));
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (options.deaf)
        setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    source.sin_addr.s_addr = htonl(ntohl(inet_addr(options.source)) + (uint32_t)(index / PORTS_OF_AN_ADDRESS));
    setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (options.reopen)
        setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));  /* no TIME_WAIT */
    if (bind(link->fd, (struct sockaddr *)&source, sizeof source) < 0)
        give_up("%s: %s", options.source, strerror(errno));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(link->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        give_up("connection %d: %s", index, strerror(errno));
    connects++;
    link->state = CONNECTING;
    link->at = 0;
    link->bursts = 0;
    link->events = EPOLLOUT;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = link};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->fd, &event);
}

static void link_renew(struct link *link)
{
    close(link->fd);
    link_open(link);
}

static void link_ready(struct link *link)
{
    if (link->state < READY && !begun)
        opened++;
    link->state = READY;
    link->at = 0;
    if (begun && (options.burst.length || options.reopen))
        link->state = SENDING;
    watch(link, EPOLLIN | (link->state == SENDING ? EPOLLOUT : 0));
}

/* Sends of these bytes what the socket takes. True when all of them are sent. */
static bool send_more(struct link *link, struct bytes bytes)
{
    size_t most = (size_t)options.write, rest = bytes.length - link->at;
    if (rest > 0) {
        ssize_t sent = send(link->fd, bytes.data + link->at, rest < most ? rest : most, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return false;
            closed++;
            link_renew(link);
            return false;
        }
        bytes_out += (uint64_t)sent;
        link->at += (size_t)sent;
    }
    return link->at == bytes.length;
}

static void burst_sent(struct link *link)
{
    bursts++;
    link->at = 0;
    link->bursts++;
    if (options.reopen && link->bursts >= options.reopen)
        link_renew(link);
    else if (options.pause > 0) {
        link->state = RESTING;
        link->wakes = now_ns() + (uint64_t)(options.pause * 1e9);
        watch(link, EPOLLIN);
    }
}

static void link_event(struct link *link, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t got;
        static char some[1 << 16];
        got = recv(link->fd, some, sizeof some, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            closed++;
            link_renew(link);
            return;
        }
        if (got > 0) {
            bytes_in += (uint64_t)got;
            if (link->state == AWAITING)
                link_ready(link);
        }
    }
    if (!(events & EPOLLOUT))
        return;
    if (link->state == CONNECTING) {
        link->state = OPENING;
        if (options.opening.length == 0) {
            link_ready(link);
            return;
        }
        watch(link, EPOLLIN | EPOLLOUT);
    }
    if (link->state == OPENING && send_more(link, options.opening) && link->state == OPENING) {
        link->state = AWAITING;
        link->at = 0;
        if (options.deaf || options.eager)
            link_ready(link);
        else
            watch(link, EPOLLIN);
    } else if (link->state == SENDING && send_more(link, options.burst) && link->state == SENDING)
        burst_sent(link);
}

static int rest(void)         /* wakes those whose pause is over; milliseconds until the next */
{
    if (options.pause <= 0)
        return 1000;
    uint64_t now = now_ns(), next = now + 1000000000ull;
    for (int i = 0; i < options.connections; i++) {
        struct link *link = &links[i];
        if (link->state != RESTING)
            continue;
        if (link->wakes <= now) {
            link->state = SENDING;
            watch(link, EPOLLIN | EPOLLOUT);
        } else if (link->wakes < next)
            next = link->wakes;
    }
    return (int)((next - now) / 1000000) + 1;
}

static void begin(void)
{
    begun = true;
    bytes_out = bytes_in = bursts = closed = connects = 0;
    for (int i = 0; i < options.connections; i++)
        if (links[i].state == READY)
            link_ready(&links[i]);
}

int main(int count, char **words)
{
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        if (strcmp(name, "--port") == 0)
            options.port = atoi(value);
        else if (strcmp(name, "--connections") == 0)
            options.connections = atoi(value);
        else if (strcmp(name, "--write") == 0)
            options.write = atoi(value);
        else if (strcmp(name, "--reopen") == 0)
            options.reopen = atoi(value);
        else if (strcmp(name, "--pause") == 0)
            options.pause = atof(value);
        else if (strcmp(name, "--deaf") == 0)
            options.deaf = atoi(value);
        else if (strcmp(name, "--eager") == 0)
            options.eager = atoi(value);
        else if (strcmp(name, "--source") == 0)
            options.source = value;
        else if (strcmp(name, "--opening") == 0)
            options.opening = load(value);
        else if (strcmp(name, "--burst") == 0)
            options.burst = load(value);
        else
            give_up("there is no option %s", name);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    links = calloc((size_t)options.connections, sizeof *links);
    if (epoll_fd < 0 || links == NULL)
        give_up("no memory for %d connections", options.connections);
    struct epoll_event control = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &control);
    for (int i = 0; i < options.connections; i++)
        link_open(&links[i]);
    bool told = false;
    for (;;) {
        static struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll_fd, events, EVENTS, rest());
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr != NULL) {
                link_event(events[i].data.ptr, events[i].events);
                continue;
            }
            char word[64];
            if (read(0, word, sizeof word) <= 0) {
                printf("{\"sent\":%llu,\"received\":%llu,\"bursts\":%llu,\"closed\":%llu,\"connects\":%llu}\n",
                    (unsigned long long)bytes_out, (unsigned long long)bytes_in, (unsigned long long)bursts,
                    (unsigned long long)closed, (unsigned long long)connects);
                return 0;
            }
            begin();
        }
        if (!told && opened >= options.connections) {
            puts("ready");
            fflush(stdout);
            told = true;
        }
    }
}
