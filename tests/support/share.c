/* What a bad share does to a file's reads, for LD_PRELOAD: at most so many bytes each, and from one
   read on so many of them fail. Other files are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long reads, after, failing, number, most;

/* Returns how many there were since the last call. */
long share_behaves(long bytes, long first, long count, long error)
{
    most = bytes;
    after = first;
    failing = count;
    number = error;
    return atomic_exchange(&reads, 0);
}

static int is_on_share(int file)
{
    char link[64], path[4096];
    int kept = errno;
    const char *name = getenv("SHARED_FILE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = name ? readlink(link, path, sizeof path - 1) : -1;
    errno = kept;
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, name) != NULL;
}

static int fails(void)
{
    long now = atomic_fetch_add(&reads, 1) - after;
    if (now < 0 || now >= failing)
        return 0;
    errno = (int)number;
    return 1;
}

ssize_t read(int file, void *to, size_t size)
{
    static ssize_t (*real)(int, void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "read");
    if (is_on_share(file)) {
        if (fails())
            return -1;
        if (most && size > (size_t)most)
            size = (size_t)most;
    }
    return real(file, to, size);
}

/* glibc's own calls of read cannot be had; fread itself asks until it has all. */
size_t fread(void *to, size_t size, size_t count, FILE *stream)
{
    static size_t (*real)(void *, size_t, size_t, FILE *);
    if (!real)
        real = dlsym(RTLD_NEXT, "fread");
    if (is_on_share(fileno(stream)) && fails()) {
        stream->_flags |= 0x20; /* _IO_ERR_SEEN, what ferror() looks at */
        return 0;
    }
    return real(to, size, count, stream);
}
