/*
 * When bytes came: the kernel's own time at which their segment reached the socket (SO_TIMESTAMPNS, socket(7)), not the
 * time at which this program got round to reading it. A server's burst to 10,000 readers comes faster than one thread
 * can read and ask again, so the last of them would be told late by this program's slowness, whoever served them.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "load.h"

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000ull + (uint64_t)time->tv_nsec;
}

void arrival_wanted(int fd)
{
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0)
        give_up("the kernel tells no time of arrival");
}

ssize_t receive(int fd, char *data, size_t room, uint64_t *arrival)
{
    union { struct cmsghdr align; char room[CMSG_SPACE(sizeof(struct timespec))]; } control;
    struct iovec vector = {.iov_base = data, .iov_len = room};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    ssize_t got = recvmsg(fd, &message, 0);
    uint64_t now = now_ns();
    *arrival = now;
    struct cmsghdr *part = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec came, wall;             /* by the wall clock both, since that is the one it stamps with */
        memcpy(&came, CMSG_DATA(part), sizeof came);
        clock_gettime(CLOCK_REALTIME, &wall);
        uint64_t age = nanoseconds(&wall) - nanoseconds(&came);
        if (age < now)                          /* not when the clock was set back meanwhile */
            *arrival = now - age;
    }
    return got;
}
