#include "dataplane/xds/decode_internal.h"

#include "common/pbjson/wire.h"
#include "dataplane/xds/decode_hcm.h"

#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <stdio.h>

enum {
    CONNECTION_BUFFER_BYTES = 1024 * 1024,
    TCP_BACKLOG = 4096, /* the kernel cuts it to net.core.somaxconn, Envoy's default */
};

typedef Envoy__Config__Listener__V3__Listener listener_message;
typedef Envoy__Config__Listener__V3__FilterChain chain_message;
typedef Envoy__Config__Listener__V3__FilterChainMatch match_message;

/* Listener filters that only look at TLS or HTTP to choose a chain: without choice, no effect. */
static bool is_harmless_listener_filter(const Google__Protobuf__Any *any)
{
    return strcmp(any_type(any),
                  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector") == 0 ||
           strcmp(any_type(any),
                  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector") == 0;
}

static int check_listener_filters(const listener_message *message, struct errmsg *msg)
{
    for (size_t i = 0; i < message->n_listener_filters; i++) {
        const Envoy__Config__Listener__V3__ListenerFilter *filter = message->listener_filters[i];
        bool is_typed = filter->config_type_case ==
                        ENVOY__CONFIG__LISTENER__V3__LISTENER_FILTER__CONFIG_TYPE_TYPED_CONFIG;
        if (!is_typed || !is_harmless_listener_filter(filter->typed_config))
            return errmsg_set(msg, ERR_UNSUPPORTED,
                              "listener_filters[%zu]: type %s is not supported", i,
                              is_typed ? any_type(filter->typed_config) : "(not typed)");
    }
    return 0;
}

/* Whatever changes who can connect, from where, or how, and is not there. */
static int refuse_what_is_missing(const listener_message *message, struct errmsg *msg)
{
    const char *field = NULL;
    if (message->api_listener)
        field = "api_listener";
    else if (message->listener_specifier_case !=
             ENVOY__CONFIG__LISTENER__V3__LISTENER__LISTENER_SPECIFIER__NOT_SET)
        field = "internal_listener";
    else if (message->n_additional_addresses)
        field = "additional_addresses";
    else if (read_bool(message->use_original_dst, false))
        field = "use_original_dst";
    else if (read_bool(message->transparent, false))
        field = "transparent";
    else if (!read_bool(message->bind_to_port, true))
        field = "bind_to_port: false";
    else if (message->fcds_config)
        field = "fcds_config";
    if (field)
        return errmsg_set(msg, ERR_UNSUPPORTED, "%s: not supported", field);
    return check_listener_filters(message, msg);
}

static bool matches_everything(const match_message *match)
{
    return !match ||
           (!match->n_prefix_ranges && !match->address_suffix[0] && !match->suffix_len &&
            !match->n_source_prefix_ranges && !match->n_source_ports && !match->destination_port &&
            (!match->transport_protocol[0] ||
             strcmp(match->transport_protocol, "raw_buffer") == 0) &&
            !match->n_application_protocols && !match->n_server_names &&
            match->source_type ==
                ENVOY__CONFIG__LISTENER__V3__FILTER_CHAIN_MATCH__CONNECTION_SOURCE_TYPE__ANY &&
            !match->n_direct_source_prefix_ranges);
}

/* The only chain, and its path. */
static int pick_chain(const listener_message *message, const chain_message **ret_chain,
                      const char **ret_path, struct errmsg *msg)
{
    if (message->n_filter_chains > 1 ||
        (message->n_filter_chains == 1 && message->default_filter_chain))
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "filter_chains: more than one (default_filter_chain included) is not "
                          "supported");
    if (message->n_filter_chains == 0 && !message->default_filter_chain)
        return errmsg_set(msg, ERR_INVALID, "filter_chains: must have one");
    *ret_path = message->n_filter_chains ? "filter_chains[0]" : "default_filter_chain";
    *ret_chain =
        message->n_filter_chains ? message->filter_chains[0] : message->default_filter_chain;
    const chain_message *chain = *ret_chain;
    if (message->n_filter_chains && !matches_everything(chain->filter_chain_match))
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "%s.filter_chain_match: not supported; leave it out", *ret_path);
    if (!is_plaintext(chain->transport_socket))
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "%s.transport_socket: type %s is not supported; supported: raw_buffer",
                          *ret_path, any_type(chain->transport_socket->typed_config));
    if (read_bool(chain->use_proxy_proto, false))
        return errmsg_set(msg, ERR_UNSUPPORTED, "%s.use_proxy_proto: not supported", *ret_path);
    return 0;
}

static int read_chain(const struct decode_context *context, const chain_message *chain,
                      const char *chain_path, struct listener_config *listener, struct errmsg *msg)
{
    if (chain->n_filters == 0)
        return errmsg_set(msg, ERR_INVALID, "%s.filters: must have an HttpConnectionManager",
                          chain_path);
    const Envoy__Config__Listener__V3__Filter *filter = chain->filters[0];
    bool is_typed =
        filter->config_type_case == ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG;
    if (!is_typed ||
        !any_is(
            filter->typed_config,
            &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor))
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "%s.filters[0].typed_config: type %s is not supported; supported: "
                          "HttpConnectionManager",
                          chain_path, is_typed ? any_type(filter->typed_config) : "(not typed)");
    if (chain->n_filters > 1)
        return errmsg_set(msg, ERR_INVALID,
                          "%s.filters[1]: nothing can come after the HttpConnectionManager",
                          chain_path);
    int err = decode_hcm(context, filter->typed_config, listener, msg);
    if (err)
        errmsg_prefix(msg, "%s.filters[0].typed_config.", chain_path);
    return err;
}

static int read_listener_address(const listener_message *message, struct listener_config *listener,
                                 struct errmsg *msg)
{
    struct read_address address;
    int err = read_address(message->address, "address", &listener->arena, &address, msg);
    if (err)
        return err;
    if (address.address.len == 0)
        return errmsg_set(msg, ERR_INVALID,
                          "address.socket_address.address: \"%.*s\" is not an IP address",
                          STR_ARGS(address.host));
    listener->address = address.address;
    return 0;
}

static int load(const struct decode_context *context, struct str name, struct str bytes,
                struct listener_config *listener, struct errmsg *msg)
{
    ProtobufCMessage *unpacked;
    /* Into the part's own arena: what the filters load may point into it. */
    int err = wire_unpack(&envoy__config__listener__v3__listener__descriptor, bytes, context->types,
                          &listener->arena, &unpacked, msg);
    if (err)
        return err;
    const listener_message *message = (const listener_message *)unpacked;
    if ((message->name[0] && !str_equal(str_from(message->name), name)) || name.len == 0)
        return errmsg_set(msg, ERR_INVALID, "name: is \"%s\"", message->name);
    listener->name = arena_copy_str(&listener->arena, name);
    listener->connection_buffer_bytes =
        read_uint32(message->per_connection_buffer_limit_bytes, CONNECTION_BUFFER_BYTES);
    listener->tcp_backlog = read_uint32(message->tcp_backlog_size, TCP_BACKLOG);
    err = refuse_what_is_missing(message, msg);
    if (!err)
        err = read_listener_address(message, listener, msg);
    const chain_message *chain = NULL;
    const char *chain_path = "";
    if (!err)
        err = pick_chain(message, &chain, &chain_path, msg);
    if (!err)
        err = read_chain(context, chain, chain_path, listener, msg);
    if (!err)
        decode_note_ignored(context, XDS_LISTENER, name, unpacked);
    return err;
}

int decode_listener(const struct decode_context *context, struct str name, struct str bytes,
                    struct listener_config **ret_listener, struct errmsg *msg)
{
    struct listener_config *listener = listener_config_new();
    int err = load(context, name, bytes, listener, msg);
    if (err) {
        listener_config_unref(listener);
        errmsg_prefix(msg, "listener %.*s: ", STR_ARGS(name));
        return err;
    }
    *ret_listener = listener;
    return 0;
}
