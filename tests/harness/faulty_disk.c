/* A disk that misbehaves on demand, loaded in front of the C library with LD_PRELOAD.
 *
 * Files below FAULTY_DISK_DIRECTORY are watched. Before each write and each sync of one, the text
 * file FAULTY_DISK_CONTROL is read anew, one `name=value` a line, so that a test can change the
 * faults of a process that runs. FAULTY_DISK_COUNTERS is shared memory: calls of each kind, which
 * a test can wait on. faulty_disk.py documents the names.
 *
 * For `lose_unsynced` it remembers what each write since the last sync of its file has replaced,
 * and puts it back before it kills the process: what a power cut does, and kill -9 does not.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITES, SYNCS, WRITES_FAILED, SYNCS_FAILED, COUNTERS };
enum { FILES_MAX = 256, CONTROL_BYTES_MAX = 1024 };

struct faults {
    long fsync_delay_ms, fsync_errno, write_errno;
    long kill_at_write, kill_at_fsync, kill_after_fsync, torn, lose_unsynced;
};

struct change { /* what one write or truncation has replaced */
    off_t offset, file_bytes;
    ssize_t replaced_bytes;
    char *replaced;
    uint64_t serial;
    struct change *earlier;
};

struct file { /* one watched inode, with a descriptor of ours that is never closed: */
    dev_t device; /* closing it would drop the process's POSIX locks on the file */
    ino_t inode;
    int fd;
    struct change *latest;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX];
static int file_count;
static uint64_t serial;
static uint64_t own[COUNTERS];
static uint64_t *counters = own; /* shared by all processes on this disk, and with the test */
static const char *directory, *control;
static size_t directory_length;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);

__attribute__((constructor)) static void load(void)
{
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate64");
    directory = getenv("FAULTY_DISK_DIRECTORY");
    control = getenv("FAULTY_DISK_CONTROL");
    directory_length = directory ? strlen(directory) : 0;
    const char *path = getenv("FAULTY_DISK_COUNTERS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        counters = page == MAP_FAILED ? own : page;
        close(fd);
    }
}

static int is_watched(int fd)
{
    char link[64], path[PATH_MAX];
    if (!directory_length || !real_write)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= (ssize_t)directory_length)
        return 0;
    return !strncmp(path, directory, directory_length) && path[directory_length] == '/';
}

static uint64_t count(int which)
{
    return __atomic_add_fetch(&counters[which], 1, __ATOMIC_SEQ_CST);
}

static long errno_named(const char *name)
{
    if (!strncmp(name, "EIO", 3))
        return EIO;
    if (!strncmp(name, "ENOSPC", 6))
        return ENOSPC;
    if (!strncmp(name, "EROFS", 5))
        return EROFS;
    return atol(name);
}

static void read_setting(struct faults *faults, const char *name, const char *value)
{
    struct { const char *name; long *place; } known[] = {
        {"fsync_delay_ms", &faults->fsync_delay_ms}, {"kill_at_write", &faults->kill_at_write},
        {"kill_at_fsync", &faults->kill_at_fsync}, {"kill_after_fsync", &faults->kill_after_fsync},
        {"torn", &faults->torn}, {"lose_unsynced", &faults->lose_unsynced},
    };
    for (size_t index = 0; index < sizeof known / sizeof *known; index++)
        if (!strcmp(name, known[index].name))
            *known[index].place = atol(value);
    if (!strcmp(name, "fsync_errno"))
        faults->fsync_errno = errno_named(value);
    if (!strcmp(name, "write_errno"))
        faults->write_errno = errno_named(value);
}

static struct faults read_faults(void)
{
    struct faults faults = {0};
    char text[CONTROL_BYTES_MAX + 1], *rest = NULL;
    int fd = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return faults;
    ssize_t length = read(fd, text, CONTROL_BYTES_MAX);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        if (equals) {
            *equals = 0;
            read_setting(&faults, line, equals + 1);
        }
    }
    return faults;
}

/* The lock is held from here to `forget`. */

static struct file *find_file(int fd)
{
    struct stat status;
    char link[64];
    if (fstat(fd, &status) || !S_ISREG(status.st_mode))
        return NULL;
    for (int index = 0; index < file_count; index++)
        if (files[index].inode == status.st_ino && files[index].device == status.st_dev)
            return &files[index];
    if (file_count == FILES_MAX)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = open(link, O_RDWR | O_CLOEXEC);
    if (again < 0)
        return NULL;
    files[file_count] = (struct file){status.st_dev, status.st_ino, again, NULL};
    return &files[file_count++];
}

static void remember(int fd, off_t offset, size_t bytes)
{
    struct stat status;
    struct file *file = find_file(fd);
    struct change *change = file ? calloc(1, sizeof *change) : NULL;
    if (!change || fstat(fd, &status))
        return;
    change->offset = offset;
    change->file_bytes = status.st_size;
    change->serial = ++serial;
    change->replaced = malloc(bytes ? bytes : 1);
    change->replaced_bytes = change->replaced ? pread(file->fd, change->replaced, bytes, offset) : 0;
    change->earlier = file->latest;
    file->latest = change;
}

static void forget(int fd, uint64_t up_to)
{
    struct file *file = find_file(fd);
    struct change **place = file ? &file->latest : NULL;
    while (place && *place) {
        struct change *change = *place;
        if (change->serial > up_to) {
            place = &change->earlier;
            continue;
        }
        *place = change->earlier;
        free(change->replaced);
        free(change);
    }
}

static void lose_unsynced(void)
{
    for (int index = 0; index < file_count; index++)
        for (struct change *change = files[index].latest; change; change = change->earlier) {
            int fd = files[index].fd;
            if (change->replaced_bytes > 0
                && real_pwrite(fd, change->replaced, change->replaced_bytes, change->offset) < 0)
                abort();
            if (real_ftruncate(fd, change->file_bytes))
                abort();
        }
}

static void die(const struct faults *faults)
{
    if (faults->lose_unsynced)
        lose_unsynced();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What comes before each write: it is counted, refused or the last one. Returns an errno, or 0. */
static int before_write(int fd, const void *bytes, size_t length, off_t offset)
{
    char path[PATH_MAX] = "", link[64];
    struct faults faults = read_faults();
    uint64_t number = count(WRITES);
    if (faults.kill_at_write && number >= (uint64_t)faults.kill_at_write) {
        pthread_mutex_lock(&lock);
        if (faults.torn && bytes) {
            struct faults then_die = faults;
            if (faults.lose_unsynced)
                lose_unsynced();
            then_die.lose_unsynced = 0;
            if (real_pwrite(fd, bytes, length / 2, offset) < 0)
                abort();
            die(&then_die);
        }
        die(&faults);
    }
    if (faults.write_errno) {
        count(WRITES_FAILED);
        return (int)faults.write_errno;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t end = readlink(link, path, sizeof path - 1);
    /* The index of a write-ahead log is memory that is shared, never a promise. */
    if (end > 4 && !strncmp(path + end - 4, "-shm", 4))
        return 0;
    pthread_mutex_lock(&lock);
    remember(fd, offset, length);
    pthread_mutex_unlock(&lock);
    return 0;
}

static off_t position(int fd)
{
    struct stat status;
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return fstat(fd, &status) ? 0 : status.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static size_t total(const struct iovec *parts, int part_count)
{
    size_t bytes = 0;
    for (int index = 0; index < part_count; index++)
        bytes += parts[index].iov_len;
    return bytes;
}

static int sync_file(int fd, int (*real)(int))
{
    if (!is_watched(fd))
        return real(fd);
    struct faults faults = read_faults();
    uint64_t number = count(SYNCS);
    if (faults.kill_at_fsync && number >= (uint64_t)faults.kill_at_fsync) {
        pthread_mutex_lock(&lock);
        die(&faults);
    }
    struct timespec delay = {faults.fsync_delay_ms / 1000, faults.fsync_delay_ms % 1000 * 1000000};
    while (nanosleep(&delay, &delay) && errno == EINTR)
        ;
    if (faults.fsync_errno) {
        count(SYNCS_FAILED);
        errno = (int)faults.fsync_errno;
        return -1;
    }
    pthread_mutex_lock(&lock);
    uint64_t up_to = serial;
    pthread_mutex_unlock(&lock);
    int result = real(fd);
    pthread_mutex_lock(&lock);
    if (!result)
        forget(fd, up_to);
    if (faults.kill_after_fsync && number >= (uint64_t)faults.kill_after_fsync)
        die(&faults);
    pthread_mutex_unlock(&lock);
    return result;
}

#define REFUSE_IF_FAULTY(fd, bytes, length, offset)                \
    if (is_watched(fd)) {                                          \
        int refusal = before_write(fd, bytes, length, offset);     \
        if (refusal) {                                             \
            errno = refusal;                                       \
            return -1;                                             \
        }                                                          \
    }

ssize_t write(int fd, const void *bytes, size_t length)
{
    REFUSE_IF_FAULTY(fd, bytes, length, position(fd))
    return real_write(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    REFUSE_IF_FAULTY(fd, bytes, length, offset)
    return real_pwrite(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
    REFUSE_IF_FAULTY(fd, NULL, total(parts, part_count), position(fd))
    return real_writev(fd, parts, part_count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int part_count, off64_t offset)
{
    REFUSE_IF_FAULTY(fd, NULL, total(parts, part_count), offset)
    return real_pwritev(fd, parts, part_count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    return pwritev64(fd, parts, part_count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int part_count, off64_t offset, int flags)
{
    (void)flags;
    return offset == -1 ? writev(fd, parts, part_count) : pwritev64(fd, parts, part_count, offset);
}

ssize_t pwritev2(int fd, const struct iovec *parts, int part_count, off_t offset, int flags)
{
    return pwritev64v2(fd, parts, part_count, offset, flags);
}

int ftruncate64(int fd, off64_t length)
{
    struct stat status;
    if (is_watched(fd) && !fstat(fd, &status)) {
        off_t lost = status.st_size > length ? status.st_size - length : 0;
        REFUSE_IF_FAULTY(fd, NULL, (size_t)lost, length)
    }
    return real_ftruncate(fd, length);
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    REFUSE_IF_FAULTY(fd, NULL, 0, offset)
    return real_fallocate(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fallocate64(fd, mode, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    return fallocate64(fd, 0, offset, length) ? errno : 0;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    return posix_fallocate64(fd, offset, length);
}

int fsync(int fd)
{
    return sync_file(fd, real_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, real_fdatasync);
}
