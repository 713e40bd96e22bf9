/* The router: last filter of every chain. It does what the route says: forward to a cluster,
 * redirect, answer; or 404 where no route matched. */
#ifndef DATAPLANE_FILTERS_ROUTER_H
#define DATAPLANE_FILTERS_ROUTER_H

#include "dataplane/http/filter.h"

extern const struct http_filter_type router_filter;

#endif
