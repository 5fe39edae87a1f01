/* Options, the words exchanged with benchmarks/loading.py, and the result as one line of JSON. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

struct options options = {.mode = "steady", .transport = "slosh", .readers = 100, .topics = 1, .publishers = 1,
                          .rate = 0, .seconds = 1, .size = 100, .patience = 3};

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t go_time;         /* when the word go came, and this program's CPU by then */
static double go_cpu;

static uint64_t stop_time;       /* when the clock was stopped, and this program's CPU by then; 0 = it still runs */
static double stop_cpu;

bool clock_stopped(void) { return stop_time != 0; }

void stop_clock(void)
{
    stop_time = now_ns();
    stop_cpu = cpu_seconds();
}

_Noreturn void give_up(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

bool control_readable(void)
{
    struct pollfd control = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&control, 1, 0) > 0;
}

void await_word(const char *word)
{
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(2);                      /* whoever started us is gone */
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, word) != 0)
        give_up("expected the word %s, got %s", word, line);
    if (strcmp(word, "go") == 0) {
        go_time = now_ns();
        go_cpu = cpu_seconds();
    }
}

void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

static const struct { const char *name; bool *value; } flags[] = {
    {"--browser", &options.browser}, {"--keys", &options.keys}, {"--ids", &options.ids}, {"--token", &options.token}, {"--mix", &options.mix}};
static const char *const ways[] = {"since", "cookie", "number", "among", "event"};       /* as enum way */

static enum way way_named(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(name, ways[i]) == 0)
            return (enum way)i;
    give_up("no way to name a place is called %s", name);
}

static void read_options(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        const char *name = words[i], *value = i + 1 < count ? words[i + 1] : "";
        bool is_flag = false;
        for (size_t j = 0; j < sizeof flags / sizeof *flags; j++)
            if (strcmp(name, flags[j].name) == 0)
                is_flag = *flags[j].value = true;
        if (is_flag)
            continue;
        i++;
        if (strcmp(name, "--mode") == 0) options.mode = value;
        else if (strcmp(name, "--transport") == 0) options.transport = value;
        else if (strcmp(name, "--port") == 0) options.port = atoi(value);
        else if (strcmp(name, "--readers") == 0) options.readers = atoi(value);
        else if (strcmp(name, "--topics") == 0) options.topics = atoi(value);
        else if (strcmp(name, "--idle_readers") == 0) options.idle_readers = atoi(value);
        else if (strcmp(name, "--idle_topics") == 0) options.idle_topics = atoi(value);
        else if (strcmp(name, "--publishers") == 0) options.publishers = atoi(value);
        else if (strcmp(name, "--rate") == 0) options.rate = atof(value);
        else if (strcmp(name, "--seconds") == 0) options.seconds = atof(value);
        else if (strcmp(name, "--size") == 0) options.size = atoi(value);
        else if (strcmp(name, "--most") == 0) options.most = atoi(value);
        else if (strcmp(name, "--source") == 0) options.source = atoi(value);
        else if (strcmp(name, "--way") == 0) options.way = way_named(value);
        else if (strcmp(name, "--patience") == 0) options.patience = atof(value);
        else give_up("no option is named %s", name);
    }
    if (options.port < 1 || options.topics < 1 || options.publishers < 1 || options.readers < 0)
        give_up("--port, --topics and --publishers are at least 1, --readers at least 0");
    if ((options.idle_readers > 0) != (options.idle_topics > 0))
        give_up("--idle_readers and --idle_topics belong together");
    bool is_read = strcmp(options.mode, "publish") != 0;         /* what nobody reads needs no stream, number and time in it */
    if (options.size < (is_read ? 64 : 20) || options.size > MOST_SIZE || options.most > MOST_SIZE)
        give_up("--size is 64 to 65536 bytes, from 20 on in mode publish; --most is as much at most");
    for (size_t i = 0; transports[i] != NULL; i++)
        if (strcmp(transports[i]->name, options.transport) == 0)
            transport = transports[i];
    if (transport == NULL)
        give_up("no transport is named %s", options.transport);
}

static void say_result(void)
{
    if (!clock_stopped())
        stop_clock();
    uint64_t start = go_time;
    double wall = (double)(stop_time - start) / 1e9;
    uint64_t last = tally.last_arrival > start ? tally.last_arrival : stop_time;
    uint64_t missing = all_readers() && tally.expected > tally.delivered ? tally.expected - tally.delivered : 0;
    printf("{\"published\":%llu,\"failed\":%llu,\"expected\":%llu,\"delivered\":%llu,\"missing\":%llu,\"doubled\":%llu,"
           "\"swapped\":%llu,\"strangers\":%llu,\"damaged\":%llu,\"answers\":%llu,\"connections_lost\":%llu,"
           "\"seconds\":%.4f,\"until_last\":%.4f,\"load_cpu\":%.4f,",
           (unsigned long long)tally.published, (unsigned long long)tally.failed, (unsigned long long)tally.expected,
           (unsigned long long)tally.delivered, (unsigned long long)missing, (unsigned long long)tally.doubled,
           (unsigned long long)tally.swapped, (unsigned long long)tally.strangers, (unsigned long long)tally.damaged,
           (unsigned long long)tally.answers, (unsigned long long)connections_lost, wall, (double)(last - start) / 1e9,
           stop_cpu - go_cpu);
    static const struct { const char *name; const struct spread *spread; } spreads[] = {
        {"delivery", &delivery_latency}, {"publish", &publish_latency}, {"reconnect", &reconnect_latency}, {"late", &lateness}};
    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++)
        printf("%s\"%s_p50\":%.1f,\"%s_p99\":%.1f", i ? "," : "", spreads[i].name, spread_at(spreads[i].spread, 0.5), spreads[i].name,
               spread_at(spreads[i].spread, 0.99));
    puts("}");
    fflush(stdout);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stdin, NULL, _IONBF, 0);
    read_options(count, words);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    readers_prepare();
    publishers_prepare();
    mode_run();
    say_result();
    await_word("bye");
    return 0;
}
