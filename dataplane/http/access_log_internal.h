/* Between what a line says (access_log.c) and how it gets to its file (access_log_writer.c). */
#ifndef DATAPLANE_HTTP_ACCESS_LOG_INTERNAL_H
#define DATAPLANE_HTTP_ACCESS_LOG_INTERNAL_H

#include "dataplane/http/access_log.h"

struct access_log_sink;

/* Opens path for appending; "" is standard output, "-" standard error. The sink stays until
 * access_log_sink_retire, and then until lines for it have been written. Main thread. 0, or ERR_IO
 * with a sentence. */
int access_log_sink_open(struct access_log_writer *writer, const char *path,
                         struct access_log_sink **ret_sink, struct errmsg *msg) MUST_CHECK;
void access_log_sink_retire(struct access_log_sink *sink);
/* Queues a line for sink, or drops and counts it where the worker's ring is full. Worker's thread.
 */
void access_log_writer_put(struct access_log_writer *writer, uint32_t worker,
                           struct access_log_sink *sink, struct str line);
/* Counts a line that could not be made. Worker's thread. */
void access_log_writer_count_dropped(struct access_log_writer *writer, uint32_t worker);

#endif
