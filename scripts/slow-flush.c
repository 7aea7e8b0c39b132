/* fdatasync and fsync that take at least SLOW_FLUSH_US microseconds longer than the disk does, for
   programs that start with this library preloaded: see slow-flush.sh.  With SLOW_FLUSH_LOG_ONLY
   only fdatasync does, by which PostgreSQL flushes its log: a recovery, which flushes all files,
   is as quick as ever then. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_longer(void) {
    const char *text = getenv("SLOW_FLUSH_US");
    long us = text ? atol(text) : 0;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (us > 0 && nanosleep(&left, &left) != 0) {
    }
}

int fdatasync(int file) {
    wait_longer();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    if (!getenv("SLOW_FLUSH_LOG_ONLY")) {
        wait_longer();
    }
    return (int)syscall(SYS_fsync, file);
}
