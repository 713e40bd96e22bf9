/*
 * Access logs: one line per request, written by a thread of its own. A worker renders a finished
 * line into its own bounded ring; where the ring is full the line is dropped and counted: a slow
 * disk or a stopped terminal never holds up a request, and a reader that does not read never the
 * other logs.
 *
 * Limits: ACCESS_LOG_LINE_BYTES_MAX a line (values are shortened to fit, JSON stays well-formed),
 * ACCESS_LOG_RING_BYTES of lines waiting per worker.
 */
#ifndef DATAPLANE_HTTP_ACCESS_LOG_H
#define DATAPLANE_HTTP_ACCESS_LOG_H

#include "dataplane/http/filter.h"

#include <envoy/config/accesslog/v3/accesslog.pb-c.h>

struct access_log_config; /* one AccessLog: where, what, and for which requests */
struct access_log_filter; /* a compiled AccessLogFilter; local replies use it too */
struct access_log_writer;

enum {
    ACCESS_LOG_LINE_BYTES_MAX = 8 * 1024,
    ACCESS_LOG_RING_BYTES = 1024 * 1024, /* per worker; a power of two */
    ACCESS_LOG_FILTER_DEPTH_MAX = 16,
};

/* Starts the writer's thread. Main thread, as are _free, _reopen and _load. */
struct access_log_writer *access_log_writer_new(uint32_t workers);
/* Writes what is waiting, stops the thread, frees it. The workers must have stopped, and every
 * configuration with access logs must be gone. NULL is fine. */
void access_log_writer_free(struct access_log_writer *writer);
/* Opens every file again (after logrotate moved them), before the next line. */
void access_log_writer_reopen(struct access_log_writer *writer);
/* Lines dropped so far because a ring was full, or could not be written. Any thread. */
uint64_t access_log_writer_dropped(const struct access_log_writer *writer);
/* Waits until all that was logged before this call is written, where it is taken. For tests. */
void access_log_writer_flush(struct access_log_writer *writer);

/* Compiles message into load->arena; its file is opened at once (a shared state in load->states),
 * so that a path that cannot be written is a NACK. 0, or ERR_* with a sentence. Knows file, stdout
 * and stderr. */
int access_log_load(struct filter_load *load, struct access_log_writer *writer,
                    const Envoy__Config__Accesslog__V3__AccessLog *message,
                    struct access_log_config **ret_config, struct errmsg *msg) MUST_CHECK;

/* Puts a line for stream into each access log of its listener that wants one. Worker's thread, once
 * per stream, when everything about it is known. */
void access_log_stream(const struct http_stream *stream);

/* A condition on a request. 0, or ERR_*: filters we do not know are refused. */
int access_log_filter_new(struct filter_load *load,
                          const Envoy__Config__Accesslog__V3__AccessLogFilter *message,
                          const struct access_log_filter **ret_filter,
                          struct errmsg *msg) MUST_CHECK;
bool access_log_filter_match(const struct access_log_filter *filter,
                             const struct http_stream *stream);

#endif
