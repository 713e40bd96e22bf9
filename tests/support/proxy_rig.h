/*
 * A weir-proxy without its control plane, for tests of the request path: workers on threads of
 * their own, configurations made by hand, and blocking sockets on which the test plays client and
 * server. Everything here aborts the test (ck_abort) where it fails.
 *
 *     struct proxy_rig *rig = proxy_rig_new(1);
 *     struct rig_server server = rig_listen();
 *     struct rig_config *config = rig_config_new(rig);
 *     rig_config_routes(config, "{virtual_hosts: …}");
 *     rig_config_cluster(config, "users", &server.port, 1);
 *     rig_publish(rig, config);
 *     int client = rig_connect(rig);
 */
#ifndef TESTS_SUPPORT_PROXY_RIG_H
#define TESTS_SUPPORT_PROXY_RIG_H

#include "dataplane/config/config.h"
#include "dataplane/config/stats.h"
#include "dataplane/listener/worker.h"

enum { RIG_CLUSTERS_MAX = 8, RIG_WAIT_MS = 10000 };

struct proxy_rig {
    struct loop *main_loop;
    struct shared_registry *shared;
    struct name_slots *cluster_slots, *filter_slots;
    struct worker_pool *pool;
    struct config *config; /* newest published; a reference */
    uint32_t workers;
    uint64_t generation;
    uint16_t port; /* of the listener of every rig_config; taken when the rig is made */
};

/* A configuration in the making; change listener and clusters before rig_publish. */
struct rig_config {
    struct proxy_rig *rig;
    struct listener_config *listener;
    struct route_table *routes;
    struct cluster_config *clusters[RIG_CLUSTERS_MAX];
    uint32_t cluster_count;
};

struct proxy_rig *proxy_rig_new(uint32_t workers);
/* Stops everything, and checks that nothing is left of any configuration. */
void proxy_rig_free(struct proxy_rig *rig);

/* One listener "test" on rig->port with Envoy's defaults and a router. */
struct rig_config *rig_config_new(struct proxy_rig *rig);
/* A RouteConfiguration as YAML. */
void rig_config_routes(struct rig_config *config, const char *yaml);
/* Everything to cluster "a". */
extern const char rig_routes_to_a[];
/* A static cluster with these ports of 127.0.0.1 as hosts. */
struct cluster_config *rig_config_cluster(struct rig_config *config, const char *name,
                                          const uint16_t *ports, uint32_t count);
/* Gives its clusters the breaker or outlier detection of their settings. */
void rig_cluster_breaker(struct rig_config *config, struct cluster_config *cluster,
                         struct breaker_config breaker);
void rig_cluster_outlier(struct rig_config *config, struct cluster_config *cluster,
                         struct outlier_config outlier);
/* Publishes config (takes it) and waits until every worker has it. */
void rig_publish(struct proxy_rig *rig, struct rig_config *config);
/* Publishes a configuration with no listener. */
void rig_publish_nothing(struct proxy_rig *rig);
/* Sum over workers of a counter, by the offset of its field in struct http_stats/cluster_stats. */
uint64_t rig_http_stat(struct proxy_rig *rig, size_t offset);
uint64_t rig_cluster_stat(struct proxy_rig *rig, const char *cluster, size_t offset);
/* Waits until it is value. */
void rig_await_cluster_stat(struct proxy_rig *rig, const char *cluster, size_t offset,
                            uint64_t value);
void rig_await_http_stat(struct proxy_rig *rig, size_t offset, uint64_t value);

/* --- sockets; blocking, with a time limit of RIG_WAIT_MS --- */

struct rig_server {
    int fd;
    uint16_t port;
};
struct rig_server rig_listen(void);
int rig_accept(const struct rig_server *server);
int rig_connect(struct proxy_rig *rig);
int rig_connect_port(uint16_t port);
void rig_send(int fd, const char *text);
void rig_send_bytes(int fd, const char *data, size_t len);
/* Reads until text has arrived with the end of what was read; returns it all, NUL-terminated, in
 * static memory. */
const char *rig_read_until(int fd, const char *end);
/* Reads a message: head, and a body of content-length or chunked; in static memory. */
const char *rig_read_message(int fd);
/* Reads to the end of the connection (or its reset); in static memory. */
const char *rig_read_all(int fd);
/* Reads exactly len bytes and forgets them. */
void rig_skip(int fd, size_t len);
/* Fails unless nothing arrives for this long. */
void rig_expect_silence(int fd, int for_ms);
void rig_expect_closed(int fd);
/* Closes with a reset. */
void rig_reset(int fd);
/* What a client gets for a request, on a connection of its own. */
const char *rig_get(struct proxy_rig *rig, const char *request);

#define ck_assert_contains(text, part)                                                             \
    ck_assert_msg(strstr((text), (part)), "no \"%s\" in: %s", (part), (text))
#define ck_assert_lacks(text, part)                                                                \
    ck_assert_msg(!strstr((text), (part)), "\"%s\" in: %s", (part), (text))
#define ck_assert_begins(text, part)                                                               \
    ck_assert_msg(strncmp((text), (part), strlen(part)) == 0, "not \"%s\": %s", (part), (text))

#endif
