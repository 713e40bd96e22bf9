#include "controlplane/server/histogram.h"

#include <inttypes.h>

static const struct {
    uint64_t ns;
    const char *text;
} bounds[HISTOGRAM_BUCKETS] = {
    {100000, "0.0001"}, {250000, "0.00025"}, {1000000, "0.001"},  {2500000, "0.0025"},
    {5000000, "0.005"}, {10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},
    {100000000, "0.1"}, {250000000, "0.25"}, {1000000000, "1"},   {5000000000, "5"},
};

void histogram_add(struct histogram *histogram, uint64_t duration_ns)
{
    size_t i = 0;
    while (i < HISTOGRAM_BUCKETS && duration_ns > bounds[i].ns)
        i++;
    histogram->counts[i]++;
    histogram->sum_ns += duration_ns;
}

void histogram_print(const struct histogram *histogram, const char *name, const char *help,
                     struct buf *out)
{
    uint64_t count = 0;
    buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
        buf_printf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, bounds[i].text, count);
    }
    count += histogram->counts[HISTOGRAM_BUCKETS];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    buf_printf(out, "%s_sum %.9f\n", name, (double)histogram->sum_ns / 1e9);
    buf_printf(out, "%s_count %" PRIu64 "\n", name, count);
}
