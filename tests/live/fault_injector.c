/* Makes file operations below one folder fail, and writes down what they did.
 *
 * Loaded with LD_PRELOAD. Silent until fault_arm() is called; from then on the operations that
 * change something below the folder are counted, and number `at` meets its fault. With a log
 * (fault_record) nothing fails and every operation is written down with its data, so that a loss of
 * power can be replayed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, KILL, TEAR, FAIL, SHORT };
#define MAX_FD 4096

static char folder[4096];
static size_t folder_length;
static int fault, fault_errno, persistent, record_fd = -1;
static long at, n_writes;
static _Atomic long count;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static char *path_of[MAX_FD];

#define REAL(name, type, ...)                                                   \
    static type (*real)(__VA_ARGS__);                                           \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int inside(const char *path) {
    return folder_length && path && !strncmp(path, folder, folder_length);
}

static const char *known(int fd) { return fd >= 0 && fd < MAX_FD ? path_of[fd] : NULL; }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void put(const void *data, size_t size) {
    while (size) {
        ssize_t n = syscall(SYS_write, record_fd, data, size);
        if (n <= 0) abort();
        data = (const char *)data + n;
        size -= n;
    }
}

/* one line of text, then `size` bytes: operation, path, new path, offset, size */
static void record(const char *op, const char *path, const char *to, long offset,
                   const struct iovec *pieces, int n_pieces, size_t size) {
    if (record_fd < 0) return;
    char line[9000];
    int n = snprintf(line, sizeof line, "%s\t%s\t%s\t%ld\t%zu\n", op, path, to, offset, size);
    pthread_mutex_lock(&one_at_a_time); /* a log may be sealed on a thread */
    put(line, n);
    for (int i = 0; i < n_pieces && size; i++) {
        size_t part = pieces[i].iov_len < size ? pieces[i].iov_len : size;
        put(pieces[i].iov_base, part);
        size -= part;
    }
    pthread_mutex_unlock(&one_at_a_time);
}

/* count an operation; return what happens to it */
static int meets(void) {
    long number = ++count;
    if (!fault || !(number == at || (persistent && number > at))) return NONE;
    if (fault == KILL) die();
    return fault;
}

long fault_count(void) { return count; }

void fault_arm(const char *path, const char *kind, int error, long number, int stay) {
    strncpy(folder, path, sizeof folder - 1);
    folder_length = strlen(folder);
    fault = !strcmp(kind, "kill")   ? KILL
            : !strcmp(kind, "tear") ? TEAR
            : !strcmp(kind, "fail") ? FAIL
            : !strcmp(kind, "short") ? SHORT
                                     : NONE;
    fault_errno = error;
    at = number;
    persistent = stay;
    count = 0;
}

void fault_record(const char *path) {
    record_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

void fault_note(const char *text) { record("note", text, "", 0, NULL, 0, 0); }

static int fails(int found) {
    if (found == TEAR) die();
    if (found != FAIL) return 0;
    errno = fault_errno;
    return 1;
}

/* --- names --- */

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MAX_FD) {
        free(path_of[fd]);
        path_of[fd] = inside(path) ? strdup(path) : NULL;
    }
    return fd;
}

static int open_any(int dir, const char *path, int flags, mode_t mode) {
    int changes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;
    if (inside(path) && changes) {
        if (fails(meets())) return -1;
        struct stat found;
        int is_new = syscall(SYS_newfstatat, dir, path, &found, 0) != 0;
        int fd = opened(syscall(SYS_openat, dir, path, flags, mode), path);
        if (fd >= 0 && is_new) record("create", path, "", 0, NULL, 0, 0);
        if (fd >= 0 && !is_new && (flags & O_TRUNC)) record("truncate", path, "", 0, NULL, 0, 0);
        return fd;
    }
    return opened(syscall(SYS_openat, dir, path, flags, mode), path);
}

#define MODE                                                                    \
    mode_t mode = 0;                                                            \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                      \
        va_list list;                                                           \
        va_start(list, flags);                                                  \
        mode = va_arg(list, mode_t);                                            \
        va_end(list);                                                           \
    }

int open(const char *path, int flags, ...) { MODE return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) {
    MODE return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int dir, const char *path, int flags, ...) {
    MODE return open_any(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
    MODE return open_any(dir, path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < MAX_FD) {
        free(path_of[fd]);
        path_of[fd] = NULL;
    }
    return syscall(SYS_close, fd);
}

int rename(const char *from, const char *to) {
    REAL("rename", int, const char *, const char *);
    if (inside(from) && fails(meets())) return -1;
    int result = real(from, to);
    if (!result && inside(from)) record("rename", from, to, 0, NULL, 0, 0);
    return result;
}

int link(const char *from, const char *to) {
    REAL("link", int, const char *, const char *);
    if (inside(from) && fails(meets())) return -1;
    int result = real(from, to);
    if (!result && inside(from)) record("link", from, to, 0, NULL, 0, 0);
    return result;
}

int unlink(const char *path) {
    REAL("unlink", int, const char *);
    if (inside(path) && fails(meets())) return -1;
    int result = real(path);
    if (!result && inside(path)) record("unlink", path, "", 0, NULL, 0, 0);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL("mkdir", int, const char *, mode_t);
    if (inside(path) && fails(meets())) return -1;
    int result = real(path, mode);
    if (!result && inside(path)) record("mkdir", path, "", 0, NULL, 0, 0);
    return result;
}

/* --- data --- */

static ssize_t write_any(int fd, const struct iovec *pieces, int n_pieces, off_t offset) {
    const char *path = known(fd);
    size_t size = 0;
    for (int i = 0; i < n_pieces; i++) size += pieces[i].iov_len;
    int found = NONE;
    if (path) {
        n_writes++;
        found = meets();
        if (offset < 0) offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    }
    if (found == NONE) {
        if (!path) return offset < 0 ? syscall(SYS_writev, fd, pieces, n_pieces)
                                     : syscall(SYS_pwritev, fd, pieces, n_pieces, offset, 0);
        long done = 0;
        for (int i = 0; i < n_pieces; i++) {
            ssize_t n = syscall(SYS_write, fd, pieces[i].iov_base, pieces[i].iov_len);
            if (n < 0) return done ? done : -1;
            done += n;
        }
        record("write", path, "", offset, pieces, n_pieces, done);
        return done;
    }
    if (found == FAIL && fault_errno != EIO) {
        errno = fault_errno;
        return -1;
    }
    /* a part arrives: before the kill, before an input/output error, or as a short write */
    size_t part = size > 1 ? size / 2 : size, left = part;
    for (int i = 0; i < n_pieces && left; i++) {
        size_t n = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        if (syscall(SYS_write, fd, pieces[i].iov_base, n) < 0) return -1;
        left -= n;
    }
    if (found == TEAR) die();
    if (found == FAIL) {
        errno = fault_errno;
        return -1;
    }
    return part;
}

ssize_t write(int fd, const void *data, size_t size) {
    struct iovec piece = {(void *)data, size};
    if (!known(fd)) return syscall(SYS_write, fd, data, size);
    return write_any(fd, &piece, 1, -1);
}

ssize_t writev(int fd, const struct iovec *pieces, int n_pieces) {
    return write_any(fd, pieces, n_pieces, -1);
}

static int sync_any(long number, int fd) {
    const char *path = known(fd);
    if (path && fails(meets())) return -1;
    int result = syscall(number, fd);
    if (!result && path) record("sync", path, "", 0, NULL, 0, 0);
    return result;
}

int fsync(int fd) { return sync_any(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_any(SYS_fdatasync, fd); }

static int truncate_any(int fd, off_t size) {
    const char *path = known(fd);
    if (path && fails(meets())) return -1;
    int result = syscall(SYS_ftruncate, fd, size);
    if (!result && path) record("truncate", path, "", size, NULL, 0, 0);
    return result;
}

int ftruncate(int fd, off_t size) { return truncate_any(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_any(fd, size); }
