/*
 * The long-poll transport, in the words of each server.
 *
 * slosh     GET /topics/<t>?since=<cursor>, the next cursor from the Slosh-Next header, else from "next" in the envelope.
 *           The C floor and the small peers written for this benchmark speak the same. With --way slosh's readers name
 *           their place in their cookie, as an offset (n), or in `since` among other parameters.
 * nchan     GET /sub?id=<t> with If-Modified-Since and If-None-Match from the last answer's Last-Modified and Etag:
 *           the standard way of its documentation, one message an answer.
 * multipart the same with nchan_longpoll_multipart_response: every waiting message in one answer.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "load.h"

static void topics_path(char *out, size_t room, unsigned topic) { snprintf(out, room, "/topics/bench%u", topic); }
static void prime_path(char *out, size_t room, unsigned topic) { snprintf(out, room, "/topics/bench%u?since=now&wait=0", topic); }
static void pub_path(char *out, size_t room, unsigned topic) { snprintf(out, room, "/pub?id=bench%u", topic); }

static const char *further_headers(const struct reader *reader)
{
    return reader->headers ? reader->headers : "";
}

static int plain_ask(struct reader *reader, char *out, size_t room)
{
    char lines[LINES_ROOM];
    further_lines(lines, false);
    return snprintf(out, room, "GET /topics/bench%u?since=%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n",
                    reader->topic, reader->place[0] ? reader->place : "now", options.port, lines, further_headers(reader));
}

static int slosh_ask(struct reader *reader, char *out, size_t room)
{
    char lines[LINES_ROOM], query[PLACE_ROOM + 96] = "", cookie[COOKIE_ROOM + PLACE_ROOM + 16] = "";
    enum way way = way_chosen();
    const char *number = strrchr(reader->place, '.');
    if (way == WAY_SINCE || (way == WAY_COOKIE && options.mix && !reader->cookie[0]))
        return plain_ask(reader, out, room);
    if (way == WAY_NUMBER && number != NULL)
        sprintf(query, "?n=%s", number + 1);
    else if (way == WAY_AMONG)
        sprintf(query, "?wait=%u&since=%s&limit=100", few_seconds(), reader->place[0] ? reader->place : "now");
    else if (way == WAY_COOKIE && reader->cookie[0])
        sprintf(cookie, "Cookie: %s%s\r\n", reader->cookie, reader->place);
    further_lines(lines, false);
    return snprintf(out, room, "GET /topics/bench%u%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s%s\r\n", reader->topic, query, options.port,
                    lines, cookie, further_headers(reader));
}

/* The server names the cookie once; its value is the place, which is kept anyway. */
static void note_cookie(struct reader *reader, const struct answer *answer)
{
    size_t length = 0;
    const char *cookie = reader->cookie[0] ? NULL : header_value(answer, "set-cookie", &length);
    const char *equals = cookie ? memchr(cookie, '=', length) : NULL;
    if (equals != NULL && equals - cookie + 1 < COOKIE_ROOM)
        memcpy(reader->cookie, cookie, (size_t)(equals - cookie) + 1);
}

static long slosh_take(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    struct answer answer;
    long used = answer_read(data, length, &answer);
    if (used <= 0)
        return used;
    size_t place_length = 0;
    const char *place = header_value(&answer, "slosh-next", &place_length);
    if (place == NULL)
        place = text_member(&answer, "next", &place_length);
    if (answer.status != 200 || !copy_place(reader, place, place_length))
        return -1;
    if (options.way == WAY_COOKIE || options.mix)
        note_cookie(reader, &answer);
    messages_read(reader, answer.body, answer.body_length, now);
    return used;
}

/* The place is kept as the two header lines that the next request needs. */
static int nchan_poll(struct reader *reader, char *out, size_t room, const char *location)
{
    char lines[LINES_ROOM];
    further_lines(lines, false);
    return snprintf(out, room, "GET %s?id=bench%u HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s%s\r\n", location, reader->topic,
                    options.port, reader->place, lines, further_headers(reader));
}

static int nchan_ask(struct reader *reader, char *out, size_t room) { return nchan_poll(reader, out, room, "/sub"); }
static int multipart_ask(struct reader *reader, char *out, size_t room) { return nchan_poll(reader, out, room, "/multipart"); }

static long nchan_take(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    struct answer answer;
    long used = answer_read(data, length, &answer);
    if (used <= 0)
        return used;
    size_t modified_length = 0, etag_length = 0;
    const char *modified = header_value(&answer, "last-modified", &modified_length);
    const char *etag = header_value(&answer, "etag", &etag_length);
    if (answer.status != 200 || modified == NULL || etag == NULL || modified_length + etag_length + 48 > PLACE_ROOM)
        return -1;
    snprintf(reader->place, PLACE_ROOM, "If-Modified-Since: %.*s\r\nIf-None-Match: %.*s\r\n", (int)modified_length, modified,
             (int)etag_length, etag);
    messages_read(reader, answer.body, answer.body_length, now);
    return used;
}

static const struct transport slosh = {"slosh", topics_path, slosh_ask, slosh_take, true, prime_path, NULL};
static const struct transport plain = {"plain", topics_path, plain_ask, slosh_take, true, NULL, NULL};
static const struct transport nchan = {"nchan", pub_path, nchan_ask, nchan_take, true, NULL, NULL};
static const struct transport multipart = {"multipart", pub_path, multipart_ask, nchan_take, true, NULL, NULL};

const struct transport *const transports[] = {&slosh, &plain, &nchan, &multipart, &slosh_sse, &nchan_sse,
                                              &slosh_websocket, &nchan_websocket, &bayeux, NULL};
