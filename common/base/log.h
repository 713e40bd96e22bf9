/*
 * Log lines of the daemons on standard error: time, level, an event word, then key=value pairs.
 *
 *     log_info("listener_started name=%s port=%u", name, port);
 *
 * Any thread. Control characters in a line are replaced, so that what a peer sent cannot forge a
 * line. Per-request lines are the access log's business (dataplane/http/access_log.h).
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include "common/base/assert.h"

#include <stdbool.h>

/* Envoy's names. */
enum log_level {
    LOG_LEVEL_TRACE,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_CRITICAL,
    LOG_LEVEL_OFF,
};

extern _Atomic enum log_level log_level_min;

/* Sets the least level that is written. False for a name that is none of trace, debug, info,
 * warning (warn), error, critical, off. */
bool log_set_level(const char *name);
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define LOG_AT(level, ...) ((level) < log_level_min ? (void)0 : log_write((level), __VA_ARGS__))
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
