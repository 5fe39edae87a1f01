/*
 * Bayeux over HTTP, as Faye speaks it: handshake, subscribe, then /meta/connect, which is held until messages come.
 *
 * All of it goes by POST to one path; a publish wraps the message as the data of its channel.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "load.h"

enum { HANDSHAKE, SUBSCRIBE, CONNECT };

static void bayeux_path(char *out, size_t room, unsigned topic)
{
    (void)topic;
    snprintf(out, room, "/bayeux");
}

static int bayeux_publish_body(char *out, size_t room, unsigned topic, const char *message, int size)
{
    return snprintf(out, room, "[{\"channel\":\"/bench%u\",\"data\":%.*s}]", topic, size, message);
}

static int bayeux_ask(struct reader *reader, char *out, size_t room)
{
    char body[512];
    int length;
    if (reader->opened == HANDSHAKE)
        length = snprintf(body, sizeof body, "[{\"channel\":\"/meta/handshake\",\"version\":\"1.0\",\"supportedConnectionTypes\":[\"long-polling\"]}]");
    else if (reader->opened == SUBSCRIBE)
        length = snprintf(body, sizeof body, "[{\"channel\":\"/meta/subscribe\",\"clientId\":\"%s\",\"subscription\":\"/bench%u\"}]",
                          reader->place, reader->topic);
    else
        length = snprintf(body, sizeof body, "[{\"channel\":\"/meta/connect\",\"clientId\":\"%s\",\"connectionType\":\"long-polling\"}]", reader->place);
    return snprintf(out, room, "POST /bayeux HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
                    options.port, length, reader->headers ? reader->headers : "", body);
}

static long bayeux_take(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    struct answer answer;
    long used = answer_read(data, length, &answer);
    if (used <= 0)
        return used;
    size_t size = 0;
    if (answer.status != 200)
        return -1;
    if (reader->opened == HANDSHAKE) {
        const char *client = text_member(&answer, "clientId", &size);
        if (!copy_place(reader, client, size))
            return -1;
    }
    if (reader->opened != CONNECT)
        reader->opened++;
    else
        messages_read(reader, answer.body, answer.body_length, now);
    return used;
}

const struct transport bayeux = {"bayeux", bayeux_path, bayeux_ask, bayeux_take, true, NULL, bayeux_publish_body};
