#include "dataplane/admin/admin.h"

#include "common/pbjson/pbjson.h"
#include "dataplane/config/stats.h"
#include "dataplane/upstream/breaker.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>

static struct fake_load load;
static struct loop *loop;
static struct admin *admin;
static struct pbjson_registry *registry;
static pthread_t thread;
static struct config config;
static struct config_cluster clusters[2];
static struct cluster_config users, orders;
static struct endpoints_config endpoints;
static struct host_config hosts[2];
static struct config_listener listeners[1];
static struct listener_config listener;
static enum admin_state state;
static const char *stale;
static bool has_control_plane;
static int drained, quitted;
static struct str listener_bytes, cluster_bytes;

static enum admin_state get_state(void *arg)
{
    (void)arg;
    return state;
}

static const char *get_stale(void *arg)
{
    (void)arg;
    return stale;
}

static const struct config *get_config(void *arg)
{
    (void)arg;
    return &config;
}

static void get_control_plane(void *arg, struct admin_control_plane *ret)
{
    (void)arg;
    *ret = (struct admin_control_plane){.is_configured = has_control_plane,
                                        .is_connected = true,
                                        .name = "weir-control \"a\"",
                                        .last_error = "UNAVAILABLE: away",
                                        .streams_opened = 3,
                                        .updates = {[ADMIN_CDS] = {5, 1}, [ADMIN_RDS] = {7, 2}},
                                        .resources_rejected = 4};
}

static uint64_t get_ignored_total(void *arg)
{
    (void)arg;
    return 12;
}

static void visit_ignored(void *arg, admin_ignored_fn *visit, void *visit_arg)
{
    (void)arg;
    visit("x.Cluster: field \"f\"", 9, "cluster users", visit_arg);
    visit("x.Listener: g", 3, "listener a", visit_arg);
}

static void get_node(void *arg, struct str *ret_id, struct str *ret_cluster)
{
    (void)arg;
    *ret_id = STR("proxy-\"1\"");
    *ret_cluster = STR("public");
}

static void drain(void *arg)
{
    (void)arg;
    drained++;
}

static void quit(void *arg)
{
    (void)arg;
    quitted++;
}

static void visit_resources(void *arg, admin_resource_fn *visit, void *visit_arg)
{
    (void)arg;
    const struct admin_resource rows[] = {
        {.type_url = STR("type.googleapis.com/envoy.config.cluster.v3.Cluster"),
         .name = STR("users"),
         .version = STR("v1"),
         .bytes = cluster_bytes,
         .updated_wall_us = 1795331452961000},
        {.type_url = STR("type.googleapis.com/envoy.config.cluster.v3.Cluster"),
         .name = STR("bad"),
         .version = STR("v1"),
         .bytes = cluster_bytes,
         .error = STR("no \"such\" thing"),
         .error_version = STR("v2")},
        {.type_url = STR("type.googleapis.com/envoy.config.cluster.v3.Cluster"),
         .name = STR("boot"),
         .bytes = cluster_bytes,
         .is_static = true},
        {.type_url = STR("type.googleapis.com/envoy.config.listener.v3.Listener"),
         .name = STR("public/http"),
         .version = STR("v1"),
         .bytes = listener_bytes},
        {.type_url = STR("type.googleapis.com/envoy.config.listener.v3.Listener"),
         .name = STR("awaited")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        visit(&rows[i], visit_arg);
}

static struct str packed(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(&load.arena, size + 1);
    protobuf_c_message_pack(message, bytes);
    return (struct str){.data = (const char *)bytes, .len = size};
}

/* A listener whose api_key_auth filter has a key, and one filter of a type nobody knows. */
static struct str listener_with_secrets(void)
{
    Google__Protobuf__Any key = GOOGLE__PROTOBUF__ANY__INIT, unknown = GOOGLE__PROTOBUF__ANY__INIT;
    struct str bytes = packed(fake_load_message(
        &load,
        pbjson_registry_find(registry, STR("envoy.extensions.filters.http.api_key_auth.v3."
                                           "ApiKeyAuth")),
        "{\"credentials\":[{\"key\":\"s3cret\",\"client\":\"alice\"}]}"));
    key.type_url =
        (char *)"type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth";
    key.value.data = (uint8_t *)bytes.data;
    key.value.len = bytes.len;
    unknown.type_url = (char *)"type.googleapis.com/no.such.Type";
    unknown.value.data = (uint8_t *)"hidden-too";
    unknown.value.len = 10;
    Envoy__Config__Listener__V3__Filter filters[2];
    Envoy__Config__Listener__V3__Filter *filter_list[] = {&filters[0], &filters[1]};
    for (int i = 0; i < 2; i++) {
        envoy__config__listener__v3__filter__init(&filters[i]);
        filters[i].config_type_case = ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG;
        filters[i].typed_config = i ? &unknown : &key;
    }
    Envoy__Config__Listener__V3__FilterChain chain =
                                                 ENVOY__CONFIG__LISTENER__V3__FILTER_CHAIN__INIT,
                                             *chains[] = {&chain};
    chain.filters = filter_list;
    chain.n_filters = 2;
    Envoy__Config__Listener__V3__Listener message = ENVOY__CONFIG__LISTENER__V3__LISTENER__INIT;
    message.name = (char *)"public/http";
    message.filter_chains = chains;
    message.n_filter_chains = 1;
    return packed(&message.base);
}

static void set_configuration(void)
{
    static const struct breaker_config breaker = {
        .is_enabled = true, .consecutive_failures = 1, .open_for_ms = 60000};
    users.name = STR("users");
    users.thresholds.connections_max = 1024;
    users.breaker = breaker;
    users.breaker_state = breaker_get(load.load.shared, users.name, &breaker);
    vec_append(&load.states, users.breaker_state);
    orders.name = STR("or\"der\\s\n<b>");
    hosts[0] = (struct host_config){.weight = 3, .is_healthy = true};
    hosts[0].address.text = STR("127.0.0.1:9001");
    hosts[1].address.text = STR("[::1]:9002");
    endpoints.hosts = hosts;
    endpoints.host_count = 2;
    clusters[0] = (struct config_cluster){.cluster = &users, .endpoints = &endpoints};
    clusters[1] = (struct config_cluster){.cluster = &orders};
    listener.name = STR("public/http");
    listener.address.text = STR("127.0.0.1:8080");
    listeners[0].listener = &listener;
    config = (struct config){
        .clusters = clusters, .cluster_count = 2, .listeners = listeners, .listener_count = 1};
}

static struct stats_scope *scope_of(bool is_cluster, struct str name)
{
    struct shared_state *shared = stats_scope_get(load.load.shared, is_cluster, name, 2);
    vec_append(&load.states, shared);
    return shared_state_object(shared);
}

static void set_statistics(void)
{
    static struct stats_latency latency;
    struct stats_scope *http = scope_of(false, STR("public_http"));
    struct stats_scope *cluster = scope_of(true, users.name);
    scope_of(true, orders.name);
    http->blocks[0].http.downstream_rq_total = 3;
    http->blocks[1].http.downstream_rq_total = 4;
    http->blocks[1].http.downstream_rq_2xx = 5;
    http->blocks[1].http.downstream_rq_4xx = 2;
    cluster->blocks[0].cluster.upstream_rq_total = 9;
    latency = (struct stats_latency){0};
    stats_latency_add(&latency, 700);
    stats_latency_add(&latency, 2000000000);
    cluster->blocks[1].latency = &latency;
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void setup(void)
{
    fake_load_init(&load);
    registry = pbjson_registry_new();
    pbjson_registry_add(registry, &envoy__config__cluster__v3__cluster__descriptor);
    pbjson_registry_add(registry, &envoy__config__listener__v3__listener__descriptor);
    pbjson_registry_add(
        registry, &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor);
    set_configuration();
    set_statistics();
    listener_bytes = listener_with_secrets();
    cluster_bytes = packed(fake_load_message(
        &load, &envoy__config__cluster__v3__cluster__descriptor, "{\"name\":\"users\"}"));
    state = ADMIN_LIVE;
    stale = NULL;
    drained = quitted = 0;
    loop = loop_new();
    struct admin_options options = {.loop = loop,
                                    .shared = load.load.shared,
                                    .registry = registry,
                                    .version = "1.2.3",
                                    .source = {.state = get_state,
                                               .stale = get_stale,
                                               .config = get_config,
                                               .node = get_node,
                                               .visit_resources = visit_resources,
                                               .control_plane = get_control_plane,
                                               .ignored_total = get_ignored_total,
                                               .visit_ignored = visit_ignored,
                                               .drain_listeners = drain,
                                               .quit = quit}};
    admin = admin_new(&options);
    struct errmsg msg;
    ck_assert_int_eq(admin_listen(admin, "127.0.0.1:0", &msg), 0);
    pthread_create(&thread, NULL, run_loop, loop);
}

static void teardown(void)
{
    loop_stop(loop);
    pthread_join(thread, NULL);
    admin_free(admin);
    loop_free(loop);
    /* It is static here; the scope would free it. */
    struct stats_scope *scope = scope_of(true, users.name);
    scope->blocks[1].latency = NULL;
    pbjson_registry_free(registry);
    fake_load_done(&load);
}

/* Status line, headers and body of an answer. */
static const char *ask(const char *method, const char *path)
{
    static char text[256 * 1024];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(admin_port(admin))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    dprintf(fd,
            "%s %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            method, path);
    size_t len = 0;
    ssize_t got;
    while ((got = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(fd);
    return text;
}

static void expect(const char *method, const char *path, const char *status,
                   const char *const *parts)
{
    const char *answer = ask(method, path);
    ck_assert_msg(!strncmp(answer, status, strlen(status)), "%s: %s", path, answer);
    for (; *parts; parts++)
        ck_assert_msg(strstr(answer, *parts) != NULL, "%s has no %s:\n%s", path, *parts, answer);
}
#define EXPECT(method, path, status, ...)                                                          \
    expect(method, path, "HTTP/1.1 " status, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(readiness_says_the_state_and_whether_it_is_stale)
{
    setup();
    EXPECT("GET", "/ready", "200", "\r\n\r\nLIVE\n");
    stale = "no answer since\n12:00";
    EXPECT("GET", "/ready", "200", "\r\n\r\nLIVE\nstale: no answer since 12:00\n");
    stale = NULL;
    state = ADMIN_INITIALIZING;
    EXPECT("GET", "/ready", "503", "INITIALIZING\n");
    state = ADMIN_LIVE;
    EXPECT("POST", "/healthcheck/fail", "200", "OK\n");
    EXPECT("GET", "/ready", "503", "HEALTHCHECK_FAILED\n");
    EXPECT("POST", "/healthcheck/ok", "200", "OK\n");
    EXPECT("GET", "/ready", "200", "LIVE\n");
    teardown();
}
END_TEST

START_TEST(what_changes_something_must_be_posted)
{
    setup();
    EXPECT("GET", "/drain_listeners", "405", "");
    EXPECT("GET", "/quitquitquit", "405", "");
    EXPECT("GET", "/healthcheck/fail", "405", "");
    ck_assert_int_eq(drained + quitted, 0);
    EXPECT("POST", "/drain_listeners", "200", "OK\n");
    EXPECT("POST", "/quitquitquit", "200", "OK\n");
    ck_assert_int_eq(drained, 1);
    ck_assert_int_eq(quitted, 1);
    EXPECT("POST", "/logging?level=nothing", "400", "level must be");
    EXPECT("POST", "/logging?level=error", "200", "error");
    EXPECT("POST", "/logging", "200", "error");
    EXPECT("POST", "/reopen_logs", "404", "");
    teardown();
}
END_TEST

START_TEST(statistics_are_summed_over_the_workers)
{
    setup();
    EXPECT("GET", "/stats", "200", "http.public_http.downstream_rq_total: 7\n",
           "cluster.users.upstream_rq_total: 9\n", "cluster.users.membership_total: 2\n",
           "cluster.users.membership_healthy: 1\n", "cluster.users.breaker_state: 0\n",
           "server.live: 1\n", "cluster.or\"der\\s <b>.upstream_rq_total: 0\n",
           "cluster.users.upstream_rq_time: P0(nan,", "text/plain");
    const char *answer = ask("GET", "/stats?filter=rq_total$&usedonly");
    ck_assert_ptr_nonnull(strstr(answer, "cluster.users.upstream_rq_total: 9\n"));
    ck_assert_ptr_null(strstr(answer, "der"));
    ck_assert_ptr_null(strstr(answer, "membership"));
    EXPECT("GET", "/stats?filter=%28%3F%3Da%29", "400", "Invalid regex");
    char path[9000] = "/stats?filter=";
    memset(path + strlen(path), 'x', sizeof path - strlen(path) - 1);
    path[sizeof path - 1] = '\0';
    ck_assert_int_eq(strncmp(ask("GET", path), "HTTP/1.1 400 ", 13), 0);
    EXPECT("GET", "/stats?format=json&filter=users.upstream_rq_t", "200",
           "{\"stats\":[{\"name\":\"cluster.users.upstream_rq_total\",\"value\":9},",
           "\"computed_quantiles\":[{\"name\":\"cluster.users.upstream_rq_time\"");
    teardown();
}
END_TEST

START_TEST(prometheus_gets_envoys_names_and_escaped_labels)
{
    setup();
    EXPECT("GET", "/stats/prometheus", "200",
           "# TYPE envoy_http_downstream_rq_total counter\n"
           "envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"public_http\"} 7\n",
           "# TYPE envoy_http_downstream_rq_xx counter\n",
           "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\","
           "envoy_http_conn_manager_prefix=\"public_http\"} 5\n",
           "# TYPE envoy_cluster_upstream_cx_active gauge\n",
           "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"users\"} 9\n",
           "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"or\\\"der\\\\s\\n<b>\"} 0\n",
           "weir_cluster_breaker_state{envoy_cluster_name=\"users\"} 0\n",
           "# TYPE envoy_cluster_upstream_rq_time histogram\n",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"users\",le=\"0.5\"} 0\n",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"users\",le=\"1\"} 1\n",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"users\",le=\"+Inf\"} 2\n",
           "envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"users\"} 2000000.700\n",
           "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"users\"} 2\n");
    const char *answer = ask("GET", "/stats?format=prometheus");
    const char *first = strstr(answer, "# TYPE envoy_http_downstream_rq_xx");
    ck_assert_ptr_null(strstr(first + 1, "# TYPE envoy_http_downstream_rq_xx"));
    teardown();
}
END_TEST

START_TEST(an_open_breaker_shows)
{
    setup();
    struct breaker *breaker = shared_state_object(users.breaker_state);
    struct breaker_ticket ticket;
    enum breaker_state breaker_state;
    uint64_t now_ms = loop ? 1000000000000 : 0;
    ck_assert(breaker_admit(breaker, &users.breaker, now_ms, &ticket));
    breaker_report(breaker, &users.breaker, ticket, BREAKER_FAILURE, now_ms, &breaker_state);
    EXPECT("GET", "/stats", "200", "cluster.users.breaker_state: 2\n");
    EXPECT("GET", "/clusters", "200", "users::breaker::state::open\n");
    teardown();
}
END_TEST

/* Both workers answer, each with no cluster of its own; the hosts are those of the configuration.
 */
START_TEST(workers_are_asked_for_their_hosts)
{
    setup();
    struct loop *main_loop = loop_new();
    struct worker_pool_options options = {.workers = 2, .main_loop = main_loop};
    struct worker_pool *pool = worker_pool_new(&options);
    struct admin_options admin_options = {.loop = loop,
                                          .workers = pool,
                                          .shared = load.load.shared,
                                          .source = {.config = get_config}};
    struct admin *idle = admin;
    struct errmsg msg;
    admin = admin_new(&admin_options);
    ck_assert_int_eq(admin_listen(admin, "127.0.0.1:0", &msg), 0);
    const char *answer = ask("GET", "/clusters");
    ck_assert_ptr_nonnull(strstr(answer, "users::127.0.0.1:9001::rq_total::0\n"));
    ck_assert_ptr_null(strstr(answer, "did not answer"));
    EXPECT("GET", "/stats", "200", "server.concurrency: 2\n");
    struct admin *asking = admin;
    admin = idle;
    loop_stop(loop);
    pthread_join(thread, NULL);
    admin_free(asking);
    worker_pool_free(pool);
    loop_free(main_loop);
    pthread_create(&thread, NULL, run_loop, loop);
    teardown();
}
END_TEST

START_TEST(clusters_and_listeners_are_listed_as_envoy_lists_them)
{
    setup();
    EXPECT("GET", "/clusters", "200", "users::observability_name::users\n",
           "users::default_priority::max_connections::1024\n", "users::breaker::state::closed\n",
           "users::127.0.0.1:9001::health_flags::healthy\n", "users::127.0.0.1:9001::weight::3\n",
           "users::[::1]:9002::health_flags::/failed_eds_health\n");
    EXPECT("GET", "/listeners", "200", "public/http::127.0.0.1:8080\n");
    EXPECT("GET", "/listeners?format=json", "200", "\"port_value\": 8080", "\"127.0.0.1\"");
    EXPECT("GET", "/server_info", "200", "\"state\": \"LIVE\"", "\"version\": \"1.2.3\"",
           "\"id\": \"proxy-\\\"1\\\"\"", "\"cluster\": \"public\"");
    EXPECT("GET", "/", "200", "/config_dump", "text/plain");
    teardown();
}
END_TEST

START_TEST(the_dump_has_envoys_sections_and_no_secrets)
{
    setup();
    EXPECT("GET", "/config_dump", "200",
           "{\"@type\":\"type.googleapis.com/envoy.admin.v3.ClustersConfigDump\"",
           "\"static_clusters\":[", "\"dynamic_active_clusters\":[", "\"version_info\":\"v1\"",
           "\"last_updated\":\"2026-11-22T07:10:52.961Z\"",
           "\"error_state\":{\"details\":\"no \\\"such\\\" thing\",\"version_info\":\"v2\"}",
           "\"client_status\":\"NACKED\"", "\"client_status\":\"ACKED\"",
           "\"client_status\":\"REQUESTED\"", "\"active_state\":{",
           "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
           "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "\"key\":\"[redacted]\"", "alice",
           "no.such.Type", "application/json");
    const char *answer = ask("GET", "/config_dump");
    ck_assert_ptr_null(strstr(answer, "s3cret"));
    ck_assert_ptr_null(strstr(answer, "aGlkZGVuLXRvbw")); /* base64 of what nobody can decode */
    ck_assert_ptr_null(strstr(answer, "EndpointsConfigDump"));
    /* It is JSON: our own parser takes it for a Struct. */
    ProtobufCMessage *parsed;
    struct errmsg msg;
    int err =
        pbjson_parse(&google__protobuf__struct__descriptor,
                     str_from(strstr(answer, "\r\n\r\n") + 4), NULL, &load.arena, &parsed, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    EXPECT("GET", "/config_dump?include_eds", "200", "EndpointsConfigDump");
    teardown();
}
END_TEST

/* It is JSON: our own parser takes it for a Struct. */
static void expect_json(const char *path)
{
    ProtobufCMessage *parsed;
    struct errmsg msg = {.text = ""};
    int err = pbjson_parse(&google__protobuf__struct__descriptor,
                           str_from(strstr(ask("GET", path), "\r\n\r\n") + 4), NULL, &load.arena,
                           &parsed, &msg);
    ck_assert_msg(err == 0, "%s: %s", path, msg.text);
}

START_TEST(the_control_plane_has_a_page_and_envoys_counters)
{
    has_control_plane = true;
    setup();
    EXPECT("GET", "/stats", "200", "control_plane.connected_state: 1\n",
           "cluster_manager.cds.update_success: 5\n", "cluster_manager.cds.update_rejected: 1\n",
           "listener_manager.lds.update_success: 0\n", "xds.rds.update_rejected: 2\n",
           "xds.resources_rejected: 4\n", "xds.fields_ignored: 12\n");
    EXPECT("GET", "/stats/prometheus", "200",
           "# TYPE envoy_control_plane_connected_state gauge\n"
           "envoy_control_plane_connected_state{} 1\n",
           "# TYPE envoy_cluster_manager_cds_update_success counter\n"
           "envoy_cluster_manager_cds_update_success{} 5\n",
           "weir_xds_fields_ignored{} 12\n");
    EXPECT("GET", "/control_plane", "200", "\"connected\": true", "\"current\": false",
           "UNAVAILABLE: away", "\"rds\": {\"update_success\": 7, \"update_rejected\": 2}",
           "application/json");
    expect_json("/control_plane");
    has_control_plane = false;
    ck_assert_ptr_null(strstr(ask("GET", "/stats"), "connected_state"));
    EXPECT("GET", "/control_plane", "200", "\"configured\": false");
    teardown();
}
END_TEST

START_TEST(what_is_ignored_is_listed)
{
    setup();
    EXPECT("GET", "/unsupported_fields", "200", "\"total\": 12",
           "{\"field\": \"x.Cluster: field \\\"f\\\"\", \"count\": 9, \"first_resource\": "
           "\"cluster users\"}",
           "x.Listener: g", "application/json");
    expect_json("/unsupported_fields");
    teardown();
}
END_TEST

TEST_MAIN("admin", readiness_says_the_state_and_whether_it_is_stale,
          what_changes_something_must_be_posted, statistics_are_summed_over_the_workers,
          prometheus_gets_envoys_names_and_escaped_labels, an_open_breaker_shows,
          workers_are_asked_for_their_hosts, clusters_and_listeners_are_listed_as_envoy_lists_them,
          the_dump_has_envoys_sections_and_no_secrets,
          the_control_plane_has_a_page_and_envoys_counters, what_is_ignored_is_listed)
