/*
 * What was sent, what came, and when.
 *
 * A message is {"bench":"SSSS TTTTTTTT NNNNNNNNNNNNNNNN DDDDDDDDDDDDDDDD xxx…"}: stream, topic, number and due time in
 * hexadecimal, filled up to its length (vary.c). It is found by its first bytes wherever a server puts it (an envelope, a
 * multipart body, an event), so that one ledger judges every server and transport alike.
 *
 * Number 0 is a warm-up message; its place for the due time holds the round. Warm-ups give readers their first place
 * and are not counted. Counted messages start at 1 in each stream of each topic.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "load.h"

struct tally tally;
struct spread delivery_latency, publish_latency, reconnect_latency, lateness;

static const char mark[] = "{\"bench\":\"";
enum { MARK = sizeof mark - 1, FIELDS = 4 + 1 + 8 + 1 + 16 + 1 + 16 + 1, SHORTEST = MARK + FIELDS + 2 };

void spread_add(struct spread *spread, uint64_t ns)
{
    unsigned power = ns < 32 ? 0 : (unsigned)(63 - __builtin_clzll(ns)) - 4;
    unsigned step = (unsigned)(ns >> (power ? power - 1 : 0)) & 31;
    spread->slots[power * 32 + step]++;
    spread->count++;
    if (ns > spread->most)
        spread->most = ns;
}

double spread_at(const struct spread *spread, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)spread->count), seen = 0;
    for (unsigned slot = 0; slot < 64 * 32; slot++) {
        seen += spread->slots[slot];
        if (seen > wanted) {
            unsigned power = slot / 32, step = slot % 32;
            double ns = power ? (double)((uint64_t)(32 + step) << (power - 1)) : step;
            return ns / 1e3;
        }
    }
    return (double)spread->most / 1e3;
}

int message_write(char *out, const struct message *message)
{
    int size = message_size(message), used;
    if (size < SHORTEST) {           /* nobody will read it */
        used = sprintf(out, "{\"n\":\"%08x", (unsigned)message->number);
        memset(out + used, 'x', (size_t)(size - used - 2));
        memcpy(out + size - 2, "\"}", 2);
        return size;
    }
    used = sprintf(out, "%s%04x %08x %016llx %016llx ", mark, message->stream, message->topic,
                       (unsigned long long)message->number, (unsigned long long)message->due);
    memset(out + used, 'x', (size_t)(size - used - 2));
    memcpy(out + size - 2, "\"}", 2);
    return size;
}

static bool hexadecimal(const char *text, int digits, uint64_t *value)
{
    uint64_t sum = 0;
    for (int i = 0; i < digits; i++) {
        char c = text[i];
        int nibble = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (nibble < 0)
            return false;
        sum = sum << 4 | (unsigned)nibble;
    }
    *value = sum;
    return true;
}

/* Its bytes; 0 when it is damaged. */
static size_t message_parse(const char *at, size_t left, struct message *message)
{
    uint64_t stream, topic;
    if (left < SHORTEST)
        return 0;
    const char *field = at + MARK;
    if (!hexadecimal(field, 4, &stream) || !hexadecimal(field + 5, 8, &topic) || !hexadecimal(field + 14, 16, &message->number)
        || !hexadecimal(field + 31, 16, &message->due))
        return 0;
    message->stream = (unsigned)stream;
    message->topic = (unsigned)topic;
    size_t size = (size_t)message_size(message);
    if (left < size || memcmp(at + size - 2, "\"}", 2) != 0)
        return 0;
    for (size_t i = FIELDS; i < size - MARK - 2; i++)
        if (field[i] != 'x')
            return 0;
    return size;
}

/* True when this number had not come before. A gap is not counted here: it is what `delivered` lacks at the end. */
static bool ledger_enter(struct ledger *ledger, uint64_t number)
{
    if (number > ledger->highest) {
        uint64_t jump = number - ledger->highest;
        ledger->window = jump < 64 ? ledger->window << jump | 1 : 1;
        ledger->highest = number;
        return true;
    }
    uint64_t behind = ledger->highest - number;
    if (behind >= 64 || ledger->window >> behind & 1) {
        tally.doubled++;          /* further behind than the window remembers: it may be a late one, it is wrong anyhow */
        return false;
    }
    ledger->window |= (uint64_t)1 << behind;
    tally.swapped++;
    return true;
}

int messages_read(struct reader *reader, const char *data, size_t length, uint64_t now)
{
    int found = 0;
    const char *at = data, *end = data + length;
    while ((at = memmem(at, (size_t)(end - at), mark, MARK)) != NULL) {
        struct message message;
        size_t size = message_parse(at, (size_t)(end - at), &message);
        if (size == 0) {
            tally.damaged++;
            at += MARK;
            continue;
        }
        found++;
        at += size;
        if (message.topic != reader->topic || message.stream >= MOST_STREAMS) {
            tally.strangers++;
        } else if (message.number == 0) {
            uint32_t newest = warm_sent[reader->topic];       /* 0 where another program sends them */
            if (reader->warm != newest && message.due == newest)
                lagging--;
            reader->warm = (uint32_t)message.due;
        } else if (ledger_enter(&reader->ledgers[message.stream], message.number)) {
            tally.delivered++;
            if (!clock_stopped())
                spread_add(&delivery_latency, now > message.due ? now - message.due : 0);
        }
    }
    if (found && !clock_stopped())
        tally.last_arrival = now;
    return found;
}
