/* A histogram of durations with fixed buckets, as Prometheus takes it. No thread of its own; a
 * zeroed one is empty. */
#ifndef CONTROLPLANE_SERVER_HISTOGRAM_H
#define CONTROLPLANE_SERVER_HISTOGRAM_H

#include "common/base/buf.h"

enum { HISTOGRAM_BUCKETS = 12 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS + 1]; /* the last: longer than all bounds */
    uint64_t sum_ns;
};

void histogram_add(struct histogram *histogram, uint64_t duration_ns);
/* Appends it in Prometheus's text form, in seconds. */
void histogram_print(const struct histogram *histogram, const char *name, const char *help,
                     struct buf *out);

#endif
