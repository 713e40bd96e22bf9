/*
 * A stream without a connection, for tests of filters, formats, local replies and access logs: a
 * request made from text, and what http_stream_reply was asked for. Linking it replaces
 * http_stream_reply and worker_random where the real ones are not linked.
 */
#ifndef TESTS_SUPPORT_FAKE_STREAM_H
#define TESTS_SUPPORT_FAKE_STREAM_H

#include "dataplane/config/stats.h"
#include "dataplane/http/filter.h"
#include "dataplane/listener/worker.h"
#include "dataplane/route/route.h"

struct fake_stream {
    struct http_stream stream;
    struct worker worker;
    struct listener_config listener;
    struct http_stats stats;
    struct route route;
    struct http_filter filter;
    /* of http_stream_reply */
    bool has_replied;
    unsigned reply_status;
    struct str reply_body;
    const char *reply_details;
    uint64_t next_random;
};

/* Zero but for what every stream has: client 192.0.2.7, port 4711, now_ns of a day. */
void fake_stream_init(struct fake_stream *fake);
void fake_stream_done(struct fake_stream *fake);
/* Sets method, path and headers ("name: value\n…"; host: becomes the authority). Text must stay. */
void fake_stream_request(struct fake_stream *fake, const char *method, const char *path,
                         const char *headers);
/* A fresh request on the same worker: forgets reply and response. */
void fake_stream_again(struct fake_stream *fake, const char *path, const char *headers);
/* The value of a header of the request or response; "" where there is none. */
const char *fake_stream_request_header(struct fake_stream *fake, const char *name);
const char *fake_stream_response_header(struct fake_stream *fake, const char *name);

/* Something to load configuration with. */
struct fake_load {
    struct filter_load load;
    struct arena arena;
    struct vec states;
    struct errmsg msg;
};

void fake_load_init(struct fake_load *fake);
void fake_load_done(struct fake_load *fake);
/* A message of this type from proto3 JSON, in the fake's arena; the test fails where it is none. */
void *fake_load_message(struct fake_load *fake, const ProtobufCMessageDescriptor *descriptor,
                        const char *json);

#endif
