/* Writes down what a process does to the files of one directory, loaded with LD_PRELOAD.
 *
 * Each write, truncation, sync, unlink and rename below DISK_TRACE_DIRECTORY is appended to the
 * file DISK_TRACE_OUTPUT, in the one order in which they were done: a lock is held over the call
 * and its note. With each goes the head of the write-ahead log's index as it was just before,
 * since that is shared memory which no call writes. disk_trace.py reads it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC, UNLINK, RENAME, DIRECTORY_SYNC };
enum { INDEX_BYTES = 136 };

struct note { /* a name and `length` bytes follow */
    uint32_t kind, name_length;
    int64_t offset;
    uint64_t length;
    uint64_t index_length;
    char index[INDEX_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *directory;
static size_t directory_length;
static int output = -1;
static int index_fd = -1; /* never closed: that would drop the process's locks on the file */

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);

__attribute__((constructor)) static void load(void)
{
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rename = dlsym(RTLD_NEXT, "rename");
    const char *path = getenv("DISK_TRACE_OUTPUT");
    directory = getenv("DISK_TRACE_DIRECTORY");
    directory_length = directory ? strlen(directory) : 0;
    if (path && directory_length)
        output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name below the directory; "" for the directory itself, NULL for what is elsewhere. */
static const char *name_of(const char *path)
{
    if (output < 0 || strncmp(path, directory, directory_length))
        return NULL;
    if (!path[directory_length])
        return "";
    return path[directory_length] == '/' ? path + directory_length + 1 : NULL;
}

static const char *name_at(int fd, char path[PATH_MAX])
{
    char link[64];
    if (output < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0 ? name_of(path) : NULL;
}

static void put(const void *bytes, size_t length)
{
    if (length && real_write(output, bytes, length) != (ssize_t)length)
        abort();
}

static void note(uint32_t kind, const char *name, int64_t offset, const void *bytes, size_t length)
{
    struct note own = {kind, (uint32_t)strlen(name), offset, length, 0, {0}};
    char path[PATH_MAX];
    if (index_fd < 0) {
        snprintf(path, sizeof path, "%s/penstock.db-shm", directory);
        index_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    ssize_t found = index_fd < 0 ? 0 : pread(index_fd, own.index, INDEX_BYTES, 0);
    own.index_length = found > 0 ? (uint64_t)found : 0;
    put(&own, sizeof own);
    put(name, own.name_length);
    put(bytes, length);
}

static off_t position(int fd)
{
    struct stat status;
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return fstat(fd, &status) ? 0 : status.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    char path[PATH_MAX];
    const char *name = name_at(fd, path);
    if (!name)
        return real_write(fd, bytes, length);
    pthread_mutex_lock(&lock);
    note(WRITE, name, position(fd), bytes, length);
    ssize_t result = real_write(fd, bytes, length);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    char path[PATH_MAX];
    const char *name = name_at(fd, path);
    if (!name)
        return real_pwrite(fd, bytes, length, offset);
    pthread_mutex_lock(&lock);
    note(WRITE, name, offset, bytes, length);
    ssize_t result = real_pwrite(fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}

int ftruncate64(int fd, off64_t length)
{
    char path[PATH_MAX];
    const char *name = name_at(fd, path);
    if (!name)
        return real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    note(TRUNCATE, name, length, NULL, 0);
    int result = real_ftruncate(fd, length);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

static int sync_file(int fd, int (*real)(int))
{
    char path[PATH_MAX];
    const char *name = name_at(fd, path);
    if (!name)
        return real(fd);
    pthread_mutex_lock(&lock);
    note(*name ? SYNC : DIRECTORY_SYNC, name, 0, NULL, 0);
    int result = real(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd)
{
    return sync_file(fd, real_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, real_fdatasync);
}

int unlink(const char *path)
{
    const char *name = name_of(path);
    if (!name)
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    note(UNLINK, name, 0, NULL, 0);
    int result = real_unlink(path);
    if (!strcmp(name, "penstock.db-shm"))
        index_fd = -1;
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to)
{
    const char *name = name_of(from), *new_name = name_of(to);
    if (!name || !new_name)
        return real_rename(from, to);
    pthread_mutex_lock(&lock);
    note(RENAME, name, 0, new_name, strlen(new_name));
    int result = real_rename(from, to);
    pthread_mutex_unlock(&lock);
    return result;
}
