#include "dataplane/http/forwarding.h"

#include <arpa/inet.h>

/* Headers by which Envoy is told things from inside; from a client at the edge they are dropped
 * (threats S21). Other x-envoy-* names pass, as in Envoy. */
static const struct str internal_names[] = {
    {"x-envoy-internal", 16},
    {"x-envoy-external-address", 24},
    {"x-envoy-decorator-operation", 27},
    {"x-envoy-downstream-service-cluster", 34},
    {"x-envoy-downstream-service-node", 31},
    {"x-envoy-expected-rq-timeout-ms", 30},
    {"x-envoy-force-trace", 19},
    {"x-envoy-hedge-on-per-try-timeout", 32},
    {"x-envoy-ip-tags", 15},
    {"x-envoy-is-timeout-retry", 24},
    {"x-envoy-max-retries", 19},
    {"x-envoy-original-host", 21},
    {"x-envoy-original-path", 21},
    {"x-envoy-original-url", 20},
    {"x-envoy-retriable-header-names", 30},
    {"x-envoy-retriable-status-codes", 30},
    {"x-envoy-retry-grpc-on", 21},
    {"x-envoy-retry-on", 16},
    {"x-envoy-upstream-alt-stat-name", 30},
    {"x-envoy-upstream-rq-per-try-timeout-ms", 38},
    {"x-envoy-upstream-rq-timeout-alt-response", 40},
    {"x-envoy-upstream-rq-timeout-ms", 30},
};

/* The only line of this name, with a value of our own making, which needs no check when written. */
static void set_own(struct header_list *headers, enum header_id id, struct str value)
{
    if (header_list_has(headers, id))
        header_list_set(headers, id, value);
    else
        header_list_add_item(headers, id, header_name(id), value, HEADER_IS_CHECKED);
}

bool forwarding_check_underscores(struct http_stream *stream)
{
    enum underscore_action action = stream->listener->underscores;
    struct header_list *headers = &stream->request.headers;
    if (action == UNDERSCORE_ALLOW)
        return true;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < headers->len; i++) {
        if (headers->items[i].flags & HEADER_HAS_UNDERSCORE) {
            if (action == UNDERSCORE_REJECT)
                return false;
            continue;
        }
        if (kept != i)
            headers->items[kept] = headers->items[i];
        kept++;
    }
    headers->len = kept; /* no interned name has an underscore, so `present` stays true enough */
    return true;
}

/* Index of the colon before the port, or the length. */
static size_t port_at(struct str authority)
{
    size_t at = authority.len;
    while (at > 0 && authority.data[at - 1] >= '0' && authority.data[at - 1] <= '9')
        at--;
    bool has_port = at > 0 && at < authority.len && authority.data[at - 1] == ':';
    return has_port ? at - 1 : authority.len;
}

void forwarding_normalise_host(struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    struct str *authority = &stream->request.authority;
    size_t colon = port_at(*authority);
    if (listener->strip_trailing_host_dot && colon > 1 && authority->data[colon - 1] == '.') {
        if (colon == authority->len) {
            authority->len = --colon;
        } else {
            char *copy = arena_alloc(&stream->arena, authority->len);
            memcpy(copy, authority->data, colon - 1);
            memcpy(copy + colon - 1, authority->data + colon, authority->len - colon);
            *authority = (struct str){.data = copy, .len = authority->len - 1};
            colon--;
        }
    }
    if (colon == authority->len)
        return;
    struct str port = str_slice(*authority, colon, authority->len);
    bool strips = listener->strip_any_host_port || (listener->strip_matching_host_port &&
                                                    str_ends_with(stream->local_address, port));
    if (strips)
        authority->len = colon;
}

/* --- who calls ------------------------------------------------------------------------------ */

static bool is_ip(struct str text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];
    if (!text.len || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
}

/* The count-th address from the end (1: the last) of all x-forwarded-for lines together; empty
 * where there are not so many or it is no address. */
static struct str forwarded_from_end(const struct header_list *headers, uint32_t count)
{
    for (uint32_t i = headers->len; i-- > 0;) {
        if (headers->items[i].id != HEADER_X_FORWARDED_FOR)
            continue;
        struct str rest = headers->items[i].value;
        for (size_t end = rest.len;;) {
            size_t comma = end;
            while (comma > 0 && rest.data[comma - 1] != ',')
                comma--;
            struct str token = str_trim(str_slice(rest, comma, end));
            if (--count == 0)
                return is_ip(token) ? token : (struct str){0};
            if (comma == 0)
                break;
            end = comma - 1;
        }
    }
    return (struct str){0};
}

static struct str host_of(struct str address)
{
    size_t colon = port_at(address);
    if (address.len && address.data[0] == '[' && colon >= 2)
        return str_slice(address, 1, colon - 1);
    return str_slice(address, 0, colon);
}

static void set_client_ip(struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    struct str peer = host_of(stream->remote_address);
    uint32_t hops = listener->xff_trusted_hops;
    stream->client_ip = peer;
    uint32_t from_end = listener->use_remote_address ? hops : hops + 1;
    if (from_end && header_list_has(&stream->request.headers, HEADER_X_FORWARDED_FOR)) {
        struct str ip = forwarded_from_end(&stream->request.headers, from_end);
        if (ip.len)
            stream->client_ip = ip;
    }
    if (!listener->use_remote_address || listener->skip_xff_append || !peer.len)
        return;
    if (header_list_has(&stream->request.headers, HEADER_X_FORWARDED_FOR))
        header_list_append(&stream->request.headers, HEADER_X_FORWARDED_FOR, peer);
    else
        set_own(&stream->request.headers, HEADER_X_FORWARDED_FOR, peer);
}

static void drop_internal_headers(struct header_list *headers)
{
    bool has_any = false;
    for (uint32_t i = 0; i < headers->len && !has_any; i++)
        has_any = str_starts_with(headers->items[i].name, STR("x-envoy-"));
    for (size_t i = 0; has_any && i < sizeof internal_names / sizeof *internal_names; i++)
        header_list_remove_name(headers, internal_names[i]);
}

/* --- request id ----------------------------------------------------------------------------- */

static char *put_hex(char *at, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value >>= 4)
        at[i] = "0123456789abcdef"[value & 15];
    return at + digits;
}

/* A UUID of version 4 (RFC 9562). */
static struct str new_request_id(struct http_stream *stream)
{
    uint64_t high = worker_random(stream->worker), low = worker_random(stream->worker);
    char *text = arena_alloc(&stream->arena, 36), *at = text;
    at = put_hex(at, high >> 32, 8);
    *at++ = '-';
    at = put_hex(at, high >> 16, 4);
    *at++ = '-';
    at = put_hex(at, 0x4000 | (high & 0xfff), 4);
    *at++ = '-';
    at = put_hex(at, 0x8000 | ((low >> 48) & 0x3fff), 4);
    *at++ = '-';
    put_hex(at, low, 12);
    return (struct str){.data = text, .len = 36};
}

static void set_request_id(struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    struct header_list *headers = &stream->request.headers;
    bool is_edge = listener->use_remote_address;
    bool keeps = !is_edge || listener->preserve_external_request_id;
    bool has_one = header_list_has(headers, HEADER_X_REQUEST_ID);
    if (has_one && keeps)
        return;
    if (listener->generate_request_id)
        set_own(headers, HEADER_X_REQUEST_ID, new_request_id(stream));
    else if (has_one && is_edge)
        header_list_remove(headers, HEADER_X_REQUEST_ID);
}

void forwarding_complete_request(struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    struct header_list *headers = &stream->request.headers;
    bool trusts_proto = listener->xff_trusted_hops > 0 || !listener->use_remote_address;
    set_client_ip(stream);
    /* As in Envoy without mutual TLS: nobody here can say this of a client (threats S21). */
    header_list_remove(headers, HEADER_X_FORWARDED_CLIENT_CERT);
    if (listener->use_remote_address)
        drop_internal_headers(headers);
    if (!trusts_proto || !header_list_has(headers, HEADER_X_FORWARDED_PROTO))
        set_own(headers, HEADER_X_FORWARDED_PROTO, STR("http"));
    set_request_id(stream);
    if (listener->via.len)
        header_list_append(headers, HEADER_VIA, listener->via);
}

void forwarding_complete_response(struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    struct header_list *headers = &stream->response.headers;
    if (listener->via.len)
        header_list_append(headers, HEADER_VIA, listener->via);
    if (listener->always_set_request_id_in_response) {
        struct str id = header_list_value(&stream->request.headers, HEADER_X_REQUEST_ID);
        if (id.len)
            header_list_set(headers, HEADER_X_REQUEST_ID, id);
    }
    bool has_server = header_list_has(headers, HEADER_SERVER);
    if (listener->server_header == SERVER_HEADER_OVERWRITE ||
        (listener->server_header == SERVER_HEADER_APPEND_IF_ABSENT && !has_server))
        header_list_set(headers, HEADER_SERVER, listener->server_name);
    if (!header_list_has(headers, HEADER_DATE))
        set_own(headers, HEADER_DATE, worker_date(stream->worker));
}
