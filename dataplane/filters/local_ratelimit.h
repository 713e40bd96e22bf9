/* envoy.filters.http.local_ratelimit: limits counted within this proxy, by all workers together. */
#ifndef DATAPLANE_FILTERS_LOCAL_RATELIMIT_H
#define DATAPLANE_FILTERS_LOCAL_RATELIMIT_H

#include "dataplane/http/filter.h"

extern const struct http_filter_type local_ratelimit_filter;

#endif
