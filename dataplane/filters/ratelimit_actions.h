/*
 * From a request to rate limit descriptors: Envoy's RateLimit actions. Each RateLimit gives one
 * descriptor, a list of keys with values, or none where one of its actions has nothing to say.
 * Immutable; any thread.
 */
#ifndef DATAPLANE_FILTERS_RATELIMIT_ACTIONS_H
#define DATAPLANE_FILTERS_RATELIMIT_ACTIONS_H

#include "dataplane/http/filter.h"

#include <envoy/config/route/v3/route_components.pb-c.h>

enum {
    RATELIMIT_ENTRIES_MAX = 16, /* actions of one RateLimit */
    RATELIMIT_LIMITS_MAX = 64,  /* RateLimits of one filter */
};

struct ratelimit_actions;

struct ratelimit_entry {
    struct str key, value;
};

/* One descriptor of a request. */
struct ratelimit_descriptor {
    struct ratelimit_entry entries[RATELIMIT_ENTRIES_MAX];
    uint32_t count;
    uint64_t hits; /* tokens that the request costs */
};

/* Compiles one message into load->arena. 0, or ERR_*: actions we cannot do are refused, because a
 * limit must not be lost. */
int ratelimit_actions_new(struct filter_load *load,
                          const Envoy__Config__Route__V3__RateLimit *message,
                          const struct ratelimit_actions **ret_actions,
                          struct errmsg *msg) MUST_CHECK;
/* The descriptor of stream; false where there is none. Values may be in the stream's arena. */
bool ratelimit_actions_apply(const struct ratelimit_actions *actions, struct http_stream *stream,
                             struct ratelimit_descriptor *ret_descriptor);

#endif
