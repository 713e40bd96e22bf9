/* weir-proxy: flags, wiring, signals; the rest is elsewhere. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "dataplane/admin/admin.h"
#include "dataplane/http/access_log.h"
#include "dataplane/listener/worker.h"
#include "dataplane/options.h"
#include "dataplane/xds/ads_client.h"
#include "dataplane/xds/bootstrap.h"
#include "dataplane/xds/ignored_fields.h"
#include "dataplane/xds/last_good.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    /* How long the control plane has to answer before the copy on disk is used. */
    LAST_GOOD_WAIT_MS = 1000,
    SIGNALS = 3,
};
#define ADMIN_ADDRESS "127.0.0.1:9901"

struct proxy {
    struct options options;
    struct loop *loop;
    struct pbjson_registry *types;
    struct bootstrap *bootstrap;
    struct decode_context decode;
    struct access_log_writer *log_writer;
    struct worker_pool *workers; /* NULL where the configuration is only checked */
    struct store *store;
    struct rpc_runtime *runtime;
    struct rpc_credentials *credentials;
    struct ads_client *ads;
    struct last_good *last_good;
    struct admin *admin;
    struct loop_timer last_good_wait;
    struct event *signals[SIGNALS];
    bool is_stopping, drain_has_begun, drain_is_over;
    char stale[512]; /* the sentence given to the admin pages */
};

/* --- what the store does ---------------------------------------------------------------------- */

static int on_bind(void *arg, const struct listener_config *listener, struct errmsg *msg)
{
    struct proxy *proxy = arg;
    bool is_serving = proxy->workers && !proxy->drain_has_begun;
    return is_serving ? worker_pool_bind(proxy->workers, listener, msg) : 0;
}

static void on_publish(void *arg, struct config *config)
{
    struct proxy *proxy = arg;
    /* What comes after a drain has begun would open its listeners again. */
    if (proxy->workers && !proxy->drain_has_begun)
        config_publish(proxy->workers, config);
}

static void on_subscribe(void *arg, enum xds_type type, struct str name)
{
    struct proxy *proxy = arg;
    if (proxy->ads)
        ads_client_subscribe(proxy->ads, type, name);
}

static void on_unsubscribe(void *arg, enum xds_type type, struct str name)
{
    struct proxy *proxy = arg;
    if (proxy->ads)
        ads_client_unsubscribe(proxy->ads, type, name);
}

static void on_changed(void *arg)
{
    struct proxy *proxy = arg;
    if (proxy->last_good && store_is_complete(proxy->store))
        last_good_note_change(proxy->last_good);
}

/* --- what the admin pages ask ----------------------------------------------------------------- */

static enum admin_state admin_state_of(void *arg)
{
    const struct proxy *proxy = arg;
    if (proxy->is_stopping)
        return ADMIN_DRAINING;
    return store_is_live(proxy->store) ? ADMIN_LIVE : ADMIN_INITIALIZING;
}

static const char *stale_reason(void *arg)
{
    struct proxy *proxy = arg;
    if (!proxy->ads || !store_is_live(proxy->store))
        return NULL;
    struct ads_status status = ads_client_status(proxy->ads);
    if (status.is_current)
        return NULL;
    uint64_t since_s = (clock_monotonic_ms() - status.lost_at_ms) / 1000;
    snprintf(proxy->stale, sizeof proxy->stale,
             "no control plane for %llu s (%s); serving the configuration %s",
             (unsigned long long)since_s, status.last_error[0] ? status.last_error : "no answer",
             status.has_answered ? "received last" : "kept on disk");
    return proxy->stale;
}

static const struct config *current_config(void *arg)
{
    const struct proxy *proxy = arg;
    return store_config(proxy->store);
}

static const ProtobufCMessage *bootstrap_message_of(void *arg)
{
    const struct proxy *proxy = arg;
    return &proxy->bootstrap->message->base;
}

struct admin_visit {
    admin_resource_fn *visit;
    void *arg;
};

static void visit_resource(const struct store_view *view, void *arg)
{
    const struct admin_visit *visit = arg;
    struct admin_resource resource = {.type_url = xds_type_url(view->type),
                                      .name = view->name,
                                      .version = view->version,
                                      .bytes = view->bytes,
                                      .updated_wall_us = view->updated_wall_us,
                                      .is_static = view->is_static,
                                      .is_warming = view->is_warming,
                                      .error = view->error,
                                      .error_version = view->error_version};
    visit->visit(&resource, visit->arg);
}

static void visit_resources(void *arg, admin_resource_fn *visit, void *visit_arg)
{
    const struct proxy *proxy = arg;
    struct admin_visit forward = {.visit = visit, .arg = visit_arg};
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++)
        store_visit(proxy->store, type, visit_resource, &forward);
}

static void node_names(void *arg, struct str *ret_id, struct str *ret_cluster)
{
    const struct proxy *proxy = arg;
    *ret_id = str_from(proxy->bootstrap->message->node->id);
    *ret_cluster = str_from(proxy->bootstrap->message->node->cluster);
}

static void control_plane_of(void *arg, struct admin_control_plane *ret)
{
    static const enum xds_type types[ADMIN_FEEDS] = {[ADMIN_CDS] = XDS_CLUSTER,
                                                     [ADMIN_EDS] = XDS_ENDPOINTS,
                                                     [ADMIN_LDS] = XDS_LISTENER,
                                                     [ADMIN_RDS] = XDS_ROUTES};
    const struct proxy *proxy = arg;
    *ret = (struct admin_control_plane){.is_configured = proxy->ads != NULL,
                                        .resources_rejected = store_rejected_total(proxy->store)};
    if (!proxy->ads)
        return;
    struct ads_status status = ads_client_status(proxy->ads);
    ret->is_connected = status.is_connected;
    ret->is_current = status.is_current;
    ret->name = status.control_plane;
    ret->last_error = status.last_error;
    ret->streams_opened = status.connects_total;
    for (int i = 0; i < ADMIN_FEEDS; i++)
        ret->updates[i] =
            (struct admin_updates){status.accepted[types[i]], status.rejected[types[i]]};
}

static uint64_t ignored_total(void *arg)
{
    const struct proxy *proxy = arg;
    return ignored_fields_total(proxy->decode.ignored);
}

static void visit_ignored(void *arg, admin_ignored_fn *visit, void *visit_arg)
{
    const struct proxy *proxy = arg;
    ignored_fields_visit(proxy->decode.ignored, visit, visit_arg);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_drained(void *arg)
{
    struct proxy *proxy = arg;
    log_info("drained");
    proxy->drain_is_over = true;
    if (proxy->is_stopping)
        loop_stop(proxy->loop);
}

static void drain_listeners(void *arg)
{
    struct proxy *proxy = arg;
    if (proxy->drain_has_begun)
        return;
    proxy->drain_has_begun = true;
    log_info("draining timeout_ms=%llu", (unsigned long long)proxy->options.drain_time_ms);
    worker_pool_drain(proxy->workers, proxy->options.drain_time_ms, on_drained, proxy);
}

/* The second time, or with nothing left to drain, it stops at once. */
static void stop_serving(void *arg)
{
    struct proxy *proxy = arg;
    if (proxy->is_stopping || proxy->drain_is_over)
        loop_stop(proxy->loop);
    proxy->is_stopping = true;
    drain_listeners(proxy);
}

/* --- signals and logs ------------------------------------------------------------------------- */

/* Makes standard error the log file, also again after it was moved away. */
static int open_log(const char *path, struct errmsg *msg)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return errmsg_set(msg, ERR_IO, "--log-path: %s: %s", path, strerror(errno));
    dup2(fd, STDERR_FILENO);
    close(fd);
    return 0;
}

static void reopen_logs(struct proxy *proxy)
{
    struct errmsg msg;
    access_log_writer_reopen(proxy->log_writer);
    if (proxy->options.log_path && open_log(proxy->options.log_path, &msg))
        log_error("log_not_reopened reason=\"%s\"", msg.text);
    log_info("logs_reopened");
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct proxy *proxy = arg;
    (void)what;
    if (number == SIGUSR1)
        reopen_logs(proxy);
    else
        stop_serving(proxy);
}

static void catch_signals(struct proxy *proxy)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGUSR1};
    for (int i = 0; i < SIGNALS; i++) {
        proxy->signals[i] =
            evsignal_new(loop_event_base(proxy->loop), numbers[i], on_signal, proxy);
        event_add(proxy->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void name_node(struct proxy *proxy)
{
    struct bootstrap *bootstrap = proxy->bootstrap;
    Envoy__Config__Core__V3__Node *node = bootstrap->message->node;
    const struct options *options = &proxy->options;
    const char *cluster = options->gateway ? options->gateway : options->service_cluster;
    char host[256] = "weir-proxy";
    if (options->service_node)
        node->id = arena_copy_string(&bootstrap->arena, options->service_node);
    else if (!node->id[0] && gethostname(host, sizeof host - 1) == 0)
        node->id = arena_copy_string(&bootstrap->arena, host);
    if (cluster)
        node->cluster = arena_copy_string(&bootstrap->arena, cluster);
    node->user_agent_name = arena_copy_string(&bootstrap->arena, "weir-proxy");
    node->user_agent_version = arena_copy_string(&bootstrap->arena, WEIR_PROXY_VERSION);
    node->user_agent_version_type_case =
        ENVOY__CONFIG__CORE__V3__NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_VERSION;
}

static int read_bootstrap(struct proxy *proxy, struct errmsg *msg)
{
    const struct options *options = &proxy->options;
    int err;
    if (options->config_path)
        err = bootstrap_read(options->config_path, proxy->types, &proxy->bootstrap, msg);
    else
        err = bootstrap_new(str_from(options->config_yaml ? options->config_yaml : "{}"),
                            proxy->types, &proxy->bootstrap, msg);
    if (err)
        return err;
    if (options->control) {
        proxy->bootstrap->ads = (struct bootstrap_ads){.is_set = true,
                                                       .target = options->control,
                                                       .wants_listeners = true,
                                                       .wants_clusters = true};
        proxy->bootstrap->ads_cluster = STR("");
    }
    name_node(proxy);
    ignored_fields_scan(proxy->decode.ignored, STR("bootstrap"), &proxy->bootstrap->message->base);
    return 0;
}

static void make_decode_context(struct proxy *proxy)
{
    proxy->types = xds_types_registry_new();
    proxy->log_writer = access_log_writer_new(proxy->options.workers);
    proxy->decode = (struct decode_context){.cluster_slots = name_slots_new(),
                                            .filter_slots = name_slots_new(),
                                            .shared = shared_registry_new(),
                                            .types = proxy->types,
                                            .ignored = ignored_fields_new(proxy->types),
                                            .log_writer = proxy->log_writer,
                                            .workers = proxy->options.workers};
}

static void make_store(struct proxy *proxy)
{
    struct store_options options = {.loop = proxy->loop,
                                    .decode = &proxy->decode,
                                    .output = {.arg = proxy,
                                               .bind = on_bind,
                                               .publish = on_publish,
                                               .subscribe = on_subscribe,
                                               .unsubscribe = on_unsubscribe,
                                               .changed = on_changed},
                                    .expects_control_plane = proxy->bootstrap->ads.is_set};
    proxy->store = store_new(&options);
    if (!proxy->bootstrap->ads.wants_listeners)
        store_type_received(proxy->store, XDS_LISTENER);
    if (!proxy->bootstrap->ads.wants_clusters)
        store_type_received(proxy->store, XDS_CLUSTER);
}

static int make_credentials(struct proxy *proxy, struct errmsg *msg)
{
    const struct bootstrap_ads *ads = &proxy->bootstrap->ads;
    proxy->credentials = ads->has_tls ? rpc_credentials_new_client_tls(&ads->tls, msg)
                                      : rpc_credentials_new_insecure();
    return proxy->credentials ? 0 : ERR_INVALID;
}

static int start_ads(struct proxy *proxy, struct errmsg *msg)
{
    const struct bootstrap_ads *ads = &proxy->bootstrap->ads;
    if (!ads->is_set)
        return 0;
    proxy->runtime = rpc_runtime_new(proxy->loop);
    int err = make_credentials(proxy, msg);
    if (err)
        return err;
    struct ads_client_options options = {.runtime = proxy->runtime,
                                         .store = proxy->store,
                                         .target = ads->target,
                                         .credentials = proxy->credentials,
                                         .metadata = ads->metadata,
                                         .metadata_count = ads->metadata_count,
                                         .tls_server_name = ads->tls_server_name,
                                         .skips_listeners = !ads->wants_listeners,
                                         .skips_clusters = !ads->wants_clusters,
                                         .node = proxy->bootstrap->message->node};
    log_info("control_plane target=\"%s\" node=\"%s\" cluster=\"%s\"", ads->target,
             options.node->id, options.node->cluster);
    proxy->ads = ads_client_new(&options);
    return 0;
}

static void on_last_good_wait(struct loop_timer *timer)
{
    struct proxy *proxy = CONTAINER_OF(timer, struct proxy, last_good_wait);
    const char *path = proxy->options.last_good_path;
    struct errmsg msg;
    size_t count;
    if (ads_client_status(proxy->ads).has_answered || store_is_live(proxy->store))
        return;
    int err = last_good_load(path, proxy->store, &count, &msg);
    if (err) {
        LOG_AT(err == ERR_NOT_FOUND ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
               "last_good_not_used reason=\"%s\"", msg.text);
        return;
    }
    log_warning("last_good_used path=\"%s\" resources=%zu reason=\"the control plane has not "
                "answered\"",
                path, count);
    ads_client_restart(proxy->ads);
}

static void start_last_good(struct proxy *proxy)
{
    loop_timer_init(&proxy->last_good_wait, proxy->loop, on_last_good_wait);
    if (!proxy->ads || !proxy->options.last_good_path)
        return;
    proxy->last_good = last_good_new(proxy->loop, proxy->options.last_good_path, proxy->store);
    loop_timer_start(&proxy->last_good_wait, LAST_GOOD_WAIT_MS);
}

static int start_admin(struct proxy *proxy, struct errmsg *msg)
{
    struct admin_options options = {.loop = proxy->loop,
                                    .workers = proxy->workers,
                                    .shared = proxy->decode.shared,
                                    .log_writer = proxy->log_writer,
                                    .registry = proxy->types,
                                    .version = WEIR_PROXY_VERSION,
                                    .source = {.arg = proxy,
                                               .state = admin_state_of,
                                               .stale = stale_reason,
                                               .config = current_config,
                                               .bootstrap = bootstrap_message_of,
                                               .visit_resources = visit_resources,
                                               .node = node_names,
                                               .control_plane = control_plane_of,
                                               .ignored_total = ignored_total,
                                               .visit_ignored = visit_ignored,
                                               .drain_listeners = drain_listeners,
                                               .quit = stop_serving}};
    const char *address = proxy->options.admin_address;
    if (!address)
        address = proxy->bootstrap->admin_address;
    if (!address)
        address = ADMIN_ADDRESS;
    if (strcmp(address, "off") == 0)
        return 0;
    proxy->admin = admin_new(&options);
    return admin_listen(proxy->admin, address, msg);
}

static int serve(struct proxy *proxy, struct errmsg *msg)
{
    struct worker_pool_options options = {.workers = proxy->options.workers,
                                          .main_loop = proxy->loop,
                                          .log_writer = proxy->log_writer};
    catch_signals(proxy);
    proxy->workers = worker_pool_new(&options);
    make_store(proxy);
    int err = start_admin(proxy, msg);
    if (!err)
        err = bootstrap_put_static(proxy->bootstrap, proxy->store, msg);
    if (!err)
        err = start_ads(proxy, msg);
    if (err)
        return err;
    start_last_good(proxy);
    store_begin(proxy->store);
    log_info("started version=%s workers=%u", WEIR_PROXY_VERSION, proxy->options.workers);
    loop_run(proxy->loop);
    log_info("stopped");
    return 0;
}

static int validate(struct proxy *proxy, struct errmsg *msg)
{
    make_store(proxy);
    int err = bootstrap_put_static(proxy->bootstrap, proxy->store, msg);
    if (!err && proxy->bootstrap->ads.is_set) {
        proxy->runtime = rpc_runtime_new(proxy->loop);
        err = make_credentials(proxy, msg);
    }
    const char *path = proxy->options.config_path;
    if (!err)
        printf("configuration '%s' OK\n", path ? path : "");
    return err;
}

/* In the order that who refers to something goes before it. */
static void free_proxy(struct proxy *proxy)
{
    for (int i = 0; i < SIGNALS; i++)
        if (proxy->signals[i])
            event_free(proxy->signals[i]);
    if (proxy->last_good)
        loop_timer_stop(&proxy->last_good_wait);
    last_good_free(proxy->last_good);
    ads_client_free(proxy->ads);
    admin_free(proxy->admin);
    store_free(proxy->store);
    if (proxy->workers)
        worker_pool_free(proxy->workers);
    rpc_credentials_unref(proxy->credentials);
    rpc_runtime_free(proxy->runtime);
    loop_free(proxy->loop); /* the workers' last leases come back here */
    access_log_writer_free(proxy->log_writer);
    ignored_fields_free(proxy->decode.ignored);
    name_slots_free(proxy->decode.cluster_slots);
    name_slots_free(proxy->decode.filter_slots);
    shared_registry_free(proxy->decode.shared);
    bootstrap_free(proxy->bootstrap);
    pbjson_registry_free(proxy->types);
}

static int run(const struct options *options, struct errmsg *msg)
{
    struct proxy proxy = {.options = *options};
    int err = options->log_path ? open_log(options->log_path, msg) : 0;
    if (err)
        return err;
    proxy.loop = loop_new();
    make_decode_context(&proxy);
    err = read_bootstrap(&proxy, msg);
    if (!err)
        err = options->mode == MODE_VALIDATE ? validate(&proxy, msg) : serve(&proxy, msg);
    free_proxy(&proxy);
    return err;
}

int main(int argc, char **argv)
{
    struct options options;
    struct errmsg msg = {.text = ""};
    if (options_parse(argc, argv, &options, &msg)) {
        fprintf(stderr, "weir-proxy: %s\n", msg.text);
        return EXIT_USAGE;
    }
    if (options.mode == MODE_HELP) {
        fputs(options_help, stdout);
        return EXIT_SUCCESS;
    }
    if (options.mode == MODE_VERSION) {
        puts("weir-proxy " WEIR_PROXY_VERSION);
        return EXIT_SUCCESS;
    }
    if (run(&options, &msg)) {
        fprintf(stderr, "weir-proxy: %s\n", msg.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
