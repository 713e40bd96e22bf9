/* An etcd that does what a test says, also what a real one does on bad days only. Speaks Range and
 * Watch, over real gRPC. */
#ifndef TESTS_SUPPORT_FAKE_ETCD_H
#define TESTS_SUPPORT_FAKE_ETCD_H

#include "common/rpc/rpc.h"

enum { FAKE_ETCD_KEYS_MAX = 16 };

struct fake_etcd_key {
    const char *key, *value; /* key NULL: free */
    int64_t mod_revision;
};

struct fake_etcd;
/* Asked before a Range is answered: a status other than OK is the answer. */
typedef enum rpc_status fake_etcd_range_fn(struct fake_etcd *fake, bool is_keys_only,
                                           int64_t revision, int64_t limit);

struct fake_etcd {
    struct rpc_server *server;
    char endpoint[64];
    uint64_t cluster_id;
    int64_t revision;
    struct fake_etcd_key keys[FAKE_ETCD_KEYS_MAX]; /* in order of the keys */
    fake_etcd_range_fn *on_range;                  /* or NULL */
    bool sends_garbage;                            /* instead of each answer */
    bool is_watch_silent;                          /* does not confirm watches */

    size_t listings, comparisons; /* first pages of Range requests, keys only and not */
    size_t watches;
    int64_t start_revision; /* of the last watch */
    struct rpc_stream *watch;
};

void fake_etcd_start(struct fake_etcd *fake, struct rpc_runtime *runtime);
void fake_etcd_free(struct fake_etcd *fake);
/* Sends a watch response with one put per key; is_fragment: more of it follows. */
void fake_etcd_send_puts(struct fake_etcd *fake, const struct fake_etcd_key *keys, size_t count,
                         bool is_fragment);
/* Ends the watch as etcd does; compact_revision 0: with the reason "no". */
void fake_etcd_cancel_watch(struct fake_etcd *fake, int64_t compact_revision);

#endif
