#include "tests/support/proxy_rig.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/pbjson/pbjson.h"
#include "dataplane/filters/router.h"
#include "dataplane/filters/table.h"
#include "dataplane/route/route.h"
#include "dataplane/upstream/breaker.h"
#include "dataplane/upstream/limits.h"
#include "dataplane/upstream/load_balancer.h"
#include "dataplane/upstream/outlier.h"
#include "tests/support/loop_until.h"
#include "tests/support/port.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 1024 * 1024 };

const char rig_routes_to_a[] =
    "name: r\n"
    "virtual_hosts: [{name: v, domains: ['*'], routes: [{name: to-a, match: {prefix: /},"
    " route: {cluster: a, timeout: 15s}}]}]\n";

/* --- the rig --------------------------------------------------------------------------------- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void set_address(struct arena *arena, struct address *address, uint16_t port)
{
    address->v4 = loopback(port);
    address->len = sizeof address->v4;
    address->text = str_from(arena_printf(arena, "127.0.0.1:%u", port));
}

struct proxy_rig *proxy_rig_new(uint32_t workers)
{
    struct proxy_rig *rig = MEM_NEW(struct proxy_rig);
    rig->main_loop = loop_new();
    rig->shared = shared_registry_new();
    rig->cluster_slots = name_slots_new();
    rig->filter_slots = name_slots_new();
    rig->workers = workers;
    rig->port = reserve_port();
    struct worker_pool_options options = {.workers = workers, .main_loop = rig->main_loop};
    rig->pool = worker_pool_new(&options);
    return rig;
}

void proxy_rig_free(struct proxy_rig *rig)
{
    worker_pool_free(rig->pool);
    config_unref(rig->config);
    loop_free(rig->main_loop); /* takes the leases back */
    ck_assert_uint_eq(name_slots_count(rig->cluster_slots) < RIG_CLUSTERS_MAX * 64, 1);
    name_slots_free(rig->cluster_slots);
    name_slots_free(rig->filter_slots);
    shared_registry_free(rig->shared); /* asserts that nothing is left */
    mem_free(rig);
}

/* --- configurations -------------------------------------------------------------------------- */

static void add_router(struct proxy_rig *rig, struct listener_config *listener)
{
    Envoy__Extensions__Filters__Http__Router__V3__Router router =
        ENVOY__EXTENSIONS__FILTERS__HTTP__ROUTER__V3__ROUTER__INIT;
    router.suppress_envoy_headers = true;
    struct filter_load load = {.arena = &listener->arena, .shared = rig->shared};
    listener->filters = ARENA_NEW(&listener->arena, struct filter_config);
    listener->filter_count = 1;
    listener->filters->type = &router_filter;
    listener->filters->name_slot = name_slots_acquire(rig->filter_slots, STR("router"));
    ck_assert_int_eq(router_filter.load(&load, &router.base, &listener->filters->config, NULL), 0);
}

struct rig_config *rig_config_new(struct proxy_rig *rig)
{
    struct rig_config *config = MEM_NEW(struct rig_config);
    struct listener_config *listener = listener_config_new();
    config->rig = rig;
    config->listener = listener;
    listener->name = STR("test");
    set_address(&listener->arena, &listener->address, rig->port);
    listener->slots = rig->filter_slots;
    listener->connection_buffer_bytes = 64 * 1024;
    listener->tcp_backlog = 128;
    listener->stat_prefix = STR("test");
    listener->stats = stats_scope_get(rig->shared, false, STR("test"), rig->workers);
    listener->request_head_bytes_max = 60 * 1024;
    listener->request_headers_max = 100;
    listener->idle_timeout_ms = 3600 * 1000;
    listener->request_headers_timeout_ms = 10000;
    listener->stream_idle_timeout_ms = 300 * 1000;
    listener->drain_timeout_ms = 5000;
    listener->server_name = STR("weir");
    listener->use_remote_address = true;
    listener->generate_request_id = true;
    listener->path.normalizes = listener->path.merges_slashes = true;
    listener->path.escaped_slashes = PATH_ESCAPED_SLASHES_REJECT_REQUEST;
    listener->underscores = UNDERSCORE_DROP;
    add_router(rig, listener);
    return config;
}

void rig_config_routes(struct rig_config *config, const char *yaml)
{
    struct arena arena;
    arena_init(&arena, 4096);
    ProtobufCMessage *message;
    struct errmsg msg;
    if (pbjson_parse_yaml(&envoy__config__route__v3__route_configuration__descriptor,
                          str_from(yaml), NULL, &arena, &message, &msg))
        ck_abort_msg("%s", msg.text);
    struct route_table_options options = {
        .cluster_slots = config->rig->cluster_slots,
        .filter_slots = config->rig->filter_slots,
        .shared = config->rig->shared,
        .load_filter = filter_table_load_route,
        .workers = config->rig->workers,
    };
    route_table_unref(config->routes);
    if (route_table_new((const void *)message, &options, &config->routes, &msg))
        ck_abort_msg("%s", msg.text);
    arena_done(&arena);
}

static struct endpoints_config *make_endpoints(const char *name, const uint16_t *ports,
                                               uint32_t count)
{
    struct endpoints_config *endpoints = endpoints_config_new();
    endpoints->name = str_from(arena_copy_string(&endpoints->arena, name));
    endpoints->hosts = arena_alloc_array(&endpoints->arena, count, sizeof *endpoints->hosts);
    endpoints->host_count = count;
    for (uint32_t i = 0; i < count; i++) {
        set_address(&endpoints->arena, &endpoints->hosts[i].address, ports[i]);
        endpoints->hosts[i].weight = 1;
        endpoints->hosts[i].is_healthy = true;
    }
    return endpoints;
}

struct cluster_config *rig_config_cluster(struct rig_config *config, const char *name,
                                          const uint16_t *ports, uint32_t count)
{
    struct proxy_rig *rig = config->rig;
    struct cluster_config *cluster = cluster_config_new();
    ck_assert_uint_lt(config->cluster_count, RIG_CLUSTERS_MAX);
    config->clusters[config->cluster_count++] = cluster;
    cluster->name = str_from(arena_copy_string(&cluster->arena, name));
    cluster->slots = rig->cluster_slots;
    cluster->slot = name_slots_acquire(rig->cluster_slots, cluster->name);
    cluster->endpoints = make_endpoints(name, ports, count);
    cluster->load_balancer = &round_robin_balancer;
    cluster->connect_timeout_ms = 5000;
    cluster->idle_timeout_ms = 3600 * 1000;
    cluster->connection_buffer_bytes = 64 * 1024;
    cluster->healthy_panic_threshold_percent = 50;
    cluster->thresholds = (struct cluster_thresholds){1024, 1024, 1024, 3};
    cluster->stats = stats_scope_get(rig->shared, true, cluster->name, rig->workers);
    cluster->limits = cluster_limits_get(rig->shared, cluster->name);
    return cluster;
}

void rig_cluster_breaker(struct rig_config *config, struct cluster_config *cluster,
                         struct breaker_config breaker)
{
    cluster->breaker = breaker;
    cluster->breaker.is_enabled = true;
    cluster->breaker_state = breaker_get(config->rig->shared, cluster->name, &breaker);
}

void rig_cluster_outlier(struct rig_config *config, struct cluster_config *cluster,
                         struct outlier_config outlier)
{
    cluster->outlier = outlier;
    cluster->outlier.is_enabled = true;
    cluster->outlier_state = outlier_get(config->rig->shared, cluster->name);
}

static bool is_current(void *arg)
{
    return worker_pool_is_current(arg);
}

static void publish(struct proxy_rig *rig, struct config *config)
{
    config->generation = ++rig->generation;
    config_publish(rig->pool, config);
    config_unref(rig->config);
    rig->config = config;
    ck_assert(loop_until(rig->main_loop, RIG_WAIT_MS, is_current, rig->pool));
}

void rig_publish(struct proxy_rig *rig, struct rig_config *made)
{
    struct config *config = config_new(1, made->cluster_count);
    config->listeners[0].listener = made->listener;
    config->listeners[0].routes = made->routes;
    for (uint32_t i = 0; i < made->cluster_count; i++)
        config->clusters[i].cluster = made->clusters[i];
    mem_free(made);
    publish(rig, config);
}

void rig_publish_nothing(struct proxy_rig *rig)
{
    publish(rig, config_new(0, 0));
}

/* --- statistics ------------------------------------------------------------------------------ */

static uint64_t sum(struct shared_state *state, size_t offset)
{
    struct stats_scope *scope = shared_state_object(state);
    uint64_t total = 0;
    for (uint32_t i = 0; i < scope->workers; i++)
        total += stat_read((const uint64_t *)((const char *)&scope->blocks[i].http + offset));
    return total;
}

uint64_t rig_http_stat(struct proxy_rig *rig, size_t offset)
{
    struct shared_state *state = stats_scope_get(rig->shared, false, STR("test"), rig->workers);
    uint64_t total = sum(state, offset);
    shared_state_unref(state);
    return total;
}

uint64_t rig_cluster_stat(struct proxy_rig *rig, const char *cluster, size_t offset)
{
    struct shared_state *state =
        stats_scope_get(rig->shared, true, str_from(cluster), rig->workers);
    uint64_t total = sum(state, offset);
    shared_state_unref(state);
    return total;
}

void rig_await_cluster_stat(struct proxy_rig *rig, const char *cluster, size_t offset,
                            uint64_t value)
{
    for (uint64_t end = clock_monotonic_ms() + RIG_WAIT_MS; clock_monotonic_ms() < end;) {
        if (rig_cluster_stat(rig, cluster, offset) == value)
            return;
        usleep(1000);
    }
    ck_assert_uint_eq(rig_cluster_stat(rig, cluster, offset), value);
}

void rig_await_http_stat(struct proxy_rig *rig, size_t offset, uint64_t value)
{
    for (uint64_t end = clock_monotonic_ms() + RIG_WAIT_MS; clock_monotonic_ms() < end;) {
        if (rig_http_stat(rig, offset) == value)
            return;
        usleep(1000);
    }
    ck_assert_uint_eq(rig_http_stat(rig, offset), value);
}

/* --- sockets --------------------------------------------------------------------------------- */

static void limit_time(int fd)
{
    struct timeval limit = {.tv_sec = RIG_WAIT_MS / 1000};
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

struct rig_server rig_listen(void)
{
    struct rig_server server = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    limit_time(server.fd);
    ck_assert_int_eq(bind(server.fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(server.fd, 128), 0);
    ck_assert_int_eq(getsockname(server.fd, (struct sockaddr *)&address, &len), 0);
    server.port = ntohs(address.sin_port);
    return server;
}

int rig_accept(const struct rig_server *server)
{
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_msg(fd >= 0, "nobody connected: %s", strerror(errno));
    limit_time(fd);
    return fd;
}

int rig_connect_port(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(port);
    limit_time(fd);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s",
                  strerror(errno));
    return fd;
}

int rig_connect(struct proxy_rig *rig)
{
    return rig_connect_port(rig->port);
}

void rig_send_bytes(int fd, const char *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);
        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        sent += (size_t)n;
    }
}

void rig_send(int fd, const char *text)
{
    rig_send_bytes(fd, text, strlen(text));
}

static char answer[ANSWER_BYTES_MAX];

/* One byte more; false at the end of the connection. */
static bool read_byte(int fd, size_t *len)
{
    ck_assert_uint_lt(*len, sizeof answer - 1);
    ssize_t n = recv(fd, answer + *len, 1, 0);
    ck_assert_msg(n >= 0 || errno == ECONNRESET, "nothing came behind: %.*s", (int)*len, answer);
    if (n <= 0)
        return false;
    answer[++*len] = '\0';
    return true;
}

static void read_until_from(int fd, const char *end, size_t *len)
{
    size_t end_len = strlen(end), from = *len;
    while (*len - from < end_len || memcmp(answer + *len - end_len, end, end_len) != 0)
        ck_assert_msg(read_byte(fd, len), "the connection ended behind: %.*s", (int)*len, answer);
}

const char *rig_read_until(int fd, const char *end)
{
    size_t len = 0;
    answer[0] = '\0';
    read_until_from(fd, end, &len);
    return answer;
}

const char *rig_read_message(int fd)
{
    size_t len = 0;
    answer[0] = '\0';
    read_until_from(fd, "\r\n\r\n", &len);
    const char *length = strcasestr(answer, "\r\ncontent-length: ");
    if (strcasestr(answer, "\r\ntransfer-encoding: chunked")) {
        while (true) {
            size_t line = len;
            read_until_from(fd, "\r\n", &len);
            unsigned long size = strtoul(answer + line, NULL, 16);
            for (unsigned long i = 0; i < size + 2; i++)
                ck_assert(read_byte(fd, &len));
            if (!size)
                return answer;
        }
    }
    unsigned long body = length ? strtoul(length + 18, NULL, 10) : 0;
    for (unsigned long i = 0; i < body; i++)
        ck_assert_msg(read_byte(fd, &len), "the body ended behind: %.*s", (int)len, answer);
    return answer;
}

const char *rig_read_all(int fd)
{
    size_t len = 0;
    answer[0] = '\0';
    while (read_byte(fd, &len))
        ;
    return answer;
}

void rig_skip(int fd, size_t len)
{
    static char bytes[64 * 1024];
    while (len) {
        ssize_t n = recv(fd, bytes, len < sizeof bytes ? len : sizeof bytes, 0);
        ck_assert_msg(n > 0, "%zu bytes are missing: %s", len, n ? strerror(errno) : "closed");
        len -= (size_t)n;
    }
}

void rig_expect_silence(int fd, int for_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&poll_fd, 1, for_ms), 0);
}

void rig_expect_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    ck_assert_msg(n == 0 || (n < 0 && errno == ECONNRESET), "not closed: %zd %s", n,
                  strerror(errno));
    close(fd);
}

void rig_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

const char *rig_get(struct proxy_rig *rig, const char *request)
{
    int client = rig_connect(rig);
    rig_send(client, request);
    const char *text = rig_read_message(client);
    close(client);
    return text;
}
