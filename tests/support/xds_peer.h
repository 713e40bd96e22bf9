/*
 * A client of one subscription, written as text: sets of resources are "a=1 b=2" (name and
 * content), lists of names "a b *", and what is sent comes back as "a=1 -b" (b removed), "empty"
 * for a response with nothing in it, "nothing" where there is no response. State of the world does
 * not tell names: what is sent reads "=1 =2" there.
 */
#ifndef TESTS_SUPPORT_XDS_PEER_H
#define TESTS_SUPPORT_XDS_PEER_H

#include "controlplane/server/subscription.h"

/* One reference. */
struct resource *xds_resource(enum resource_type type, const char *name, const char *content);
struct resource_set *xds_set(enum resource_type type, const char *text);
/* What a response of either form holds, as text; static storage. ret_nonce may be NULL. */
const char *xds_response_text(const struct response *response, bool is_delta, char ret_nonce[24]);

struct xds_peer {
    enum resource_type type;
    struct subscription sub;
    struct diff_cache cache;
    struct response response;
    uint64_t last_nonce;
    char nonce[24];     /* of the last response; "" before */
    char names[4096];   /* state of the world: the list as it is now */
    char refused[4096]; /* names that counted as refused, in the order they came */
    char updated[4096]; /* names that were told to the client in a new version */
};

void xds_peer_init(struct xds_peer *peer, enum resource_type type, bool is_delta,
                   const char *target);
void xds_peer_done(struct xds_peer *peer);
void xds_peer_publish(struct xds_peer *peer, const char *target);

struct xds_request {
    const char *names; /* delta: subscribe; state of the world: NULL keeps the list */
    const char *gone;  /* delta: unsubscribe */
    const char *nonce; /* NULL: that of the last response */
    const char *error;
    const char *versions; /* delta: initial_resource_versions, "a=1": the version content 1 has */
    const char *version_info;
};
enum subscription_outcome xds_peer_request(struct xds_peer *peer, struct xds_request request);
/* Subscribes: state of the world replaces the list. */
void xds_peer_ask(struct xds_peer *peer, const char *names);
void xds_peer_ack(struct xds_peer *peer);
void xds_peer_nack(struct xds_peer *peer, const char *error);
/* What is sent now; becomes the last response. */
const char *xds_peer_next(struct xds_peer *peer);

#define expect_sent(peer, text) ck_assert_str_eq(xds_peer_next(peer), text)
#define expect_sent_and_ack(peer, text)                                                            \
    do {                                                                                           \
        expect_sent(peer, text);                                                                   \
        xds_peer_ack(peer);                                                                        \
    } while (0)

#endif
