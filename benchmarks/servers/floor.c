/*
 * The kernel's floor: the least that a long-poll server on one core can cost. One thread, edge-triggered epoll, one recv
 * and one send for each delivery, and hardly any parsing: it trusts every request to be whole, well formed and ours. Not
 * a server to use. It keeps rings and cursors like slosh (GET /topics/<t>?since=<n>|now, POST /topics/<t>), without which a reader
 * between two polls would lose messages and the comparison would be of two different things. Streams (Server-Sent Events,
 * WebSocket) get each message in its frame, and nothing else.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { POLL, EVENTS, SOCKET, KINDS };
enum { RING = 100, TOPICS = 1 << 14, MOST_FDS = 1 << 20, ROOM = 1 << 20, NAME = 60 };

struct message { char *bytes; uint32_t length; };

struct topic {
    char name[NAME + 4];
    uint64_t newest;               /* number of the newest message; 0 = none yet */
    struct message ring[RING];
    struct list { int *fds; uint32_t count, room; } readers[KINDS];   /* polls: all of them wait after `newest` */
};

static struct topic *topics[TOPICS];
static int32_t slot_of[MOST_FDS];  /* place in its list, plus one; 0 = in none */
static char kind_of[MOST_FDS];
static struct topic *topic_of[MOST_FDS];
static char in[ROOM], out[ROOM];

static struct topic *topic_find(const char *name, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    for (hash %= TOPICS; topics[hash]; hash = (hash + 1) % TOPICS)
        if (strncmp(topics[hash]->name, name, length) == 0 && topics[hash]->name[length] == 0)
            return topics[hash];
    topics[hash] = calloc(1, sizeof **topics);
    memcpy(topics[hash]->name, name, length < NAME ? length : NAME);
    return topics[hash];
}

static size_t build_answer(const struct topic *topic, uint64_t since)
{
    static char body[ROOM];
    uint64_t oldest = topic->newest > RING ? topic->newest - RING : 0, saw = topic->newest - since;
    uint64_t from = since < oldest ? oldest : since;
    size_t length = (size_t)sprintf(body, "{\"max\":%llu,\"saw\":%llu,\"delivering\":%llu,\"res\":[", (unsigned long long)topic->newest,
                                    (unsigned long long)saw, (unsigned long long)(topic->newest - from));
    for (uint64_t number = from + 1; number <= topic->newest; number++) {
        const struct message *message = &topic->ring[number % RING];
        memcpy(body + length, message->bytes, message->length);
        length += message->length;
        body[length++] = ',';
    }
    length += (size_t)sprintf(body + length - 1, "],\"next\":\"%llu\"}", (unsigned long long)topic->newest) - 1;
    size_t head = (size_t)sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nSlosh-Next: %llu\r\n\r\n",
                                  length, (unsigned long long)topic->newest);
    memcpy(out + head, body, length);
    return head + length;
}

static void hold(struct topic *topic, int fd, int kind)
{
    struct list *list = &topic->readers[kind];
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 4;
        list->fds = realloc(list->fds, list->room * sizeof(int));
    }
    list->fds[list->count++] = fd;
    slot_of[fd] = (int32_t)list->count;
    kind_of[fd] = (char)kind;
    topic_of[fd] = topic;
}

static void forget(int fd)
{
    if (slot_of[fd]) {
        struct list *list = &topic_of[fd]->readers[(int)kind_of[fd]];
        int moved = list->fds[--list->count];
        list->fds[slot_of[fd] - 1] = moved;
        slot_of[moved] = slot_of[fd];
        slot_of[fd] = 0;
    }
    close(fd);
}

static void send_all(const struct list *list, const char *bytes, size_t length)
{
    for (uint32_t i = 0; i < list->count; i++)
        send(list->fds[i], bytes, length, MSG_NOSIGNAL);
}

static void stream_out(const struct topic *topic, const char *body, size_t length)
{
    if (topic->readers[EVENTS].count > 0) {
        memcpy(out, "data: ", 6);
        memcpy(out + 6, body, length);
        size_t whole = 6 + length + (size_t)sprintf(out + 6 + length, "\nid: %llu\n\n", (unsigned long long)topic->newest);
        send_all(&topic->readers[EVENTS], out, whole);
    }
    if (topic->readers[SOCKET].count > 0) {
        size_t head = length < 126 ? 2 : 4;       /* a message here is shorter than 64 KiB */
        const unsigned char frame[4] = {0x81, (unsigned char)(length < 126 ? length : 126), (unsigned char)(length >> 8), (unsigned char)length};
        memcpy(out, frame, head);
        memcpy(out + head, body, length);
        send_all(&topic->readers[SOCKET], out, head + length);
    }
}

static void publish(int fd, struct topic *topic, const char *body, size_t length)
{
    struct message *message = &topic->ring[++topic->newest % RING];
    struct list *polls = &topic->readers[POLL];
    message->bytes = realloc(message->bytes, length);
    message->length = (uint32_t)length;
    memcpy(message->bytes, body, length);
    static char receipt[256], text[64];
    int size = sprintf(text, "{\"max\":%llu,\"watchers\":%u}", (unsigned long long)topic->newest, polls->count);
    int whole = sprintf(receipt, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, text);
    send(fd, receipt, (size_t)whole, MSG_NOSIGNAL);
    stream_out(topic, body, length);
    if (polls->count == 0)
        return;
    size_t answer = build_answer(topic, topic->newest - 1);
    send_all(polls, out, answer);
    for (uint32_t i = 0; i < polls->count; i++)
        slot_of[polls->fds[i]] = 0;
    polls->count = 0;                  /* nobody can have asked again before this */
}

static void open_stream(struct topic *topic, int fd, int kind, const char *head)
{
    static const char events[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    static const char socket[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    send(fd, kind == EVENTS ? events : socket, (kind == EVENTS ? sizeof events : sizeof socket) - 1, MSG_NOSIGNAL);
    const char *last = strstr(head, "\r\nLast-Event-ID: ");
    uint64_t oldest = topic->newest > RING ? topic->newest - RING : 0, since = last ? strtoull(last + 17, NULL, 10) : topic->newest;
    for (uint64_t number = (since < oldest ? oldest : since) + 1; number <= topic->newest; number++) {
        const struct message *message = &topic->ring[number % RING];
        int whole = sprintf(out, "data: %.*s\nid: %llu\n\n", (int)message->length, message->bytes, (unsigned long long)number);
        send(fd, out, (size_t)whole, MSG_NOSIGNAL);
    }
    hold(topic, fd, kind);
}

static void serve(int fd)
{
    ssize_t got = recv(fd, in, ROOM - 1, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            forget(fd);
        return;
    }
    in[got] = 0;
    char *name = in + (in[0] == 'P' ? sizeof "POST /topics/" : sizeof "GET /topics/") - 1, *end = name + strcspn(name, " ?");
    struct topic *topic = topic_find(name, (size_t)(end - name));
    if (in[0] == 'P') {
        char *body = strstr(end, "\r\n\r\n") + 4;
        publish(fd, topic, body, (size_t)(in + got - body));
        return;
    }
    if (strstr(end, "\r\nAccept: text/event-stream") != NULL || strstr(end, "\r\nUpgrade: websocket") != NULL) {
        open_stream(topic, fd, strstr(end, "\r\nUpgrade: ") != NULL ? SOCKET : EVENTS, end);
        return;
    }
    uint64_t since = topic->newest;
    if (strncmp(end, "?since=", 7) == 0 && end[7] >= '0' && end[7] <= '9')
        since = strtoull(end + 7, NULL, 10);
    if (since < topic->newest)
        send(fd, out, build_answer(topic, since), MSG_NOSIGNAL);
    else
        hold(topic, fd, POLL);
}

int main(int count, char **words)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(count > 1 ? words[1] : "0"))};
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
        perror("floor");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                struct epoll_event fresh = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &fresh);
            }
        }
    }
}
