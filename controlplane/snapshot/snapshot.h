/*
 * A snapshot: everything that one kind of client of one gateway gets, at one revision of the
 * policy. Immutable once published; refcounted; equal content has equal versions on every replica.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SNAPSHOT_SNAPSHOT_H
#define CONTROLPLANE_SNAPSHOT_SNAPSHOT_H

#include "common/base/err.h"
#include "controlplane/snapshot/resource.h"

/* What a node is, as far as what it is sent differs. */
enum client_kind {
    CLIENT_ENVOY, /* stock Envoy and weir-proxy: the same feed */
    CLIENT_GRPC,  /* proxyless gRPC: API listeners named by the host that is dialled */
    CLIENT_KIND_COUNT,
};

/* Resources of one type, sorted by name, no name twice; refcounted, shared by the snapshots in
 * which they are the same. */
struct resource_set {
    uint32_t refs;
    enum resource_type type;
    struct content_hash version; /* of the names and versions of all of them */
    struct rpc_buf *bytes[2];    /* see resource_set_bytes; NULL until somebody asks */
    size_t len;
    struct resource *items[];
};

struct snapshot {
    uint32_t refs;
    int64_t revision; /* of the policy it was made from; two snapshots may differ in nothing else */
    struct content_hash version;                    /* of all sets: equal on every replica */
    struct resource_set *sets[RESOURCE_TYPE_COUNT]; /* never NULL */
};

/* A snapshot of those sets, one of each type, whose references it takes; with one reference. */
struct snapshot *snapshot_new(int64_t revision,
                              struct resource_set *const sets[RESOURCE_TYPE_COUNT]);
/* One without any resource. */
struct snapshot *snapshot_new_empty(int64_t revision);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* NULL is fine. */
void snapshot_unref(struct snapshot *snapshot);
/* Before snapshot is published: lets it share with previous (may be NULL) the sets and resources
 * that are equal, so that what did not change exists once. */
void snapshot_share(struct snapshot *snapshot, const struct snapshot *previous);

/* What is wrong with the snapshot as a whole: an RDS name that a listener names and that is
 * missing, EDS missing for an EDS cluster. A route to a missing cluster is not an error (it answers
 * 503). 0, or ERR_INVALID with a sentence. */
int snapshot_check(const struct snapshot *snapshot, struct errmsg *ret_msg) MUST_CHECK;

/* A set of len resources sorted by name, each of which it takes a new reference on; returned with
 * one reference. */
struct resource_set *resource_set_new(enum resource_type type, struct resource *const *items,
                                      size_t len);
struct resource_set *resource_set_ref(struct resource_set *set);
/* NULL is fine. */
void resource_set_unref(struct resource_set *set);
/* Both NULL, or both there and of one version. */
bool resource_set_is_same(const struct resource_set *a, const struct resource_set *b);
/* The resource of that name or NULL; borrowed. set may be NULL. */
struct resource *resource_set_find(const struct resource_set *set, struct str name);
/* Index of the first resource whose name is not before name. */
size_t resource_set_lower_bound(const struct resource_set *set, struct str name);
/* The encoded fields of all of them in one piece, made when first asked for and then shared by
 * everybody who is sent the whole set; borrowed. */
struct rpc_buf *resource_set_bytes(struct resource_set *set, bool is_delta);

#endif
