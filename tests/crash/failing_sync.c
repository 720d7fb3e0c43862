/* Preloaded into the gateway: while the file named by FAILING_SYNC exists, the next sync of a segment
 * of the ledger fails, once, and takes the file away. Linux reports a lost write exactly so: to one
 * fsync, and the one after it succeeds although the pages are gone. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int file) {
    const char *armed = getenv("FAILING_SYNC");
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (armed == NULL || length < 0) {
        return 0;
    }
    name[length] = 0;
    return strstr(name, "/ledger/segments/") != NULL && unlink(armed) == 0;
}

static int sync_by(long call, int file) {
    if (fails(file)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, file);
}

int fsync(int file) { return sync_by(SYS_fsync, file); }

int fdatasync(int file) { return sync_by(SYS_fdatasync, file); }
