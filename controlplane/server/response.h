/*
 * A response being put together: shared encoded pieces, then a private tail with what differs from
 * stream to stream. Protobuf fields may come in any order, so the pieces one after the other are a
 * DiscoveryResponse or DeltaDiscoveryResponse.
 */
#ifndef CONTROLPLANE_SERVER_RESPONSE_H
#define CONTROLPLANE_SERVER_RESPONSE_H

#include "common/base/buf.h"
#include "controlplane/snapshot/resource.h"

/* Room for the names of removed resources: those of a subscription of the largest size. */
enum { RESPONSE_TAIL_BYTES_MAX = 512 * 1024 * 1024 };

struct response {
    struct rpc_buf **parts; /* borrowed buffers, owned array */
    size_t len;
    size_t cap;
    struct buf tail;
    size_t bytes; /* of parts and tail */
    size_t resource_count;
    size_t removed_count;
};

void response_init(struct response *response);
void response_done(struct response *response);
/* Empties it, keeps its memory. */
void response_reset(struct response *response);
void response_add_buf(struct response *response, struct rpc_buf *buf);
void response_add_resource(struct response *response, const struct resource *resource,
                           bool is_delta);
/* Delta only. */
void response_add_removed(struct response *response, struct str name);
/* Writes version, type URL and nonce; the last step. */
void response_finish(struct response *response, enum resource_type type,
                     const struct content_hash *version, uint64_t nonce);

#endif
