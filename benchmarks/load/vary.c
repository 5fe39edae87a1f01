/*
 * What makes real requests differ from each other: lengths, identifiers, keys, and the ways to name a place.
 *
 * All of it is made without printf and without system calls, some 50 ns a request, so that this program stays cheaper
 * than the servers. What a message's length is follows from its number, so that the ledger knows it too.
 */
#include <string.h>

#include "load.h"

static uint64_t state = 0x9e3779b97f4a7c15ull;

/* xorshift64 (Marsaglia, 2003): the same numbers in each run. */
static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

int message_size(const struct message *message)
{
    if (options.most <= options.size)
        return options.size;
    uint64_t mixed = (message->number * MOST_STREAMS + message->stream + 1) * 0x9e3779b97f4a7c15ull + message->topic * 0xc2b2ae3d27d4eb4full;
    mixed = (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9ull;
    return options.size + (int)((mixed >> 32) % (unsigned)(options.most - options.size + 1));
}

enum way way_chosen(void)
{
    static const enum way ways[] = {WAY_SINCE, WAY_COOKIE, WAY_NUMBER, WAY_AMONG};
    return options.mix ? ways[chance() & 3] : options.way;
}

unsigned few_seconds(void) { return 20 + (unsigned)(chance() & 7); }

static char *put(char *out, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length);
    return out + length;
}

static char *put_hex(char *out)
{
    uint64_t value = chance();
    for (int i = 0; i < 16; i++, value >>= 4)
        *out++ = "0123456789abcdef"[value & 15];
    return out;
}

int further_lines(char *out, bool publish)
{
    char *at = out;
    if (options.ids && (!options.mix || chance() & 1)) {        /* as nginx adds $request_id; W3C Trace Context §3.2 */
        at = put_hex(put_hex(put(at, "X-Request-ID: ")));
        at = put_hex(put(put_hex(put_hex(put(at, "\r\ntraceparent: 00-"))), "-"));
        at = put(at, "-01\r\n");
    }
    if (options.token)
        at = put(at, "Authorization: Bearer " BENCH_TOKEN "\r\n");
    if (publish && options.keys && (!options.mix || chance() & 1))
        at = put(put_hex(put_hex(put(at, "Idempotency-Key: "))), "\r\n");
    *at = 0;
    return (int)(at - out);
}
