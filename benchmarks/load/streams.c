/*
 * Streams: Server-Sent Events and WebSocket, in the words of each server.
 *
 * A stream is asked for once; what comes after its head are frames: a chunk or any run of whole events (Server-Sent
 * Events), a message (WebSocket, RFC 6455 §5.2). A stream that ends is a fault of the run.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

enum { HEAD_UNREAD, PLAIN_BODY, CHUNKED_BODY };

static void topics_path(char *out, size_t room, unsigned topic) { snprintf(out, room, "/topics/bench%u", topic); }
static void pub_path(char *out, size_t room, unsigned topic) { snprintf(out, room, "/pub?id=bench%u", topic); }

static const char *further_headers(const struct reader *reader) { return reader->headers ? reader->headers : ""; }

/* The length of the head at `data`, if it is whole and has this status; 0 = more to come; -1 = another status. */
static long head_read(struct reader *reader, const char *data, size_t length, const char *status)
{
    const char *blank = memmem(data, length, "\r\n\r\n", 4);
    if (blank == NULL)
        return 0;
    if (length < 12 || memcmp(data + 9, status, 3) != 0)
        return -1;
    size_t head = (size_t)(blank - data) + 4;
    reader->opened = memmem(data, head, "chunked", 7) != NULL ? CHUNKED_BODY : PLAIN_BODY;
    return (long)head;
}

static int sse_ask(struct reader *reader, char *out, size_t room, const char *path, const char *query)
{
    char lines[LINES_ROOM], last[PLACE_ROOM + 32] = "";
    further_lines(lines, false);
    if (options.way == WAY_EVENT && reader->place[0])
        sprintf(last, "Last-Event-ID: %s\r\n", reader->place);
    return snprintf(out, room, "GET %s%u%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s%s%s\r\n", path,
                    reader->topic, query, options.port, lines, last, further_headers(reader));
}

static int slosh_sse_ask(struct reader *reader, char *out, size_t room)
{
    return sse_ask(reader, out, room, "/topics/bench", "?since=now");
}

static int nchan_sse_ask(struct reader *reader, char *out, size_t room) { return sse_ask(reader, out, room, "/sse?id=bench", ""); }

/* Keeps the id of the last of these events (WHATWG HTML §9.2.6), for readers that will return with it. */
static void note_ids(struct reader *reader, const char *events, size_t length)
{
    const char *end = events + length, *id = events, *line_end;
    if (options.way != WAY_EVENT)
        return;
    for (const char *at = events; (at = memmem(at, (size_t)(end - at), "id: ", 4)) != NULL; at += 4)
        if (at == events || at[-1] == '\n')
            id = at + 4;
    if (id != events && (line_end = memchr(id, '\n', (size_t)(end - id))) != NULL)
        copy_place(reader, id, (size_t)(line_end - id));
}

static long chunk_take(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    const char *line_end = memmem(data, length, "\r\n", 2);
    if (line_end == NULL)
        return 0;
    size_t size = 0;
    for (const char *digit = data; digit < line_end; digit++) {
        int value = *digit >= '0' && *digit <= '9' ? *digit - '0' : (*digit | 32) >= 'a' && (*digit | 32) <= 'f' ? (*digit | 32) - 'a' + 10 : -1;
        if (value < 0)
            return -1;
        size = size << 4 | (size_t)value;
    }
    size_t front = (size_t)(line_end - data) + 2;
    if (size == 0)
        return -1;                    /* the stream ends */
    if (length < front + size + 2)
        return 0;
    messages_read(reader, data + front, size, now);
    note_ids(reader, data + front, size);
    return (long)(front + size + 2);
}

static long sse_take(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    if (reader->opened == HEAD_UNREAD)
        return head_read(reader, data, length, "200");
    if (reader->opened == CHUNKED_BODY)
        return chunk_take(reader, data, length, now);
    const char *last = memrchr(data, '\n', length);
    while (last != NULL && last > data && last[-1] != '\n')
        last = memrchr(data, '\n', (size_t)(last - data));
    if (last == NULL || last == data)
        return 0;
    size_t whole = (size_t)(last - data) + 1;      /* up to the last empty line */
    messages_read(reader, data, whole, now);
    note_ids(reader, data, whole);
    return (long)whole;
}

static int websocket_ask(struct reader *reader, char *out, size_t room, const char *path, const char *query)
{
    char lines[LINES_ROOM];
    further_lines(lines, false);
    return snprintf(out, room, "GET %s%u%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s\r\n", path, reader->topic, query,
                    options.port, lines, further_headers(reader));
}

static int slosh_websocket_ask(struct reader *reader, char *out, size_t room)
{
    return websocket_ask(reader, out, room, "/topics/bench", "?since=now");
}

static int nchan_websocket_ask(struct reader *reader, char *out, size_t room) { return websocket_ask(reader, out, room, "/ws?id=bench", ""); }

static long websocket_take(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    static const unsigned char pong[6] = {0x8a, 0x80};      /* masked with zeros: empty, as the pings are */
    const unsigned char *bytes = (const unsigned char *)data;
    if (reader->opened == HEAD_UNREAD)
        return head_read(reader, data, length, "101");
    if (length < 2)
        return 0;
    size_t size = bytes[1] & 0x7f, front = size < 126 ? 2 : size == 126 ? 4 : 10;
    if (length < front)
        return 0;
    if (front > 2) {
        size = 0;
        for (size_t i = 2; i < front; i++)
            size = size << 8 | bytes[i];
    }
    if (length < front + size)
        return 0;
    switch (bytes[0]) {
    case 0x81:                        /* a whole text message */
        messages_read(reader, data + front, size, now);
        break;
    case 0x89:
        send(reader->fd, pong, sizeof pong, MSG_NOSIGNAL);
        break;
    case 0x8a:
        break;
    default:                          /* a close, or a fragment, which nobody here has a reason to send */
        return -1;
    }
    return (long)(front + size);
}

const struct transport slosh_sse = {"slosh-sse", topics_path, slosh_sse_ask, sse_take, false, NULL, NULL};
const struct transport nchan_sse = {"nchan-sse", pub_path, nchan_sse_ask, sse_take, false, NULL, NULL};
const struct transport slosh_websocket = {"slosh-websocket", topics_path, slosh_websocket_ask, websocket_take, false, NULL, NULL};
const struct transport nchan_websocket = {"nchan-websocket", pub_path, nchan_websocket_ask, websocket_take, false, NULL, NULL};
