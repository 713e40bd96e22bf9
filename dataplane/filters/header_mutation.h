/* envoy.filters.http.header_mutation: changes to the headers of request and response. */
#ifndef DATAPLANE_FILTERS_HEADER_MUTATION_H
#define DATAPLANE_FILTERS_HEADER_MUTATION_H

#include "dataplane/http/filter.h"

extern const struct http_filter_type header_mutation_filter;

#endif
