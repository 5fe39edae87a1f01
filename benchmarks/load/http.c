/* Where an HTTP answer ends: a status line, header lines, Content-Length. A chunked answer is refused with a word. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load.h"

const char *header_value(const struct answer *answer, const char *name, size_t *length)
{
    size_t name_length = strlen(name);
    const char *line = memchr(answer->head, '\n', answer->head_length), *end = answer->head + answer->head_length;
    while (line != NULL && ++line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if ((size_t)(end - line) > name_length && line[name_length] == ':' && strncasecmp(line, name, name_length) == 0) {
            const char *value = line + name_length + 1, *stop = next ? next : end;
            while (value < stop && *value == ' ')
                value++;
            while (stop > value && (stop[-1] == '\r' || stop[-1] == ' '))
                stop--;
            *length = (size_t)(stop - value);
            return value;
        }
        line = next;
    }
    return NULL;
}

bool copy_place(struct reader *reader, const char *value, size_t length)
{
    if (value == NULL || length == 0 || length >= PLACE_ROOM)
        return false;
    memcpy(reader->place, value, length);
    reader->place[length] = 0;
    return true;
}

const char *text_member(const struct answer *answer, const char *name, size_t *length)
{
    char wanted[64];
    int size = snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
    const char *value = memmem(answer->body, answer->body_length, wanted, (size_t)size);
    if (value == NULL)
        return NULL;
    value += size;
    const char *quote = memchr(value, '"', answer->body_length - (size_t)(value - answer->body));
    *length = quote ? (size_t)(quote - value) : 0;
    return value;
}

long answer_read(const char *data, size_t length, struct answer *answer)
{
    const char *blank = memmem(data, length, "\r\n\r\n", 4);
    if (blank == NULL)
        return 0;
    if (length < 12 || memcmp(data, "HTTP/1.", 7) != 0)
        return -1;
    answer->status = atoi(data + 9);
    answer->head = data;
    answer->head_length = (size_t)(blank - data) + 2;
    answer->body = blank + 4;
    answer->body_length = 0;
    size_t digits = 0;
    const char *value = header_value(answer, "content-length", &digits);
    if (value != NULL)
        answer->body_length = strtoul(value, NULL, 10);
    else if (header_value(answer, "transfer-encoding", &digits) != NULL)
        give_up("the server answers in chunks; the load generator reads Content-Length only");
    size_t whole = answer->head_length + 2 + answer->body_length;
    return length < whole ? 0 : (long)whole;
}
