#include "dataplane/xds/decode_internal.h"

#include "common/pbjson/wire.h"
#include "dataplane/xds/ignored_fields.h"

#include <arpa/inet.h>
#include <envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb-c.h>
#include <stdio.h>

/* Longest duration that is taken: ten years. */
#define DURATION_SECONDS_MAX ((int64_t)10 * 366 * 24 * 3600)
enum { FETCH_TIMEOUT_MS = 15000 }; /* Envoy's default of initial_fetch_timeout */

int read_duration_ms(const Google__Protobuf__Duration *duration, const char *path, uint64_t preset,
                     uint64_t *ret_ms, struct errmsg *msg)
{
    if (!duration) {
        *ret_ms = preset;
        return 0;
    }
    if (duration->seconds < 0 || duration->seconds > DURATION_SECONDS_MAX || duration->nanos < 0 ||
        duration->nanos > 999999999)
        return errmsg_set(msg, ERR_INVALID, "%s: must be between 0 and ten years", path);
    *ret_ms = (uint64_t)duration->seconds * 1000 + ((uint64_t)duration->nanos + 999999) / 1000000;
    return 0;
}

static int read_pipe(const Envoy__Config__Core__V3__Pipe *pipe, const char *path,
                     struct arena *arena, struct address *ret, struct errmsg *msg)
{
    size_t len = strlen(pipe->path);
    *ret = (struct address){.path = {.sun_family = AF_UNIX}};
    if (len == 0 || len >= sizeof ret->path.sun_path)
        return errmsg_set(msg, ERR_INVALID, "%s.pipe.path: must have 1 to %zu bytes", path,
                          sizeof ret->path.sun_path - 1);
    memcpy(ret->path.sun_path, pipe->path, len);
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (pipe->path[0] == '@') { /* abstract: no file, and no NUL at its end */
        ret->path.sun_path[0] = '\0';
        ret->len--;
    }
    ret->text = arena_copy_str(arena, str_from(pipe->path));
    return 0;
}

/* host as an IP literal; false where it is none. */
static bool parse_ip(const char *host, uint16_t port, struct arena *arena, struct address *ret)
{
    *ret = (struct address){.len = 0};
    const char *format;
    if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        ret->len = sizeof ret->v4;
        format = "%s:%u";
    } else if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons(port);
        ret->len = sizeof ret->v6;
        format = "[%s]:%u";
    } else {
        return false;
    }
    char text[INET6_ADDRSTRLEN];
    const void *bits = ret->any.sa_family == AF_INET ? (const void *)&ret->v4.sin_addr
                                                     : (const void *)&ret->v6.sin6_addr;
    inet_ntop(ret->any.sa_family, bits, text, sizeof text);
    ret->text = str_from(format[0] == '[' ? arena_printf(arena, "[%s]:%u", text, port)
                                          : arena_printf(arena, "%s:%u", text, port));
    return true;
}

int read_address(const Envoy__Config__Core__V3__Address *message, const char *path,
                 struct arena *arena, struct read_address *ret, struct errmsg *msg)
{
    *ret = (struct read_address){.port = 0};
    if (message && message->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE)
        return read_pipe(message->pipe, path, arena, &ret->address, msg);
    if (!message ||
        message->address_case != ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS)
        return errmsg_set(msg, ERR_INVALID, "%s: must be a socket_address or a pipe", path);
    const Envoy__Config__Core__V3__SocketAddress *socket = message->socket_address;
    if (socket->protocol != ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PROTOCOL__TCP)
        return errmsg_set(msg, ERR_UNSUPPORTED, "%s.socket_address.protocol: must be TCP", path);
    if (socket->port_specifier_case !=
            ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE ||
        socket->port_value > UINT16_MAX)
        return errmsg_set(msg, ERR_INVALID,
                          "%s.socket_address.port_value: must be a number up to 65535", path);
    if (socket->resolver_name[0] || socket->network_namespace_filepath[0])
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "%s.socket_address: resolver_name and network_namespace_filepath are not "
                          "supported",
                          path);
    if (!socket->address[0])
        return errmsg_set(msg, ERR_INVALID, "%s.socket_address.address: must be set", path);
    ret->host = str_from(socket->address);
    ret->port = (uint16_t)socket->port_value;
    if (parse_ip(socket->address, ret->port, arena, &ret->address))
        ret->address.takes_ipv4 = socket->ipv4_compat;
    return 0;
}

int read_ads_source(const Envoy__Config__Core__V3__ConfigSource *source, const char *path,
                    uint64_t *ret_timeout_ms, struct errmsg *msg)
{
    if (!source)
        return errmsg_set(msg, ERR_INVALID, "%s: must be set", path);
    switch (source->config_source_specifier_case) {
    case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS:
    case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_SELF:
        break;
    case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER__NOT_SET:
    case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_PATH:
    case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_API_CONFIG_SOURCE:
    case ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_PATH_CONFIG_SOURCE:
    default:
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "%s: must be ads (or self); others are not "
                          "supported",
                          path);
    }
    char field[256];
    snprintf(field, sizeof field, "%s.initial_fetch_timeout", path);
    return read_duration_ms(source->initial_fetch_timeout, field, FETCH_TIMEOUT_MS, ret_timeout_ms,
                            msg);
}

const char *any_type(const Google__Protobuf__Any *any)
{
    if (!any)
        return "";
    const char *slash = strrchr(any->type_url, '/');
    return slash ? slash + 1 : any->type_url;
}

bool any_is(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *descriptor)
{
    return strcmp(any_type(any), descriptor->name) == 0;
}

int any_unpack(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *descriptor,
               const char *path, struct arena *arena, ProtobufCMessage **ret_message,
               struct errmsg *msg)
{
    struct str bytes = {.data = (const char *)any->value.data, .len = any->value.len};
    int err = wire_unpack(descriptor, bytes, NULL, arena, ret_message, msg);
    if (err)
        errmsg_prefix(msg, "%s: ", path);
    return err;
}

bool is_plaintext(const Envoy__Config__Core__V3__TransportSocket *socket)
{
    return !socket ||
           (socket->config_type_case ==
                ENVOY__CONFIG__CORE__V3__TRANSPORT_SOCKET__CONFIG_TYPE_TYPED_CONFIG &&
            any_is(socket->typed_config,
                   &envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor));
}

void decode_note_ignored(const struct decode_context *context, enum xds_type type, struct str name,
                         const ProtobufCMessage *message)
{
    struct buf label;
    buf_init(&label, name.len + 32);
    buf_printf(&label, "%s %.*s", xds_type_noun(type), STR_ARGS(name));
    ignored_fields_scan(context->ignored, buf_str(&label), message);
    buf_done(&label);
}
