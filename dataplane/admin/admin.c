#include "dataplane/admin/admin.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "dataplane/admin/admin_internal.h"
#include "dataplane/http/access_log.h"

/* --- helpers --- */

enum admin_state admin_state_of(const struct admin *admin)
{
    const struct admin_source *source = &admin->options.source;
    return source->state ? source->state(source->arg) : ADMIN_LIVE;
}

static const char *state_name(enum admin_state state)
{
    switch (state) {
    case ADMIN_LIVE:
        return "LIVE";
    case ADMIN_DRAINING:
        return "DRAINING";
    case ADMIN_PRE_INITIALIZING:
        return "PRE_INITIALIZING";
    case ADMIN_INITIALIZING:
        return "INITIALIZING";
    }
    return "INITIALIZING";
}

const struct config *admin_config(const struct admin *admin)
{
    const struct admin_source *source = &admin->options.source;
    return source->config ? source->config(source->arg) : NULL;
}

void admin_append_name(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        buf_append_char(out, c < 0x20 || c == 0x7f ? ' ' : (char)c);
    }
}

static bool wants_json(const struct admin_request *request)
{
    const char *format = admin_request_query(request, "format");
    return format && !strcmp(format, "json");
}

/* --- reading pages --- */

static void help_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    buf_append_str(&reply->body,
                   STR("GET  /ready               200 LIVE, or 503 and why not\n"
                       "GET  /stats               ?filter=regex ?usedonly ?format=json|prometheus\n"
                       "GET  /stats/prometheus    ?filter=regex ?usedonly\n"
                       "GET  /config_dump         what is served, secrets left out\n"
                       "GET  /clusters            hosts, limits and breakers\n"
                       "GET  /listeners           ?format=json\n"
                       "GET  /server_info\n"
                       "GET  /control_plane       the subscription: connected or not, and why\n"
                       "GET  /unsupported_fields  what was received and has no effect here\n"
                       "POST /logging             ?level=trace|debug|info|warning|error|off\n"
                       "POST /healthcheck/fail    readiness fails\n"
                       "POST /healthcheck/ok      readiness is what it is\n"
                       "POST /drain_listeners     stop accepting, finish what is under way\n"
                       "POST /reopen_logs         open access logs again\n"
                       "POST /quitquitquit        leave\n"));
}

/* The state on the first line, as Envoy has it; a remark about an old configuration on the second.
 */
static void ready_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    const struct admin *admin = arg;
    const struct admin_source *source = &admin->options.source;
    enum admin_state state = admin_state_of(admin);
    bool is_ready = state == ADMIN_LIVE && !admin->is_unhealthy;
    reply->status = is_ready ? 200 : 503;
    buf_printf(&reply->body, "%s\n",
               state == ADMIN_LIVE && !is_ready ? "HEALTHCHECK_FAILED" : state_name(state));
    const char *stale = source->stale ? source->stale(source->arg) : NULL;
    if (stale) {
        buf_append_str(&reply->body, STR("stale: "));
        admin_append_name(&reply->body, str_from(stale));
        buf_append_char(&reply->body, '\n');
    }
}

static void server_info_page(const struct admin_request *request, struct admin_reply *reply,
                             void *arg)
{
    (void)request;
    const struct admin *admin = arg;
    const struct admin_source *source = &admin->options.source;
    struct str id = {0}, cluster = {0};
    if (source->node)
        source->node(source->arg, &id, &cluster);
    uint64_t uptime_s = (clock_monotonic_ms() - admin->started_ms) / 1000;
    struct worker_pool *workers = admin->options.workers;
    struct buf *out = &reply->body;
    reply->content_type = "application/json";
    buf_append_str(out, STR("{\n \"version\": "));
    buf_append_json_string(out, str_from(admin->options.version ? admin->options.version : ""));
    buf_printf(out, ",\n \"state\": \"%s\",\n", state_name(admin_state_of(admin)));
    buf_printf(out, " \"uptime_current_epoch\": \"%llus\",\n \"uptime_all_epochs\": \"%llus\",\n",
               (unsigned long long)uptime_s, (unsigned long long)uptime_s);
    buf_printf(out,
               " \"hot_restart_version\": \"disabled\",\n \"command_line_options\": {\n"
               "  \"concurrency\": %u\n },\n \"node\": {\n  \"id\": ",
               workers ? worker_pool_size(workers) : 0);
    buf_append_json_string(out, id.data ? id : STR(""));
    buf_append_str(out, STR(",\n  \"cluster\": "));
    buf_append_json_string(out, cluster.data ? cluster : STR(""));
    buf_append_str(out, STR("\n }\n}\n"));
}

/* "127.0.0.1:80" and "[::1]:80" in two; false for a path. */
static bool split_address(struct str text, struct str *ret_host, struct str *ret_port)
{
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (!colon || text.data[0] == '/')
        return false;
    *ret_port = str_slice(text, colon, text.len);
    *ret_host = str_slice(text, 0, colon - 1);
    if (ret_host->len > 2 && ret_host->data[0] == '[')
        *ret_host = str_slice(*ret_host, 1, ret_host->len - 1);
    return true;
}

static void append_listener_json(struct buf *out, const struct listener_config *listener)
{
    struct str host, port;
    buf_append_str(out, STR("  {\n   \"name\": "));
    buf_append_json_string(out, listener->name);
    buf_append_str(out, STR(",\n   \"local_address\": {\n"));
    if (split_address(listener->address.text, &host, &port)) {
        buf_append_str(out, STR("    \"socket_address\": {\n     \"address\": "));
        buf_append_json_string(out, host);
        buf_printf(out, ",\n     \"port_value\": %.*s\n    }\n", STR_ARGS(port));
    } else {
        buf_append_str(out, STR("    \"pipe\": {\n     \"path\": "));
        buf_append_json_string(out, listener->address.text);
        buf_append_str(out, STR("\n    }\n"));
    }
    buf_append_str(out, STR("   }\n  }"));
}

static void listeners_page(const struct admin_request *request, struct admin_reply *reply,
                           void *arg)
{
    const struct config *config = admin_config(arg);
    struct buf *out = &reply->body;
    uint32_t count = config ? config->listener_count : 0;
    bool is_json = wants_json(request);
    if (is_json) {
        reply->content_type = "application/json";
        buf_append_str(out, STR("{\n \"listener_statuses\": [\n"));
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct listener_config *listener = config->listeners[i].listener;
        if (is_json) {
            append_listener_json(out, listener);
            buf_append_str(out, i + 1 < count ? STR(",\n") : STR("\n"));
            continue;
        }
        admin_append_name(out, listener->name);
        buf_append_str(out, STR("::"));
        admin_append_name(out, listener->address.text);
        buf_append_char(out, '\n');
    }
    if (is_json)
        buf_append_str(out, STR(" ]\n}\n"));
}

/* --- pages that change something --- */

static void reply_ok(struct admin_reply *reply)
{
    buf_append_str(&reply->body, STR("OK\n"));
}

static void fail_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    struct admin *admin = arg;
    admin->is_unhealthy = true;
    log_warning("admin_healthcheck_fail");
    reply_ok(reply);
}

static void heal_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    struct admin *admin = arg;
    admin->is_unhealthy = false;
    log_warning("admin_healthcheck_ok");
    reply_ok(reply);
}

static void not_there(struct admin_reply *reply)
{
    reply->status = 404;
    buf_append_str(&reply->body, STR("not available\n"));
}

static void drain_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    const struct admin_source *source = &((struct admin *)arg)->options.source;
    if (!source->drain_listeners) {
        not_there(reply);
        return;
    }
    log_warning("admin_drain_listeners");
    source->drain_listeners(source->arg);
    reply_ok(reply);
}

static void quit_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    const struct admin_source *source = &((struct admin *)arg)->options.source;
    if (!source->quit) {
        not_there(reply);
        return;
    }
    log_warning("admin_quit");
    source->quit(source->arg);
    reply_ok(reply);
}

static void reopen_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    const struct admin *admin = arg;
    if (!admin->options.log_writer) {
        not_there(reply);
        return;
    }
    access_log_writer_reopen(admin->options.log_writer);
    reply_ok(reply);
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"trace", "debug",    "info", "warning",
                                        "error", "critical", "off"};
    return names[level];
}

static void logging_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)arg;
    const char *level = admin_request_query(request, "level");
    if (level && !log_set_level(level)) {
        reply->status = 400;
        buf_append_str(&reply->body, STR("level must be one of trace, debug, info, warning, error, "
                                         "critical, off\n"));
        return;
    }
    buf_printf(&reply->body, "active loggers:\n  weir: %s\n", level_name(log_level_min));
}

/* --- the functions of admin.h --- */

static void add_pages(struct admin *admin)
{
    static const struct {
        enum admin_method method;
        const char *path;
        admin_handler_fn *handler;
    } pages[] = {
        {ADMIN_GET, "/", help_page},
        {ADMIN_GET, "/help", help_page},
        {ADMIN_GET, "/ready", ready_page},
        {ADMIN_GET, "/server_info", server_info_page},
        {ADMIN_GET, "/listeners", listeners_page},
        {ADMIN_GET, "/clusters", clusters_page},
        {ADMIN_GET, "/config_dump", config_dump_page},
        {ADMIN_GET, "/control_plane", control_plane_page},
        {ADMIN_GET, "/unsupported_fields", unsupported_fields_page},
        {ADMIN_GET, "/stats", stats_page},
        {ADMIN_GET, "/stats/prometheus", stats_prometheus_page},
        {ADMIN_POST, "/healthcheck/fail", fail_page},
        {ADMIN_POST, "/healthcheck/ok", heal_page},
        {ADMIN_POST, "/drain_listeners", drain_page},
        {ADMIN_POST, "/quitquitquit", quit_page},
        {ADMIN_POST, "/reopen_logs", reopen_page},
        {ADMIN_POST, "/logging", logging_page},
    };
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        admin_server_route(admin->server, pages[i].method, pages[i].path, pages[i].handler, admin);
}

struct admin *admin_new(const struct admin_options *options)
{
    struct admin *admin = MEM_NEW(struct admin);
    admin->options = *options;
    admin->started_ms = clock_monotonic_ms();
    admin->server = admin_server_new(options->loop);
    add_pages(admin);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    admin_server_free(admin->server);
    mem_free(admin);
}

int admin_listen(struct admin *admin, const char *address, struct errmsg *msg)
{
    return admin_server_listen(admin->server, address, msg);
}

uint16_t admin_port(const struct admin *admin)
{
    return admin_server_port(admin->server);
}
