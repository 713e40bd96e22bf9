/*
 * One stream of the xDS server with a fake transport, for tests: requests are written as struct
 * ask, what is sent comes back as text, "CDS a=1 -b; EDS c=1" (see xds_peer.h for the words).
 */
#ifndef TESTS_SUPPORT_XDS_STREAM_H
#define TESTS_SUPPORT_XDS_STREAM_H

#include "controlplane/server/stream.h"
#include "tests/support/xds_peer.h"

struct xds_bed {
    struct stream_context context;
    struct stream stream;
    struct ledger *ledger;
    uint64_t now_ms;
    char sent[8192]; /* since it was last looked at */
    char nonces[RESOURCE_TYPE_COUNT][24];
    enum rpc_status finished;
    int64_t revision;
};
extern struct xds_bed bed;

void open_stream(bool is_delta, enum resource_type only);
/* The client is gone; what is published stays. */
void reopen_stream(void);
void close_stream(void);

/* A world with one gateway, "public". */
void publish(const char *clusters, const char *endpoints, const char *listeners,
             const char *routes);
void publish_as(const char *gateway, const char *clusters, const char *endpoints,
                const char *listeners, const char *routes);

struct ask {
    const char *node; /* id; NULL: no node */
    const char *agent;
    const char *gateway;
    const char *url;
    enum resource_type type;
    const char *name;  /* one name, delta: some, "a b"; NULL: none */
    const char *gone;  /* delta: one name that is unsubscribed */
    const char *has;   /* delta: initial_resource_versions, as "a=1 b=1" */
    const char *nonce; /* "ack": that of the last response of the type */
    const char *error;
};
void ask(struct ask ask);
void ack(enum resource_type type);
void nack(enum resource_type type, const char *error);

#define expect(text)                                                                               \
    do {                                                                                           \
        ck_assert_str_eq(bed.sent, text);                                                          \
        bed.sent[0] = '\0';                                                                        \
    } while (0)

/* A delta client with the listener "l", the routes "rc" and the cluster "old", in sync. */
void settle_delta(void);

#endif
