/*
 * /config_dump: the resources that are served, in the sections that Envoy prints, so that its tools
 * read ours. Made from the encoded resources as they were received. Keys and passwords are left
 * out, and so is whatever cannot be decoded, which may hold some.
 */
#include "common/pbjson/pbjson.h"
#include "dataplane/admin/admin_internal.h"

#include <envoy/admin/v3/config_dump_shared.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <stdio.h>
#include <time.h>

enum section { SECTION_CLUSTERS, SECTION_ENDPOINTS, SECTION_LISTENERS, SECTION_ROUTES };
enum { SECTION_COUNT = 4 };

static const struct {
    const char *type_url; /* of the resources */
    const char *dump;     /* name of the section's message */
    const char *static_field, *dynamic_field, *warming_field, *resource_field;
} sections[SECTION_COUNT] = {
    [SECTION_CLUSTERS] = {"type.googleapis.com/envoy.config.cluster.v3.Cluster",
                          "envoy.admin.v3.ClustersConfigDump", "static_clusters",
                          "dynamic_active_clusters", "dynamic_warming_clusters", "cluster"},
    [SECTION_ENDPOINTS] = {"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                           "envoy.admin.v3.EndpointsConfigDump", "static_endpoint_configs",
                           "dynamic_endpoint_configs", "dynamic_endpoint_configs",
                           "endpoint_config"},
    [SECTION_LISTENERS] = {"type.googleapis.com/envoy.config.listener.v3.Listener",
                           "envoy.admin.v3.ListenersConfigDump", "static_listeners",
                           "dynamic_listeners", "dynamic_listeners", "listener"},
    [SECTION_ROUTES] = {"type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                        "envoy.admin.v3.RoutesConfigDump", "static_route_configs",
                        "dynamic_route_configs", "dynamic_route_configs", "route_config"},
};

/* Fields whose values are secrets, wherever they occur. */
static bool is_secret(const ProtobufCMessageDescriptor *message,
                      const ProtobufCFieldDescriptor *field)
{
    static const char *const names[] = {"private_key", "private_key_provider", "pkcs12",
                                        "password",    "initial_metadata",     "secret",
                                        "secrets"};
    if (message == &google__protobuf__any__descriptor)
        return true;
    if (message == &envoy__extensions__filters__http__api_key_auth__v3__credential__descriptor)
        return !strcmp(field->name, "key");
    if (strstr(message->name, ".TlsSessionTicketKeys"))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(field->name, names[i]))
            return true;
    return false;
}

/* --- one resource --- */

/* Which list of a section is being printed. */
enum pass { PASS_STATIC, PASS_WARMING, PASS_DYNAMIC };

struct dump {
    const struct admin *admin;
    struct buf *out;
    struct pbjson_options options;
    enum section section;
    enum pass pass;
    bool has_items; /* in the list that is being printed */
};

/* The message in an Any of its type, with its redactions; null where it cannot be printed. */
static void put_message(struct dump *dump, const char *type_url, struct str bytes)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    char url[256];
    snprintf(url, sizeof url, "%s", type_url);
    any.type_url = url;
    any.value.data = (uint8_t *)bytes.data;
    any.value.len = bytes.len;
    size_t len = dump->out->len;
    if (pbjson_print(&any.base, &dump->options, dump->out) && !dump->out->is_overflown) {
        dump->out->len = len;
        buf_append_str(dump->out, STR("null"));
    }
}

static void put_time(struct buf *out, const char *name, uint64_t wall_us)
{
    struct tm tm;
    time_t seconds = (time_t)(wall_us / 1000000);
    char text[40];
    if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm))
        return;
    buf_printf(out, ",\"%s\":\"%s.%03uZ\"", name, text, (unsigned)(wall_us / 1000 % 1000));
}

static void put_string(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "\"%s\":", name);
    buf_append_json_string(out, value.data ? value : STR(""));
}

/* "cluster":{…},"last_updated":"…", with the version where there is one. */
static void put_state(struct dump *dump, const struct admin_resource *resource)
{
    struct buf *out = dump->out;
    if (resource->version.len) {
        put_string(out, "version_info", resource->version);
        buf_append_char(out, ',');
    }
    buf_printf(out, "\"%s\":", sections[dump->section].resource_field);
    put_message(dump, sections[dump->section].type_url, resource->bytes);
    put_time(out, "last_updated", resource->updated_wall_us);
}

static void put_error(struct dump *dump, const struct admin_resource *resource)
{
    buf_append_str(dump->out, STR("\"error_state\":{"));
    put_string(dump->out, "details", resource->error);
    buf_append_char(dump->out, ',');
    put_string(dump->out, "version_info", resource->error_version);
    buf_append_char(dump->out, '}');
}

/* Listeners have their generations one level deeper than the other resources. */
static void put_resource(struct dump *dump, const struct admin_resource *resource)
{
    struct buf *out = dump->out;
    buf_append_str(out, dump->has_items ? STR(",\n{") : STR("\n{"));
    dump->has_items = true;
    bool is_nested = dump->section == SECTION_LISTENERS && !resource->is_static;
    if (is_nested) {
        put_string(out, "name", resource->name);
        if (resource->bytes.len)
            buf_append_str(out, resource->is_warming ? STR(",\"warming_state\":{")
                                                     : STR(",\"active_state\":{"));
    }
    if (resource->bytes.len)
        put_state(dump, resource);
    if (is_nested && resource->bytes.len)
        buf_append_char(out, '}');
    if (resource->error.len) {
        if (is_nested || resource->bytes.len)
            buf_append_char(out, ',');
        put_error(dump, resource);
    }
    if (!resource->is_static)
        buf_printf(out, "%s\"client_status\":\"%s\"",
                   is_nested || resource->bytes.len || resource->error.len ? "," : "",
                   resource->error.len       ? "NACKED"
                   : resource->bytes.len > 0 ? "ACKED"
                                             : "REQUESTED");
    buf_append_char(out, '}');
}

static void on_resource(const struct admin_resource *resource, void *arg)
{
    struct dump *dump = arg;
    if (!str_equal(resource->type_url, str_from(sections[dump->section].type_url)))
        return;
    bool has_warming_list = dump->section == SECTION_CLUSTERS;
    bool is_warming = !resource->is_static && resource->is_warming && has_warming_list;
    enum pass pass = resource->is_static ? PASS_STATIC : is_warming ? PASS_WARMING : PASS_DYNAMIC;
    if (pass == dump->pass)
        put_resource(dump, resource);
}

/* --- sections --- */

static void put_list(struct dump *dump, const char *name, enum pass pass)
{
    const struct admin_source *source = &dump->admin->options.source;
    size_t len = dump->out->len;
    buf_printf(dump->out, ",\n\"%s\":[", name);
    dump->pass = pass;
    dump->has_items = false;
    source->visit_resources(source->arg, on_resource, dump);
    if (dump->has_items)
        buf_append_str(dump->out, STR("\n]"));
    else
        dump->out->len = len;
}

static void put_section(struct dump *dump, enum section section)
{
    dump->section = section;
    buf_printf(dump->out, "{\"@type\":\"type.googleapis.com/%s\"", sections[section].dump);
    put_list(dump, sections[section].static_field, PASS_STATIC);
    put_list(dump, sections[section].dynamic_field, PASS_DYNAMIC);
    if (section == SECTION_CLUSTERS)
        put_list(dump, sections[section].warming_field, PASS_WARMING);
    buf_append_char(dump->out, '}');
}

static void put_bootstrap(struct dump *dump)
{
    const struct admin_source *source = &dump->admin->options.source;
    const ProtobufCMessage *bootstrap = source->bootstrap ? source->bootstrap(source->arg) : NULL;
    if (!bootstrap)
        return;
    buf_append_str(dump->out,
                   STR("{\"@type\":\"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump\","
                       "\"bootstrap\":"));
    if (pbjson_print(bootstrap, &dump->options, dump->out))
        dump->out->is_overflown = true;
    buf_append_str(dump->out, STR("},\n"));
}

/* As Envoy, without endpoints unless ?include_eds is given. */
void config_dump_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    const struct admin *admin = arg;
    if (!admin->options.source.visit_resources) {
        reply->status = 404;
        return;
    }
    struct dump dump = {
        .admin = admin,
        .out = &reply->body,
        .options = {.registry = admin->options.registry, .redact = is_secret},
    };
    reply->content_type = "application/json";
    buf_append_str(dump.out, STR("{\"configs\":[\n"));
    put_bootstrap(&dump);
    put_section(&dump, SECTION_CLUSTERS);
    buf_append_str(dump.out, STR(",\n"));
    if (admin_request_query(request, "include_eds")) {
        put_section(&dump, SECTION_ENDPOINTS);
        buf_append_str(dump.out, STR(",\n"));
    }
    put_section(&dump, SECTION_LISTENERS);
    buf_append_str(dump.out, STR(",\n"));
    put_section(&dump, SECTION_ROUTES);
    buf_append_str(dump.out, STR("]}\n"));
}
