/*
 * HTTP filters. A type is one const struct in dataplane/filters/<name>.c and one row in
 * filters/table.c; the row's place says nothing: the order of a chain is the listener's.
 *
 * As in Envoy, a reply we make ourselves passes every response hook, also of filters that the
 * request never reached: a response hook must not assume that its request hook ran.
 */
#ifndef DATAPLANE_HTTP_FILTER_H
#define DATAPLANE_HTTP_FILTER_H

#include "common/base/err.h"
#include "dataplane/http/stream.h"

#include <protobuf-c/protobuf-c.h>

enum filter_status {
    FILTER_CONTINUE,
    /* The request waits, and its body stays unread, until http_stream_resume or http_stream_reply
     * from outside a hook (behind worker_update_clock, as in every callback). The stream may end
     * before, by the client or a timeout: on_destroy must stop whatever would call. */
    FILTER_PAUSE,
    FILTER_REPLIED, /* the hook has called http_stream_reply, or taken the request (router) */
};

/* What a load function may use. Main thread. */
struct filter_load {
    struct arena *arena; /* of the part the settings go into: they live and die with it */
    struct shared_registry *shared;
    /* Where this is: "listener public/http" or "route public/users": for messages and, as it stays
     * the same from one configuration to the next, for keys of shared state. */
    struct str scope;
    struct vec *states; /* append each shared_state taken; unreferenced with the part */
    uint32_t workers;
    /* load_route only: settings of the same filter one level up (virtual host, table), or NULL: for
     * filters that add them to their own. */
    const void *inherited;
    const struct http_filter_type *inherited_type; /* whose they are */
};

/* One filter on one stream. */
struct http_filter {
    const struct http_filter_type *type;
    const void *config;       /* of the listener */
    const void *route_config; /* of the route, or NULL */
    void *state;              /* the filter's own, in the stream's arena; NULL at first */
    bool is_disabled;         /* for this route: no hook is called */
};

struct http_filter_type {
    const char *name; /* Envoy's extension name, for logs */
    /* Settings messages; the type URL of a filter's typed_config selects the filter. */
    const ProtobufCMessageDescriptor *config_descriptor;
    const ProtobufCMessageDescriptor *route_descriptor; /* NULL: no settings per route */
    /* Message (borrowed, in load->arena) to settings in load->arena. 0, or ERR_* with a sentence
     * that names the field. */
    int (*load)(struct filter_load *load, const ProtobufCMessage *message, const void **ret_config,
                struct errmsg *msg);
    int (*load_route)(struct filter_load *load, const ProtobufCMessage *message,
                      const void **ret_config, struct errmsg *msg);
    /* Hooks; NULL = not interested. Request hooks run in chain order, response hooks in reverse. */
    enum filter_status (*on_request_headers)(struct http_filter *filter, struct http_stream *stream,
                                             bool is_end);
    void (*on_response_headers)(struct http_filter *filter, struct http_stream *stream);
    /* The stream ends: cancel timers, let go of everything outside the arena. */
    void (*on_destroy)(struct http_filter *filter, struct http_stream *stream);
};

#endif
