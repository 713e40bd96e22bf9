/*
 * A store with all that decoding needs, and a record of what it does to the world: for tests of
 * dataplane/xds. Resources are written as YAML.
 */
#ifndef TESTS_SUPPORT_XDS_RIG_H
#define TESTS_SUPPORT_XDS_RIG_H

#include "dataplane/xds/ignored_fields.h"
#include "dataplane/xds/store.h"

enum { XDS_RIG_LINGER_MS = 500, XDS_RIG_HOLD_MS = 1500 };

struct xds_rig {
    struct loop *loop;
    struct pbjson_registry *types;
    struct decode_context decode;
    struct store *store;
    struct arena arena; /* texts of the test */

    /* What the store did. */
    struct config *config; /* published last, a reference */
    unsigned publishes;
    unsigned changes;
    unsigned binds;
    bool port_is_taken;        /* bind fails */
    struct buf subscriptions;  /* "+endpoints users -routes x " */
    struct store_output *also; /* called as well, where not NULL */
};

/* Loop, context, no store. */
void xds_rig_init(struct xds_rig *rig);
/* A store. expects_control_plane, init_timeout_ms: as in store_options. */
void xds_rig_open(struct xds_rig *rig, bool expects_control_plane, uint64_t init_timeout_ms);
void xds_rig_done(struct xds_rig *rig);

/* The encoded resource; in the rig's arena. Fails the test where the YAML is wrong. */
struct str xds_rig_encode(struct xds_rig *rig, enum xds_type type, const char *yaml);
/* Puts a dynamic resource; the result of store_put, with its sentence in msg. */
int xds_rig_put(struct xds_rig *rig, enum xds_type type, const char *name, const char *version,
                const char *yaml, struct errmsg *msg);
/* The same, and fails the test where it is refused. */
void xds_rig_put_ok(struct xds_rig *rig, enum xds_type type, const char *name, const char *version,
                    const char *yaml);
/* Runs the loop until so many publishes have been made; false after 10 s. */
bool xds_rig_wait_publishes(struct xds_rig *rig, unsigned publishes);
/* Parts of the configuration published last; NULL where it has none of that name. */
const struct config_listener *xds_rig_listener(const struct xds_rig *rig, const char *name);
const struct config_cluster *xds_rig_cluster(const struct xds_rig *rig, const char *name);

/* A listener with RDS "routes_name" on port 8080, a static cluster, an EDS cluster, endpoints with
 * one address, routes that lead to a cluster: YAML texts in the rig's arena. */
const char *xds_rig_listener_yaml(struct xds_rig *rig, const char *name, const char *routes_name);
const char *xds_rig_eds_cluster_yaml(struct xds_rig *rig, const char *name, const char *extra);
const char *xds_rig_endpoints_yaml(struct xds_rig *rig, const char *name, unsigned port);
const char *xds_rig_routes_yaml(struct xds_rig *rig, const char *name, const char *cluster);

#endif
