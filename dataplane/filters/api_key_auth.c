/*
 * Who calls, by API key. The key is looked for in the sources in their order, the first that has
 * one decides. Keys are found by a keyed hash and then compared in constant time, so that neither
 * the table nor the comparison tells how much of a guess was right (threats S49); unknown and
 * missing keys get the same answer.
 *
 * As in Envoy, a route's settings replace the listener's credentials and sources where they have
 * some, and its forwarding always.
 */
#include "dataplane/filters/api_key_auth.h"

#include "common/base/hash.h"
#include "dataplane/config/stats.h"
#include "dataplane/filters/query.h"
#include "dataplane/http/path.h"

#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <openssl/crypto.h>

typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuth filter_message;
typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuthPerRoute route_message;
typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__Credential credential_message;
typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__KeySource source_message;
typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__Forwarding forwarding_message;

enum {
    CREDENTIALS_MAX = 1000000,
    KEY_BYTES_MAX = 4096,
    SOURCES_MAX = 16,
};

enum source_kind { SOURCE_HEADER, SOURCE_QUERY, SOURCE_COOKIE };

struct key_source {
    enum source_kind kind;
    struct str name; /* of a header in lower case */
    enum header_id id;
};

/* A row of a table of secrets or names; key.data NULL: free. */
struct key_row {
    uint64_t hash;
    struct str key;
    struct str client;
};

/* Open addressing, at most half full. */
struct key_table {
    struct key_row *rows; /* NULL: empty */
    size_t slots;         /* a power of two */
};

struct key_settings {
    struct key_table credentials;
    bool has_credentials;
    struct key_source *sources;
    size_t source_count;
    struct key_table allowed; /* of a route: clients that may call; none: all */
    bool has_allowed;
    struct str forward_header; /* empty: none */
    enum header_id forward_id;
    bool hides_credentials;
};

/* --- tables --- */

static void table_init(struct key_table *table, struct arena *arena, size_t count)
{
    table->slots = 4;
    while (table->slots < count * 2)
        table->slots *= 2;
    table->rows = arena_alloc_array(arena, table->slots, sizeof *table->rows);
}

/* The row of key, or the free one where it belongs. Every row with the same hash is compared in
 * full and in constant time. */
static struct key_row *table_row(const struct key_table *table, struct str key, uint64_t hash)
{
    size_t mask = table->slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct key_row *row = &table->rows[i];
        if (!row->key.data)
            return row;
        if (row->hash == hash && row->key.len == key.len &&
            CRYPTO_memcmp(row->key.data, key.data, key.len) == 0)
            return row;
    }
}

static const struct key_row *table_find(const struct key_table *table, struct str key)
{
    if (!table->rows || !key.len)
        return NULL;
    const struct key_row *row = table_row(table, key, hash_keyed(key));
    return row->key.data ? row : NULL;
}

/* False where key is there already. */
static bool table_add(struct key_table *table, struct arena *arena, struct str key,
                      struct str client)
{
    uint64_t hash = hash_keyed(key);
    struct key_row *row = table_row(table, key, hash);
    if (row->key.data)
        return false;
    *row = (struct key_row){
        .hash = hash, .key = arena_copy_str(arena, key), .client = arena_copy_str(arena, client)};
    return true;
}

/* --- loading; messages never hold a key --- */

static int load_credentials(struct filter_load *load, credential_message *const *messages,
                            size_t count, struct key_settings *settings, struct errmsg *msg)
{
    settings->has_credentials = count > 0;
    if (!count)
        return 0;
    if (count > CREDENTIALS_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "api_key_auth: more than %d credentials",
                          CREDENTIALS_MAX);
    table_init(&settings->credentials, load->arena, count);
    for (size_t i = 0; i < count; i++) {
        struct str key = str_from(messages[i]->key), client = str_from(messages[i]->client);
        if (!key.len || key.len > KEY_BYTES_MAX || !client.len || !header_value_is_valid(client))
            return errmsg_set(msg, ERR_INVALID,
                              "api_key_auth: credential %zu (client %s): key or client is empty or "
                              "not usable",
                              i, messages[i]->client);
        if (!table_add(&settings->credentials, load->arena, key, client))
            return errmsg_set(msg, ERR_EXISTS,
                              "api_key_auth: the key of credential %zu (client %s) is there twice",
                              i, messages[i]->client);
    }
    return 0;
}

static struct str lower_copy(struct arena *arena, const char *text)
{
    char *copy = arena_copy_string(arena, text);
    for (char *c = copy; *c; c++)
        *c = ascii_lower(*c);
    return str_from(copy);
}

static int load_source(struct filter_load *load, const source_message *message,
                       struct key_source *source, struct errmsg *msg)
{
    int set = (*message->header != '\0') + (*message->query != '\0') + (*message->cookie != '\0');
    if (set != 1)
        return errmsg_set(msg, ERR_INVALID,
                          "api_key_auth: a key source needs exactly one of header, query, cookie");
    if (*message->header) {
        source->kind = SOURCE_HEADER;
        source->name = lower_copy(load->arena, message->header);
        source->id = header_id_of(source->name);
        if (!header_name_is_valid(source->name))
            return errmsg_set(msg, ERR_INVALID, "api_key_auth: %s is not a header name",
                              message->header);
        return 0;
    }
    source->kind = *message->query ? SOURCE_QUERY : SOURCE_COOKIE;
    source->name = str_from(
        arena_copy_string(load->arena, *message->query ? message->query : message->cookie));
    return 0;
}

static int load_sources(struct filter_load *load, source_message *const *messages, size_t count,
                        struct key_settings *settings, struct errmsg *msg)
{
    if (count > SOURCES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "api_key_auth: more than %d key sources",
                          SOURCES_MAX);
    settings->source_count = count;
    settings->sources =
        arena_alloc_array(load->arena, count ? count : 1, sizeof *settings->sources);
    for (size_t i = 0; i < count; i++) {
        int err = load_source(load, messages[i], &settings->sources[i], msg);
        if (err)
            return err;
    }
    return 0;
}

static int load_forwarding(struct filter_load *load, const forwarding_message *message,
                           struct key_settings *settings, struct errmsg *msg)
{
    if (!message)
        return 0;
    settings->hides_credentials = message->hide_credentials;
    settings->forward_header = lower_copy(load->arena, message->header);
    settings->forward_id = header_id_of(settings->forward_header);
    if (settings->forward_header.len &&
        (!header_name_is_valid(settings->forward_header) || settings->forward_id == HEADER_HOST))
        return errmsg_set(msg, ERR_INVALID, "api_key_auth: forwarding: %s cannot be set",
                          message->header);
    return 0;
}

static int load_settings(struct filter_load *load, credential_message *const *credentials,
                         size_t credential_count, source_message *const *sources,
                         size_t source_count, const forwarding_message *forwarding,
                         struct key_settings **ret_settings, struct errmsg *msg)
{
    struct key_settings *settings = ARENA_NEW(load->arena, struct key_settings);
    *ret_settings = settings;
    int err = load_credentials(load, credentials, credential_count, settings, msg);
    if (!err)
        err = load_sources(load, sources, source_count, settings, msg);
    return err ? err : load_forwarding(load, forwarding, settings, msg);
}

static int load(struct filter_load *load, const ProtobufCMessage *message, const void **ret_config,
                struct errmsg *msg)
{
    const filter_message *typed = (const filter_message *)message;
    struct key_settings *settings;
    int err = load_settings(load, typed->credentials, typed->n_credentials, typed->key_sources,
                            typed->n_key_sources, typed->forwarding, &settings, msg);
    if (!err)
        *ret_config = settings;
    return err;
}

static int load_route(struct filter_load *load, const ProtobufCMessage *message,
                      const void **ret_config, struct errmsg *msg)
{
    const route_message *typed = (const route_message *)message;
    struct key_settings *settings;
    int err = load_settings(load, typed->credentials, typed->n_credentials, typed->key_sources,
                            typed->n_key_sources, typed->forwarding, &settings, msg);
    if (err)
        return err;
    settings->has_allowed = typed->n_allowed_clients > 0;
    if (settings->has_allowed)
        table_init(&settings->allowed, load->arena, typed->n_allowed_clients);
    for (size_t i = 0; i < typed->n_allowed_clients; i++)
        if (*typed->allowed_clients[i])
            table_add(&settings->allowed, load->arena, str_from(typed->allowed_clients[i]),
                      (struct str){0});
    *ret_config = settings;
    return 0;
}

/* --- reading a key --- */

static struct str key_in_header(const struct http_request *request, const struct key_source *source)
{
    const struct header *header = source->id == HEADER_OTHER
                                      ? header_list_find_name(&request->headers, source->name)
                                      : header_list_find(&request->headers, source->id);
    if (!header)
        return (struct str){0};
    struct str value = header->value, bearer = STR("Bearer ");
    return str_starts_with(value, bearer) ? str_slice(value, bearer.len, value.len) : value;
}

/* The next cookie of a line and its name; takes it off *line. */
static bool next_cookie(struct str *line, struct str *ret_cookie, struct str *ret_name)
{
    while (line->len) {
        size_t end = str_find_char(*line, ';', 0);
        *ret_cookie = str_trim(str_slice(*line, 0, end));
        *line = str_slice(*line, end < line->len ? end + 1 : end, line->len);
        if (!ret_cookie->len)
            continue;
        *ret_name = str_trim(str_slice(*ret_cookie, 0, str_find_char(*ret_cookie, '=', 0)));
        return true;
    }
    return false;
}

static struct str cookie_value(struct str cookie)
{
    size_t equals = str_find_char(cookie, '=', 0);
    if (equals == cookie.len)
        return (struct str){0};
    struct str value = str_trim(str_slice(cookie, equals + 1, cookie.len));
    bool is_quoted = value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"';
    return is_quoted ? str_slice(value, 1, value.len - 1) : value;
}

static struct str key_in_cookie(const struct http_request *request, const struct key_source *source)
{
    const struct header_list *headers = &request->headers;
    for (const struct header *header = header_list_find(headers, HEADER_COOKIE); header;
         header = header_list_find_next(headers, header)) {
        struct str line = header->value, cookie, name;
        while (next_cookie(&line, &cookie, &name))
            if (str_equal(name, source->name))
                return cookie_value(cookie);
    }
    return (struct str){0};
}

/* The key of the first source that has one; empty where none has. */
static struct str find_key(struct http_stream *stream, const struct key_settings *settings)
{
    for (size_t i = 0; i < settings->source_count; i++) {
        const struct key_source *source = &settings->sources[i];
        struct str key = {0};
        switch (source->kind) {
        case SOURCE_HEADER:
            key = key_in_header(&stream->request, source);
            break;
        case SOURCE_QUERY:
            key = query_value(&stream->arena, stream->request.path, source->name);
            break;
        case SOURCE_COOKIE:
            key = key_in_cookie(&stream->request, source);
            break;
        }
        if (key.len)
            return key;
    }
    return (struct str){0};
}

/* --- taking keys off the request --- */

static void hide_in_query(struct http_stream *stream, const struct key_source *source)
{
    struct str path = stream->request.path;
    struct query_pair pair;
    char *copy = arena_alloc(&stream->arena, path.len + 1);
    size_t len = path_query_at(path);
    bool is_first = true, is_changed = false;
    memcpy(copy, path.data, len);
    for (size_t at = len; query_next(path, &at, &pair);) {
        if (str_equal(query_decode(&stream->arena, pair.name), source->name)) {
            is_changed = true;
            continue;
        }
        copy[len++] = is_first ? '?' : '&';
        is_first = false;
        if (pair.text.len)
            memcpy(copy + len, pair.text.data, pair.text.len);
        len += pair.text.len;
    }
    if (is_changed)
        stream->request.path = (struct str){.data = copy, .len = len};
}

/* The line without the cookie of this name; the line itself where it has none. */
static struct str line_without(struct http_stream *stream, struct str line, struct str unwanted)
{
    struct str rest = line, cookie, name;
    char *copy = arena_alloc(&stream->arena, 2 * line.len + 2);
    size_t len = 0;
    bool is_changed = false;
    while (next_cookie(&rest, &cookie, &name)) {
        if (str_equal(name, unwanted)) {
            is_changed = true;
            continue;
        }
        if (len) {
            memcpy(copy + len, "; ", 2);
            len += 2;
        }
        memcpy(copy + len, cookie.data, cookie.len);
        len += cookie.len;
    }
    return is_changed ? (struct str){.data = copy, .len = len} : line;
}

static void hide_in_cookies(struct http_stream *stream, const struct key_source *source)
{
    struct header_list *headers = &stream->request.headers;
    bool has_any = false;
    for (struct header *header = header_list_find(headers, HEADER_COOKIE); header;
         header = header_list_find_next(headers, header)) {
        struct str kept = line_without(stream, header->value, source->name);
        if (kept.data != header->value.data)
            header_set_value(header, kept);
        has_any |= kept.len > 0;
    }
    if (!has_any)
        header_list_remove(headers, HEADER_COOKIE);
}

static void hide_keys(struct http_stream *stream, const struct key_settings *sources)
{
    for (size_t i = 0; i < sources->source_count; i++) {
        const struct key_source *source = &sources->sources[i];
        switch (source->kind) {
        case SOURCE_HEADER:
            header_list_remove_name(&stream->request.headers, source->name);
            break;
        case SOURCE_QUERY:
            hide_in_query(stream, source);
            break;
        case SOURCE_COOKIE:
            hide_in_cookies(stream, source);
            break;
        }
    }
}

/* --- the hook --- */

static enum filter_status deny(struct http_stream *stream, unsigned status, const char *details)
{
    if (status == 401) {
        stat_inc(&stream->stats->auth_unauthorized);
        http_stream_reply(stream, 401, STR("Client authentication failed."), details, NULL);
    } else {
        stat_inc(&stream->stats->auth_forbidden);
        http_stream_reply(stream, 403, STR("Client is forbidden."), details, NULL);
    }
    return FILTER_REPLIED;
}

static enum filter_status on_request_headers(struct http_filter *filter, struct http_stream *stream,
                                             bool is_end)
{
    (void)is_end;
    const struct key_settings *common = filter->config, *route = filter->route_config;
    const struct key_settings *sources = route && route->source_count ? route : common;
    const struct key_settings *credentials = route && route->has_credentials ? route : common;
    const struct key_settings *forwarding = route ? route : common;
    struct str key = find_key(stream, sources);
    if (!key.len)
        return deny(stream, 401, "missing_api_key");
    const struct key_row *row = table_find(&credentials->credentials, key);
    if (!row)
        return deny(stream, 401, "unknown_api_key");
    if (route && route->has_allowed && !table_find(&route->allowed, row->client))
        return deny(stream, 403, "client_not_allowed");
    stat_inc(&stream->stats->auth_allowed);
    stream->consumer = row->client;
    if (forwarding->hides_credentials)
        hide_keys(stream, sources);
    if (forwarding->forward_header.len)
        header_list_set_name(&stream->request.headers, forwarding->forward_header, row->client);
    return FILTER_CONTINUE;
}

const struct http_filter_type api_key_auth_filter = {
    .name = "envoy.filters.http.api_key_auth",
    .config_descriptor =
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor,
    .route_descriptor =
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor,
    .load = load,
    .load_route = load_route,
    .on_request_headers = on_request_headers,
};
