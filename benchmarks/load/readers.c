/* The readers' connections: one socket each, kept alive, one request in flight. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

/*
 * 127.0.0.1, 127.0.0.2, … share the readers. One source address has some 28,000 ports, but Linux looks at those of one
 * parity first: from the 14,117th connection on each connect() goes over 14,000 taken ports, 0.7 ms in which a server
 * falls asleep before each reader, and pays for being woken.
 */
enum { READERS_OF_AN_ADDRESS = 10000, REQUEST_ROOM = 4096 };

struct reader *readers;
uint64_t connections_lost;
unsigned lagging;
static char receive_buffer[RECEIVE_ROOM];

/* Some 700 bytes, as Firefox and Chromium send them; the cookies differ from reader to reader. */
static char *browser_headers(int index)
{
    char *headers = NULL;
    unsigned seed = (unsigned)index * 2654435761u;
    int length = asprintf(&headers,
        "Connection: keep-alive\r\nCache-Control: no-cache\r\nPragma: no-cache\r\nDNT: 1\r\nPriority: u=1, i\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n"
        "Accept: application/json, text/plain, */*\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8,da;q=0.7\r\n"
        "Referer: http://127.0.0.1:%d/view/bench\r\n"
        "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"
        "sec-ch-ua: \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n"
        "Cookie: session=%08x%08x%08x; theme=dark; _ga=GA1.1.%u.%u; consent=%08x\r\n",
        options.port, seed, seed ^ 0x5bd1e995u, ~seed, seed % 1000000000u, (unsigned)index + 1700000000u, seed * 31u);
    if (length < 0)
        give_up("out of memory");
    return headers;
}

void readers_prepare(void)
{
    readers = calloc((size_t)all_readers() + 1, sizeof *readers);
    if (readers == NULL)
        give_up("out of memory for %d readers", all_readers());
    for (int i = 0; i < all_readers(); i++) {
        readers[i].fd = -1;
        readers[i].topic = (unsigned)(i < options.readers ? i % options.topics
                                                          : options.topics + (i - options.readers) % options.idle_topics);
        if (options.browser)
            readers[i].headers = browser_headers(i);
    }
}

void reader_connect(struct reader *reader)
{
    int index = (int)(reader - readers), one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        give_up("reader %d has no socket: %s (raise ulimit -n)", index, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    arrival_wanted(fd);
    if (all_readers() > READERS_OF_AN_ADDRESS || options.source > 0) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(options.source + index / READERS_OF_AN_ADDRESS));
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
            give_up("reader %d cannot bind: %s", index, strerror(errno));
    }
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    reader->fd = fd;
    reader->state = READER_CONNECTING;
    reader->opened = 0;
    reader->stashed = 0;
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        give_up("reader %d cannot connect: %s", index, strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = (uint64_t)index};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void reader_close(struct reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
    reader->state = READER_CLOSED;
}

static void reader_ask(struct reader *reader)
{
    char request[REQUEST_ROOM];
    int length = transport->ask(reader, request, sizeof request);
    if (length >= REQUEST_ROOM)
        give_up("a request of %d bytes is too long", length);
    ssize_t sent = send(reader->fd, request, (size_t)length, MSG_NOSIGNAL);
    if (sent == length)
        return;
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
        return;                       /* the event for the close follows */
    give_up("a request was not taken whole by the kernel: %s", strerror(errno));
}

static void reader_lost(struct reader *reader)
{
    connections_lost++;
    if (connections_lost > (uint64_t)all_readers() * 3 + 100)
        give_up("the server closed %llu connections of readers", (unsigned long long)connections_lost);
    reader_close(reader);
    reader_connect(reader);
}

/* Uses the whole frames at the front of `data`, the last of which came at `now`; returns the bytes used. */
static size_t reader_frames(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    size_t used = 0;
    while (used < length) {
        uint64_t before = tally.delivered;
        long frame = transport->take(reader, data + used, length - used, now);
        if (frame < 0)
            give_up("a reader cannot use this answer: %.*s", (int)(length - used < 300 ? length - used : 300), data + used);
        if (frame == 0)
            break;
        used += (size_t)frame;
        tally.answers++;
        if (reader->due && tally.delivered > before) {
            spread_add(&reconnect_latency, now > reader->due ? now - reader->due : 0);
            reader->due = 0;
        }
        if (transport->asks_again)
            reader_ask(reader);
    }
    return used;
}

static void reader_keep(struct reader *reader, const char *rest, size_t length)
{
    if (length > 0) {
        char *stash = realloc(reader->stash, length);
        if (stash == NULL)
            give_up("out of memory");
        memcpy(stash, rest, length);
        reader->stash = stash;
    }
    reader->stashed = length;
}

static void reader_receive(struct reader *reader)
{
    for (;;) {
        size_t held = reader->stashed;
        memcpy(receive_buffer, reader->stash ? reader->stash : "", held);
        uint64_t arrival;
        ssize_t got = receive(reader->fd, receive_buffer + held, RECEIVE_ROOM - held, &arrival);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            reader_lost(reader);
            return;
        }
        if (got < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            give_up("recv: %s", strerror(errno));
        }
        size_t have = held + (size_t)got, used = reader_frames(reader, receive_buffer, have, arrival);
        if (have - used == RECEIVE_ROOM)
            give_up("an answer is larger than %d bytes", RECEIVE_ROOM);
        reader_keep(reader, receive_buffer + used, have - used);
        if (have < RECEIVE_ROOM)
            return;                   /* a short read: the kernel has no more, and will tell when it has */
    }
}

void reader_event(struct reader *reader, uint32_t events)
{
    if (reader->state == READER_CLOSED)
        return;
    if (reader->state == READER_CONNECTING) {
        int problem = 0;
        socklen_t size = sizeof problem;
        getsockopt(reader->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem != 0)
            give_up("reader %d cannot connect: %s", (int)(reader - readers), strerror(problem));
        if (!(events & EPOLLOUT))
            return;
        reader->state = READER_OPEN;
        reader_ask(reader);
    }
    if (events & EPOLLIN)
        reader_receive(reader);
    else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        reader_lost(reader);
}
