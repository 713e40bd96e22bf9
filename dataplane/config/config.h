/*
 * The configuration snapshot: what xDS (or a static bootstrap) said, decoded once on the main
 * thread into the form that a request needs. Immutable; its parts are refcounted each for itself,
 * so that a changed endpoint does not rebuild ten thousand routes. All references are taken and
 * dropped on the main thread: a worker holds a lease on a whole struct config and posts it back
 * (listener/worker.h).
 *
 * A part is made by dataplane/xds/ from a resource, put into a struct config, and published to the
 * workers (config_publish in listener/worker.h). Running state (connections, health, buckets) is
 * not here: see upstream/ and shared_state.h.
 */
#ifndef DATAPLANE_CONFIG_CONFIG_H
#define DATAPLANE_CONFIG_CONFIG_H

#include "common/base/arena.h"
#include "common/base/vec.h"
#include "dataplane/config/name_slots.h"
#include "dataplane/config/shared_state.h"
#include "dataplane/http/path.h"

#include <netinet/in.h>
#include <sys/un.h>

struct route_table; /* route/route.h */
struct http_filter_type;
struct access_log_config;
struct local_reply_config;
struct header_mutations;

/* An IPv4, IPv6 or unix address, with its text ("127.0.0.1:80", "[::1]:80", "/run/x.sock"). */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
    };
    socklen_t len;
    bool takes_ipv4; /* of a listener on "[::]": also clients that come by IPv4 (ipv4_compat) */
    struct str text; /* in the arena of whatever holds the address */
};

enum http_server_header {
    SERVER_HEADER_OVERWRITE,
    SERVER_HEADER_APPEND_IF_ABSENT,
    SERVER_HEADER_PASS_THROUGH
};
enum underscore_action { UNDERSCORE_ALLOW, UNDERSCORE_REJECT, UNDERSCORE_DROP };

/* One filter of a listener's chain. */
struct filter_config {
    const struct http_filter_type *type;
    uint32_t name_slot; /* of its instance name: the key of per-route settings */
    bool is_disabled;   /* off unless a route turns it on */
    const void *config; /* made by type->load */
};

/* Settings of one filter instance on one route, inherited from virtual host and table where the
 * route has none. */
struct filter_route_config {
    uint32_t name_slot;
    bool is_disabled;
    /* Whose settings these are. An instance of another type that has this name, which only the
     * listener knows, must not take them for its own. */
    const struct http_filter_type *type;
    const void *config; /* made by type->load_route; NULL where only is_disabled is said */
};

/* A listener and its HttpConnectionManager. Durations are in ms, 0 = off, unless said otherwise. */
struct listener_config {
    uint32_t refs;
    struct arena arena;
    struct str name;
    struct address address;
    uint32_t connection_buffer_bytes; /* per_connection_buffer_limit_bytes: the high watermark */
    uint32_t tcp_backlog;

    struct name_slots *slots; /* of filter instance names; a reference on each filter's is held */
    struct vec states;        /* struct shared_state taken by filters and logs; references */

    struct str stat_prefix;
    struct shared_state *stats;        /* struct stats_scope */
    struct str route_config_name;      /* rds; empty where routes are inline */
    uint64_t routes_fetch_timeout_ms;  /* how long it waits for them at first; 0: for ever */
    struct route_table *inline_routes; /* a reference, or NULL */
    struct filter_config *filters;     /* in request order; the router last */
    uint32_t filter_count;
    struct access_log_config **access_logs;
    uint32_t access_log_count;
    const struct local_reply_config *local_reply;          /* NULL: Envoy's plain texts */
    const struct header_mutations *early_header_mutations; /* NULL where there are none */

    uint32_t request_head_bytes_max; /* max_request_headers_kb; default 60 KiB */
    uint32_t request_headers_max;    /* default 100 */
    uint64_t idle_timeout_ms;        /* between requests; default 1 h */
    uint64_t request_headers_timeout_ms;
    uint64_t request_timeout_ms;      /* for the whole request to arrive */
    uint64_t stream_idle_timeout_ms;  /* default 5 min */
    uint64_t drain_timeout_ms;        /* default 5 s */
    uint64_t connection_requests_max; /* max_requests_per_connection; 0: no limit */
    enum http_server_header server_header;
    struct str server_name; /* default "weir" */
    struct str via;         /* empty: none */
    bool use_remote_address;
    uint32_t xff_trusted_hops;
    bool skip_xff_append;
    bool generate_request_id;
    bool preserve_external_request_id;
    bool always_set_request_id_in_response;
    struct path_options path; /* normalize_path, merge_slashes, escaped slashes */
    bool strip_any_host_port;
    bool strip_matching_host_port;
    bool strip_trailing_host_dot;
    bool accept_http_10;
    enum underscore_action underscores;
};

/* One endpoint of a cluster. */
struct host_config {
    struct address address;
    uint32_t weight;
    uint32_t priority;
    bool is_healthy; /* by its EDS health status */
};

/* A ClusterLoadAssignment, or the load_assignment inside a static cluster. */
struct endpoints_config {
    uint32_t refs;
    struct arena arena;
    struct str name;
    struct host_config *hosts;
    uint32_t host_count;
};

/* An endpoint that is known by its host name until it has been resolved. */
struct dns_target {
    struct str host;
    uint16_t port;
    uint32_t weight;
    uint32_t priority;
    bool is_healthy;
};

/* Envoy's names and order. DNS_AUTO: IPv6 addresses where there are any, else IPv4. */
enum dns_family { DNS_AUTO, DNS_V4_ONLY, DNS_V6_ONLY, DNS_V4_PREFERRED, DNS_ALL };

enum cluster_discovery { CLUSTER_STATIC, CLUSTER_STRICT_DNS, CLUSTER_LOGICAL_DNS, CLUSTER_EDS };

/* Envoy's circuit_breakers.thresholds of DEFAULT priority. */
struct cluster_thresholds {
    uint32_t connections_max;
    uint32_t pending_requests_max;
    uint32_t requests_max;
    uint32_t retries_max;
};

struct outlier_config {
    bool is_enabled;
    uint32_t consecutive_5xx;             /* 0: off */
    uint32_t consecutive_gateway_failure; /* 0: off */
    uint32_t enforcing_consecutive_5xx_percent;
    uint32_t enforcing_consecutive_gateway_failure_percent;
    uint64_t interval_ms;
    uint64_t base_ejection_time_ms;
    uint64_t max_ejection_time_ms;
    uint32_t max_ejection_percent;
    bool always_eject_one_host;
};

/* Weir's closed / open / half-open breaker (weir.v1.ClusterExtension); replaces outlier detection.
 */
struct breaker_config {
    bool is_enabled;
    uint32_t consecutive_failures;
    uint64_t open_for_ms;
    uint32_t half_open_requests; /* how many at a time are let through to try */
    uint32_t success_threshold;  /* so many successes in a row close it */
};

struct cluster_config {
    uint32_t refs;
    struct arena arena;
    struct str name;
    struct name_slots *slots;
    uint32_t slot; /* of the cluster's name, in slots; a reference */
    enum cluster_discovery discovery;
    struct str endpoints_name;           /* eds service_name, or the cluster's own name */
    struct endpoints_config *endpoints;  /* of STATIC clusters: the load_assignment; else NULL */
    uint64_t endpoints_fetch_timeout_ms; /* how long it waits for EDS at first; 0: for ever */
    struct dns_target *dns_targets;      /* of DNS clusters, to be resolved by xds/dns.h */
    uint32_t dns_target_count;
    uint64_t dns_refresh_ms;
    enum dns_family dns_family;
    const struct load_balancer_type *load_balancer; /* upstream/load_balancer.h */
    uint32_t lb_choice_count; /* of the least request balancer: hosts to compare; default 2 */
    uint64_t connect_timeout_ms;
    uint64_t idle_timeout_ms; /* of a pooled connection; default 1 h */
    uint64_t requests_per_connection_max;
    uint32_t connection_buffer_bytes;
    uint32_t healthy_panic_threshold_percent; /* default 50 */
    struct cluster_thresholds thresholds;
    struct outlier_config outlier;
    struct breaker_config breaker;
    struct shared_state *stats; /* struct stats_scope */
    struct shared_state
        *limits; /* struct cluster_limits (upstream/limits.h): counts against thresholds */
    struct shared_state
        *breaker_state; /* struct breaker (upstream/breaker.h), NULL unless enabled */
    struct shared_state
        *outlier_state; /* struct outlier (upstream/outlier.h), NULL unless enabled */
};

/* What a worker runs: the parts, and how they fit together. Indexed arrays; names in no order. */
struct config {
    uint32_t refs;
    uint64_t generation; /* counts configurations; larger is newer */
    struct config_listener {
        struct listener_config *listener;
        struct route_table *routes; /* by RDS or inline; NULL while RDS has not come */
    } * listeners;
    uint32_t listener_count;
    struct config_cluster {
        struct cluster_config *cluster;
        struct endpoints_config *endpoints; /* NULL while EDS has not come */
    } * clusters;
    uint32_t cluster_count;
};

/* New zeroed parts with one reference and an empty arena. */
struct listener_config *listener_config_new(void);
struct cluster_config *cluster_config_new(void);
struct endpoints_config *endpoints_config_new(void);
/* A configuration with room for so many listeners and clusters, all NULL. Each reference put there
 * becomes the configuration's. */
struct config *config_new(uint32_t listener_count, uint32_t cluster_count);

/* Of route/route.h, which lies above this folder: a configuration holds references on tables. */
void route_table_unref(struct route_table *table);

/* References on parts; main thread; the last unref frees the part and what it refers to. NULL is
 * fine for the unrefs. */
struct listener_config *listener_config_ref(struct listener_config *listener);
void listener_config_unref(struct listener_config *listener);
struct cluster_config *cluster_config_ref(struct cluster_config *cluster);
void cluster_config_unref(struct cluster_config *cluster);
struct endpoints_config *endpoints_config_ref(struct endpoints_config *endpoints);
void endpoints_config_unref(struct endpoints_config *endpoints);
struct config *config_ref(struct config *config);
void config_unref(struct config *config);

#endif
