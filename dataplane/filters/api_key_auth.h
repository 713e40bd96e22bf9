/* envoy.filters.http.api_key_auth: who calls, by the key that the request carries. */
#ifndef DATAPLANE_FILTERS_API_KEY_AUTH_H
#define DATAPLANE_FILTERS_API_KEY_AUTH_H

#include "dataplane/http/filter.h"

extern const struct http_filter_type api_key_auth_filter;

#endif
