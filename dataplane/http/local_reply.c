#include "dataplane/http/local_reply.h"

#include "dataplane/http/access_log.h"
#include "dataplane/http/format.h"
#include "dataplane/http/header_mutations.h"

typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__LocalReplyConfig
    local_reply_message;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__ResponseMapper
    mapper_message;

struct mapper {
    const struct access_log_filter *filter;
    unsigned status; /* 0: kept */
    bool has_body;
    struct str body;
    const struct format *format; /* NULL: the common one */
    const struct header_mutations *headers;
};

struct local_reply_config {
    struct mapper *mappers;
    size_t mapper_count;
    const struct format *format; /* NULL: the body as it is */
};

/* --- compiling --- */

static int set_body(struct filter_load *load, struct mapper *mapper,
                    const Envoy__Config__Core__V3__DataSource *source, struct errmsg *msg)
{
    bool is_string =
        source->specifier_case == ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
    bool is_bytes =
        source->specifier_case == ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES;
    if (!is_string && !is_bytes)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "body: only inline_string and inline_bytes are supported");
    struct str body = is_string ? str_from(source->inline_string)
                                : (struct str){.data = (const char *)source->inline_bytes.data,
                                               .len = source->inline_bytes.len};
    if (body.len > LOCAL_REPLY_BODY_BYTES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "body: over %d bytes", LOCAL_REPLY_BODY_BYTES_MAX);
    mapper->has_body = true;
    mapper->body = arena_copy_str(load->arena, body);
    return 0;
}

static int mapper_init(struct filter_load *load, const mapper_message *message,
                       struct mapper *mapper, struct errmsg *msg)
{
    if (!message->filter)
        return errmsg_set(msg, ERR_INVALID, "filter is missing");
    int err = access_log_filter_new(load, message->filter, &mapper->filter, msg);
    mapper->status = message->status_code ? message->status_code->value : 0;
    if (!err && message->status_code && (mapper->status < 200 || mapper->status > 599))
        err = errmsg_set(msg, ERR_INVALID, "status_code: %u is not in 200 to 599", mapper->status);
    if (!err && message->body)
        err = set_body(load, mapper, message->body, msg);
    if (!err && message->body_format_override) {
        err = format_new(load->arena, message->body_format_override, &mapper->format, msg);
        if (err)
            errmsg_prefix(msg, "body_format_override: ");
    }
    return err ? err
               : header_mutations_new(load->arena, message->headers_to_add,
                                      message->n_headers_to_add, NULL, 0, NULL, &mapper->headers,
                                      msg);
}

int local_reply_config_new(struct filter_load *load, const local_reply_message *message,
                           const struct local_reply_config **ret_config, struct errmsg *msg)
{
    struct local_reply_config *config = ARENA_NEW(load->arena, struct local_reply_config);
    size_t count = message->n_mappers;
    config->mapper_count = count;
    config->mappers = arena_alloc_array(load->arena, count ? count : 1, sizeof *config->mappers);
    for (size_t i = 0; i < count; i++) {
        int err = mapper_init(load, message->mappers[i], &config->mappers[i], msg);
        if (err) {
            errmsg_prefix(msg, "local_reply_config: mapper %zu: ", i);
            return err;
        }
    }
    if (message->body_format) {
        int err = format_new(load->arena, message->body_format, &config->format, msg);
        if (err) {
            errmsg_prefix(msg, "local_reply_config: body_format: ");
            return err;
        }
    }
    *ret_config = config;
    return 0;
}

/* --- applying --- */

static const struct mapper *find_mapper(const struct local_reply_config *config,
                                        const struct http_stream *stream)
{
    for (size_t i = 0; i < config->mapper_count; i++)
        if (access_log_filter_match(config->mappers[i].filter, stream))
            return &config->mappers[i];
    return NULL;
}

/* Headers first, then status and body, then the format: as Envoy does it. */
static const struct format *apply_mapper(const struct mapper *mapper, struct http_stream *stream,
                                         unsigned *status, struct str *body)
{
    header_mutations_apply(mapper->headers, stream, &stream->response.headers);
    if (mapper->status) {
        *status = mapper->status;
        stream->response.status = mapper->status;
    }
    if (mapper->has_body)
        *body = mapper->body;
    return mapper->format;
}

/* Returns the type of the body. */
static struct str rewrite(const struct local_reply_config *config, struct http_stream *stream,
                          unsigned *status, struct str *body)
{
    stream->response.status = *status;
    const struct mapper *mapper = find_mapper(config, stream);
    const struct format *format = mapper ? apply_mapper(mapper, stream, status, body) : NULL;
    if (!format)
        format = config->format;
    if (!format)
        return STR("text/plain");
    struct format_input input = {.stream = stream, .local_reply_body = *body};
    *body = format_render_arena(format, &input, &stream->arena, LOCAL_REPLY_BODY_BYTES_MAX);
    return format_content_type(format);
}

/* A type that the route's headers, or the mapper's, have given stays, but for a body that was
 * rewritten under the route's. */
void local_reply_apply(const struct local_reply_config *config, struct http_stream *stream,
                       unsigned *status, struct str *body, struct str *ret_content_type)
{
    const struct header_list *headers = &stream->response.headers;
    struct str type_before = header_list_value(headers, HEADER_CONTENT_TYPE), body_before = *body;
    struct str type = config ? rewrite(config, stream, status, body) : STR("text/plain");
    struct str given = header_list_value(headers, HEADER_CONTENT_TYPE);
    bool is_stale = str_equal(given, type_before) && !str_equal(*body, body_before);
    *ret_content_type = given.len && !is_stale ? given : type;
}
