/*
 * The thread that writes access logs. Each worker has a ring of its own with one producer (the
 * worker) and one consumer (this thread); lines are copied in whole, moved to the buffer of their
 * sink, and written in batches. While there is traffic the thread comes round every BATCH_MS; while
 * there is none it sleeps, and the first line wakes it.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "dataplane/http/access_log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_MS = 10,
    SINK_BUFFER_BYTES = 64 * 1024,
    RETRY_MS = 100,      /* while a sink takes nothing */
    STOP_WAIT_MS = 2000, /* at shutdown, for a reader that does not read */
};

/* What stands before a line in a ring. */
struct record {
    struct access_log_sink *sink;
    uint32_t len;
};

struct ring {
    /* Bytes ever put in and taken out; their difference is what is in the ring. */
    _Alignas(64) uint64_t head;
    uint64_t dropped;
    _Alignas(64) uint64_t tail;
    char *bytes;
};

struct access_log_sink {
    struct access_log_sink *next;
    struct access_log_writer *writer;
    char *path;
    int fd;
    bool is_standard; /* not ours to reopen or close */
    bool is_regular;  /* a file: writes do not block for long */
    bool is_retired;  /* under writer->mutex */
    bool is_in_line;  /* the beginning of a line is written, its rest is not */
    size_t len;
    char buffer[SINK_BUFFER_BYTES];
};

struct access_log_writer {
    uint32_t ring_count;
    struct ring *rings;
    pthread_t thread;
    int wake_fd;
    uint32_t is_asleep; /* atomic */
    uint32_t is_stopping;
    uint32_t wants_reopen;
    uint64_t unwritten; /* lines lost to write errors; atomic */
    uint64_t stop_at_ms;
    pthread_mutex_t mutex; /* sinks and the numbers below; never taken by workers */
    pthread_cond_t flushed;
    struct access_log_sink *sinks;
    uint64_t flush_wanted, flush_done;
};

static void wake(struct access_log_writer *writer)
{
    uint64_t one = 1;
    ssize_t written = write(writer->wake_fd, &one, sizeof one);
    (void)written; /* fails only where it is awake already */
}

/* --- worker's side --- */

static void ring_copy_in(struct ring *ring, uint64_t at, const void *data, size_t len)
{
    size_t from = at & (ACCESS_LOG_RING_BYTES - 1);
    size_t first = ACCESS_LOG_RING_BYTES - from < len ? ACCESS_LOG_RING_BYTES - from : len;
    memcpy(ring->bytes + from, data, first);
    if (len > first)
        memcpy(ring->bytes, (const char *)data + first, len - first);
}

static void ring_copy_out(const struct ring *ring, uint64_t at, void *data, size_t len)
{
    size_t from = at & (ACCESS_LOG_RING_BYTES - 1);
    size_t first = ACCESS_LOG_RING_BYTES - from < len ? ACCESS_LOG_RING_BYTES - from : len;
    memcpy(data, ring->bytes + from, first);
    if (len > first)
        memcpy((char *)data + first, ring->bytes, len - first);
}

void access_log_writer_count_dropped(struct access_log_writer *writer, uint32_t worker)
{
    struct ring *ring = &writer->rings[worker];
    __atomic_store_n(&ring->dropped, ring->dropped + 1, __ATOMIC_RELAXED);
}

void access_log_writer_put(struct access_log_writer *writer, uint32_t worker,
                           struct access_log_sink *sink, struct str line)
{
    ASSERT(worker < writer->ring_count && line.len <= ACCESS_LOG_LINE_BYTES_MAX);
    struct ring *ring = &writer->rings[worker];
    struct record record = {.sink = sink, .len = (uint32_t)line.len};
    size_t needed = sizeof record + line.len;
    uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (needed > ACCESS_LOG_RING_BYTES - (ring->head - tail)) {
        access_log_writer_count_dropped(writer, worker);
        return;
    }
    ring_copy_in(ring, ring->head, &record, sizeof record);
    ring_copy_in(ring, ring->head + sizeof record, line.data, line.len);
    __atomic_store_n(&ring->head, ring->head + needed, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&writer->is_asleep, __ATOMIC_SEQ_CST) &&
        __atomic_exchange_n(&writer->is_asleep, 0, __ATOMIC_SEQ_CST))
        wake(writer);
}

/* --- writing --- */

static uint64_t ms_until(uint64_t end_ms)
{
    uint64_t now_ms = clock_monotonic_ms();
    return now_ms < end_ms ? end_ms - now_ms : 0;
}

/* Whether sink takes bytes now. A reader that does not read is waited for only at the end, and not
 * for long: other sinks have readers of their own. */
static bool is_writable(const struct access_log_sink *sink)
{
    const struct access_log_writer *writer = sink->writer;
    bool is_last = __atomic_load_n(&writer->is_stopping, __ATOMIC_ACQUIRE);
    struct pollfd poll_fd = {.fd = sink->fd, .events = POLLOUT};
    return sink->is_regular ||
           poll(&poll_fd, 1, is_last ? (int)ms_until(writer->stop_at_ms) : 0) > 0;
}

/* Takes the first len bytes out of the buffer. */
static void sink_drop(struct access_log_sink *sink, size_t len)
{
    sink->is_in_line = len ? sink->buffer[len - 1] != '\n' : sink->is_in_line;
    memmove(sink->buffer, sink->buffer + len, sink->len - len);
    sink->len -= len;
}

static void count_lost(struct access_log_writer *writer, uint64_t lines)
{
    if (lines)
        __atomic_add_fetch(&writer->unwritten, lines, __ATOMIC_RELAXED);
}

/* The lines in the buffer cannot be written: they are lost and counted. The rest of one of which
 * the beginning is written stays, to be the first when writing is possible again: the line behind
 * it begins a line. */
static void sink_lose(struct access_log_sink *sink)
{
    const char *end = sink->is_in_line ? memchr(sink->buffer, '\n', sink->len) : NULL;
    size_t kept = end ? (size_t)(end - sink->buffer) + 1 : 0;
    uint64_t lost = 0;
    for (size_t i = kept; i < sink->len; i++)
        lost += sink->buffer[i] == '\n';
    count_lost(sink->writer, lost);
    sink->len = kept;
}

/* Writes what sink has collected, as far as it is taken. */
static void sink_flush(struct access_log_sink *sink)
{
    size_t at = 0;
    bool has_failed = false;
    while (at < sink->len && !has_failed && is_writable(sink)) {
        /* A pipe that is ready takes this much without blocking. */
        size_t len = sink->len - at;
        if (!sink->is_regular && len > 4096)
            len = 4096;
        ssize_t written = write(sink->fd, sink->buffer + at, len);
        if (written > 0)
            at += (size_t)written;
        has_failed = written < 0 && errno != EINTR && errno != EAGAIN;
    }
    sink_drop(sink, at);
    if (has_failed)
        sink_lose(sink);
}

/* Moves what is in the ring to the sinks; returns whether there was anything. */
static bool drain_ring(struct ring *ring)
{
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST), tail = ring->tail;
    if (head == tail)
        return false;
    while (tail != head) {
        struct record record;
        ring_copy_out(ring, tail, &record, sizeof record);
        struct access_log_sink *sink = record.sink;
        if (record.len > SINK_BUFFER_BYTES - sink->len)
            sink_flush(sink);
        if (record.len <= SINK_BUFFER_BYTES - sink->len) {
            ring_copy_out(ring, tail + sizeof record, sink->buffer + sink->len, record.len);
            sink->len += record.len;
        } else {
            count_lost(sink->writer, 1);
        }
        tail += sizeof record + record.len;
        __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    }
    return true;
}

static void sink_free(struct access_log_sink *sink)
{
    if (!sink->is_standard)
        close(sink->fd);
    mem_free(sink->path);
    mem_free(sink);
}

/* Never waits: a pipe that nobody reads is an error and not a main thread that hangs. */
static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
}

static void sink_reopen(struct access_log_sink *sink)
{
    int fd = open_log(sink->path);
    if (fd < 0) {
        log_error("access_log_reopen_failed path=%s errno=%d", sink->path, errno);
        return;
    }
    close(sink->fd);
    sink->fd = fd;
}

/* One round: everything that was put in before it began gets written, where it is taken. Holds no
 * lock while it writes; sinks are freed by this thread only. Returns whether there were lines;
 * *ret_is_behind: some sink has not taken all. */
static bool drain_all(struct access_log_writer *writer, bool *ret_is_behind)
{
    pthread_mutex_lock(&writer->mutex);
    struct access_log_sink *sinks = writer->sinks;
    uint64_t flush_wanted = writer->flush_wanted;
    /* Lines for these were put in before they were retired, so this round meets the last. */
    struct access_log_sink *retired = NULL, **link = &writer->sinks;
    while (*link) {
        struct access_log_sink *sink = *link;
        if (!sink->is_retired) {
            link = &sink->next;
            continue;
        }
        *link = sink->next;
        sink->next = retired;
        retired = sink;
    }
    sinks = writer->sinks;
    pthread_mutex_unlock(&writer->mutex);

    bool reopens = __atomic_exchange_n(&writer->wants_reopen, 0, __ATOMIC_ACQ_REL);
    for (struct access_log_sink *sink = sinks; sink && reopens; sink = sink->next)
        if (!sink->is_standard)
            sink_reopen(sink);
    bool had_lines = false;
    for (uint32_t i = 0; i < writer->ring_count; i++)
        had_lines |= drain_ring(&writer->rings[i]);
    *ret_is_behind = false;
    for (struct access_log_sink *sink = sinks; sink; sink = sink->next) {
        sink_flush(sink);
        *ret_is_behind |= sink->len > 0;
    }
    while (retired) {
        struct access_log_sink *sink = retired;
        retired = sink->next;
        sink_flush(sink);
        sink_lose(sink);
        sink_free(sink);
    }
    pthread_mutex_lock(&writer->mutex);
    writer->flush_done = flush_wanted;
    pthread_cond_broadcast(&writer->flushed);
    pthread_mutex_unlock(&writer->mutex);
    return had_lines;
}

static bool has_work(struct access_log_writer *writer)
{
    for (uint32_t i = 0; i < writer->ring_count; i++)
        if (__atomic_load_n(&writer->rings[i].head, __ATOMIC_SEQ_CST) != writer->rings[i].tail)
            return true;
    return __atomic_load_n(&writer->is_stopping, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&writer->wants_reopen, __ATOMIC_ACQUIRE);
}

/* Sleeps until there is something to do, or for so long (-1: for ever). */
static void sleep_until_woken(struct access_log_writer *writer, int at_most_ms)
{
    struct pollfd poll_fd = {.fd = writer->wake_fd, .events = POLLIN};
    __atomic_store_n(&writer->is_asleep, 1, __ATOMIC_SEQ_CST);
    if (!has_work(writer))
        poll(&poll_fd, 1, at_most_ms);
    __atomic_store_n(&writer->is_asleep, 0, __ATOMIC_SEQ_CST);
    uint64_t count;
    ssize_t got = read(writer->wake_fd, &count, sizeof count);
    (void)got; /* nothing there where it was not woken by the descriptor */
}

static void *run(void *arg)
{
    struct access_log_writer *writer = arg;
    bool is_behind;
    while (!__atomic_load_n(&writer->is_stopping, __ATOMIC_ACQUIRE)) {
        if (drain_all(writer, &is_behind))
            poll(NULL, 0, BATCH_MS);
        else
            sleep_until_woken(writer, is_behind ? RETRY_MS : -1);
    }
    drain_all(writer, &is_behind);
    return NULL;
}

/* --- main thread's side --- */

int access_log_sink_open(struct access_log_writer *writer, const char *path,
                         struct access_log_sink **ret_sink, struct errmsg *msg)
{
    bool is_standard = !*path || !strcmp(path, "-");
    int fd = !*path ? STDOUT_FILENO : is_standard ? STDERR_FILENO : open_log(path);
    if (fd < 0)
        return errmsg_set(msg, ERR_IO, "access log %s: cannot be opened for writing: %s", path,
                          strerror(errno));
    struct stat status;
    struct access_log_sink *sink = mem_alloc(sizeof *sink);
    *sink = (struct access_log_sink){.writer = writer, .fd = fd, .is_standard = is_standard};
    sink->path = mem_copy_string(path, strlen(path));
    sink->is_regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    pthread_mutex_lock(&writer->mutex);
    sink->next = writer->sinks;
    writer->sinks = sink;
    pthread_mutex_unlock(&writer->mutex);
    *ret_sink = sink;
    return 0;
}

void access_log_sink_retire(struct access_log_sink *sink)
{
    struct access_log_writer *writer = sink->writer;
    pthread_mutex_lock(&writer->mutex);
    sink->is_retired = true;
    pthread_mutex_unlock(&writer->mutex);
    wake(writer);
}

struct access_log_writer *access_log_writer_new(uint32_t workers)
{
    struct access_log_writer *writer = MEM_NEW(struct access_log_writer);
    writer->ring_count = workers;
    writer->rings = mem_alloc_zero_aligned(workers, sizeof *writer->rings, 64);
    for (uint32_t i = 0; i < workers; i++)
        writer->rings[i].bytes = mem_alloc_zero(1, ACCESS_LOG_RING_BYTES);
    writer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(writer->wake_fd >= 0);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->flushed, NULL);
    int err = pthread_create(&writer->thread, NULL, run, writer);
    ASSERT(err == 0);
    return writer;
}

void access_log_writer_free(struct access_log_writer *writer)
{
    if (!writer)
        return;
    writer->stop_at_ms = clock_monotonic_ms() + STOP_WAIT_MS;
    __atomic_store_n(&writer->is_stopping, 1, __ATOMIC_RELEASE);
    wake(writer);
    pthread_join(writer->thread, NULL);
    while (writer->sinks) {
        struct access_log_sink *sink = writer->sinks;
        writer->sinks = sink->next;
        sink_free(sink);
    }
    for (uint32_t i = 0; i < writer->ring_count; i++)
        mem_free(writer->rings[i].bytes);
    mem_free(writer->rings);
    close(writer->wake_fd);
    pthread_cond_destroy(&writer->flushed);
    pthread_mutex_destroy(&writer->mutex);
    mem_free(writer);
}

void access_log_writer_reopen(struct access_log_writer *writer)
{
    __atomic_store_n(&writer->wants_reopen, 1, __ATOMIC_RELEASE);
    wake(writer);
}

void access_log_writer_flush(struct access_log_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    uint64_t wanted = ++writer->flush_wanted;
    pthread_mutex_unlock(&writer->mutex);
    wake(writer);
    pthread_mutex_lock(&writer->mutex);
    while (writer->flush_done < wanted)
        pthread_cond_wait(&writer->flushed, &writer->mutex);
    pthread_mutex_unlock(&writer->mutex);
}

uint64_t access_log_writer_dropped(const struct access_log_writer *writer)
{
    uint64_t dropped = __atomic_load_n(&writer->unwritten, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < writer->ring_count; i++)
        dropped += __atomic_load_n(&writer->rings[i].dropped, __ATOMIC_RELAXED);
    return dropped;
}
