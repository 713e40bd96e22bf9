#include "dataplane/filters/table.h"

#include "common/pbjson/pbjson.h"
#include "dataplane/filters/api_key_auth.h"
#include "dataplane/filters/header_mutation.h"
#include "dataplane/filters/local_ratelimit.h"
#include "dataplane/filters/router.h"

static const struct http_filter_type *const types[] = {
    &api_key_auth_filter,
    &local_ratelimit_filter,
    &header_mutation_filter,
    &router_filter,
};

enum { TYPE_COUNT = sizeof types / sizeof *types };

/* "type.googleapis.com/envoy.…" is "envoy.…" */
static struct str message_name(struct str type_url)
{
    size_t at = type_url.len;
    while (at > 0 && type_url.data[at - 1] != '/')
        at--;
    return str_slice(type_url, at, type_url.len);
}

static bool is_of(const ProtobufCMessageDescriptor *descriptor, struct str name)
{
    return descriptor && str_equal(str_from(descriptor->name), name);
}

const struct http_filter_type *filter_table_find(struct str type_url)
{
    struct str name = message_name(type_url);
    for (int i = 0; i < TYPE_COUNT; i++)
        if (is_of(types[i]->config_descriptor, name))
            return types[i];
    return NULL;
}

static const ProtobufCMessage *unpack(struct filter_load *load, const Google__Protobuf__Any *any,
                                      const ProtobufCMessageDescriptor *descriptor)
{
    struct str bytes = {.data = (const char *)any->value.data, .len = any->value.len};
    return pbjson_unpack(descriptor, bytes, load->arena);
}

int filter_table_load(struct filter_load *load, const Google__Protobuf__Any *typed_config,
                      const struct http_filter_type **ret_type, const void **ret_config,
                      struct errmsg *msg)
{
    const struct http_filter_type *type = filter_table_find(str_from(typed_config->type_url));
    if (!type)
        return errmsg_set(msg, ERR_UNSUPPORTED, "no filter here has settings of type %s",
                          typed_config->type_url);
    const ProtobufCMessage *message = unpack(load, typed_config, type->config_descriptor);
    if (!message)
        return errmsg_set(msg, ERR_INVALID, "typed_config is not a %s",
                          type->config_descriptor->name);
    *ret_config = NULL;
    int err = type->load ? type->load(load, message, ret_config, msg) : 0;
    if (!err)
        *ret_type = type;
    return err;
}

/* --- settings of a route --- */

static const struct http_filter_type *find_by_route_type(struct str type_url)
{
    struct str name = message_name(type_url);
    for (int i = 0; i < TYPE_COUNT; i++)
        if (is_of(types[i]->route_descriptor, name))
            return types[i];
    return NULL;
}

/* The instance's name is part of the scope while its settings are loaded: two instances of a filter
 * on one route do not share state. */
static int load_scoped(struct filter_load *load, const struct http_filter_type *type,
                       struct str filter_name, const ProtobufCMessage *message,
                       struct filter_route_config *ret, struct errmsg *msg)
{
    struct str scope = load->scope;
    if (load->inherited_type != type)
        load->inherited = NULL;
    ret->type = type;
    load->scope =
        str_from(arena_printf(load->arena, "%.*s/%.*s", STR_ARGS(scope), STR_ARGS(filter_name)));
    int err = type->load_route(load, message, &ret->config, msg);
    load->scope = scope;
    return err;
}

static int load_route_settings(struct filter_load *load, struct str filter_name,
                               const Google__Protobuf__Any *settings, bool is_optional,
                               struct filter_route_config *ret, struct errmsg *msg)
{
    const struct http_filter_type *type = find_by_route_type(str_from(settings->type_url));
    if (!type && is_optional)
        return 0;
    if (!type)
        return errmsg_set(msg, ERR_UNSUPPORTED, "no filter here has route settings of type %s",
                          settings->type_url);
    const ProtobufCMessage *message = unpack(load, settings, type->route_descriptor);
    if (!message)
        return errmsg_set(msg, ERR_INVALID, "the settings are not a %s",
                          type->route_descriptor->name);
    return load_scoped(load, type, filter_name, message, ret, msg);
}

int filter_table_load_route(struct filter_load *load, struct str filter_name,
                            const Google__Protobuf__Any *settings, struct filter_route_config *ret,
                            struct errmsg *msg)
{
    const ProtobufCMessageDescriptor *wrapper_type =
        &envoy__config__route__v3__filter_config__descriptor;
    ret->type = NULL;
    ret->config = NULL;
    ret->is_disabled = false;
    if (!is_of(wrapper_type, message_name(str_from(settings->type_url))))
        return load_route_settings(load, filter_name, settings, false, ret, msg);
    const Envoy__Config__Route__V3__FilterConfig *wrapper =
        (const Envoy__Config__Route__V3__FilterConfig *)unpack(load, settings, wrapper_type);
    if (!wrapper)
        return errmsg_set(msg, ERR_INVALID, "the settings are not a FilterConfig");
    ret->is_disabled = wrapper->disabled;
    if (!wrapper->config) {
        if (wrapper->disabled)
            return 0;
        return errmsg_set(msg, ERR_INVALID, "FilterConfig: config is missing");
    }
    return load_route_settings(load, filter_name, wrapper->config, wrapper->is_optional, ret, msg);
}
