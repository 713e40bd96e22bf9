/*
 * The file a proxy starts from: Envoy's bootstrap, as YAML or JSON, with static listeners and
 * clusters, the ADS server, the node and the admin address. What it cannot use it says; an unknown
 * field is an error that names its path, as in Envoy. Main thread.
 */
#ifndef DATAPLANE_XDS_BOOTSTRAP_H
#define DATAPLANE_XDS_BOOTSTRAP_H

#include "common/rpc/rpc.h"
#include "dataplane/xds/store.h"

#include <envoy/config/bootstrap/v3/bootstrap.pb-c.h>

enum { BOOTSTRAP_BYTES_MAX = 16 * 1024 * 1024, BOOTSTRAP_FILE_BYTES_MAX = 1024 * 1024 };

/* How the ADS server is reached. Strings are in the bootstrap's arena. */
struct bootstrap_ads {
    bool is_set;
    const char *target; /* for rpc_channel_new */
    bool has_tls;
    struct rpc_tls_config tls;
    const char *tls_server_name; /* NULL: the target's host */
    struct rpc_metadata *metadata;
    size_t metadata_count;
    bool wants_listeners, wants_clusters; /* lds_config, cds_config */
};

struct bootstrap {
    struct arena arena;
    Envoy__Config__Bootstrap__V3__Bootstrap *message; /* with a node, always */
    struct bootstrap_ads ads;
    struct str ads_cluster;    /* the static cluster that is only for the ADS stream, or empty */
    const char *admin_address; /* "ip:port", or NULL */
};

/* Reads a bootstrap from text. 0 and one for bootstrap_free; or ERR_* with a sentence. types: for
 * the Any in it. */
int bootstrap_new(struct str text, const struct pbjson_registry *types,
                  struct bootstrap **ret_bootstrap, struct errmsg *msg) MUST_CHECK;
/* The same from a file. */
int bootstrap_read(const char *path, const struct pbjson_registry *types,
                   struct bootstrap **ret_bootstrap, struct errmsg *msg) MUST_CHECK;
/* NULL is fine. */
void bootstrap_free(struct bootstrap *bootstrap);
/* Puts the static resources into store; stops at the first that is refused. */
int bootstrap_put_static(const struct bootstrap *bootstrap, struct store *store,
                         struct errmsg *msg) MUST_CHECK;

#endif
