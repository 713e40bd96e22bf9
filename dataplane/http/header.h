/*
 * Header names, and the list of header lines of one message.
 *
 * Names are lower case everywhere behind the codecs. Common names are interned: they have an enum
 * header_id, and looking one up that is not there costs one bit test. A list keeps the order of its
 * lines. Names and values are borrowed: from the read buffer, from static storage or from the arena
 * of the stream; all must outlive the list. One list belongs to one thread.
 *
 * Limits: the codecs bound how many lines and bytes a peer can put into a list (struct h1_limits);
 * what filters add is bounded by the configuration.
 */
#ifndef DATAPLANE_HTTP_HEADER_H
#define DATAPLANE_HTTP_HEADER_H

#include "common/base/arena.h"
#include "common/base/str.h"

/* enumerator without its prefix, name; shorter names first (lookup goes by length). At most 63
 * rows: header_list.present is one word. */
#define HEADER_LIST(X)                                                                             \
    X(TE, "te")                                                                                    \
    X(VIA, "via")                                                                                  \
    X(HOST, "host")                                                                                \
    X(DATE, "date")                                                                                \
    X(VARY, "vary")                                                                                \
    X(ETAG, "etag")                                                                                \
    X(RANGE, "range")                                                                              \
    X(EXPECT, "expect")                                                                            \
    X(SERVER, "server")                                                                            \
    X(COOKIE, "cookie")                                                                            \
    X(ORIGIN, "origin")                                                                            \
    X(ACCEPT, "accept")                                                                            \
    X(UPGRADE, "upgrade")                                                                          \
    X(TRAILER, "trailer")                                                                          \
    X(REFERER, "referer")                                                                          \
    X(LOCATION, "location")                                                                        \
    X(FORWARDED, "forwarded")                                                                      \
    X(X_REAL_IP, "x-real-ip")                                                                      \
    X(X_API_KEY, "x-api-key")                                                                      \
    X(CONNECTION, "connection")                                                                    \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(USER_AGENT, "user-agent")                                                                    \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(TRACEPARENT, "traceparent")                                                                  \
    X(GRPC_STATUS, "grpc-status")                                                                  \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(X_REQUEST_ID, "x-request-id")                                                                \
    X(GRPC_TIMEOUT, "grpc-timeout")                                                                \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(LAST_MODIFIED, "last-modified")                                                              \
    X(AUTHORIZATION, "authorization")                                                              \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(HTTP2_SETTINGS, "http2-settings")                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCEPT_LANGUAGE, "accept-language")                                                          \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
    X(X_ENVOY_INTERNAL, "x-envoy-internal")                                                        \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key")                                                      \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(X_ENVOY_OVERLOADED, "x-envoy-overloaded")                                                    \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path")                                              \
    X(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count")                                              \
    X(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert")                                          \
    X(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address")                                        \
    X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time")                              \
    X(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, "x-envoy-expected-rq-timeout-ms")

/* HEADER_OTHER: a name that is not interned. */
enum header_id {
    HEADER_OTHER = 0,
#define HEADER_ENUM(id, name) HEADER_##id,
    HEADER_LIST(HEADER_ENUM)
#undef HEADER_ENUM
        HEADER_COUNT
};

enum header_flags {
    /* The name contains '_'; whether such a line is dropped is the listener's policy. */
    HEADER_HAS_UNDERSCORE = 1,
    /* Name and value were found fit for the wire, by the parser; others are looked at when they are
     * written. */
    HEADER_IS_CHECKED = 2,
};

struct header {
    struct str name; /* lower case */
    struct str value;
    enum header_id id;
    uint8_t flags; /* enum header_flags */
};

struct header_list {
    struct header *items;
    uint32_t len, cap;
    uint64_t present; /* a bit per header_id that is in the list, HEADER_OTHER included */
    struct arena *arena;
};

/* The id of a lower-case name. */
enum header_id header_id_of(struct str name);
/* The name of an interned id (not HEADER_OTHER); static storage. */
struct str header_name(enum header_id id);
/* A token of RFC 9110 without upper-case letters. */
bool header_name_is_valid(struct str name);
/* No control character but HTAB; bytes from 0x80 are fine. */
bool header_value_is_valid(struct str value);

/* An empty list that grows in arena. Allocates nothing yet. */
void header_list_init(struct header_list *list, struct arena *arena);
/* Empties it, keeps its memory. */
void header_list_clear(struct header_list *list);
/* Slow path of the inline below; do not call. */
void header_list_grow(struct header_list *list);

/* Adds a line at the end whose name (lower case) has this id. */
static inline struct header *header_list_add_item(struct header_list *list, enum header_id id,
                                                  struct str name, struct str value, uint8_t flags)
{
    if (list->len == list->cap)
        header_list_grow(list);
    struct header *header = &list->items[list->len++];
    *header = (struct header){.name = name, .value = value, .id = id, .flags = flags};
    list->present |= 1ull << id;
    return header;
}

/* Adds a line at the end. */
void header_list_add(struct header_list *list, enum header_id id, struct str value);
void header_list_add_name(struct header_list *list, struct str name, struct str value);
/* Leaves exactly one line of this name, with this value, at the place of the first one there was,
 * otherwise at the end. */
void header_list_set(struct header_list *list, enum header_id id, struct str value);
void header_list_set_name(struct header_list *list, struct str name, struct str value);
/* Appends ", value" to the last line of this name, in the arena; adds a line where there is none.
 */
void header_list_append(struct header_list *list, enum header_id id, struct str value);
/* Removes every line of this name and returns how many there were. */
uint32_t header_list_remove(struct header_list *list, enum header_id id);
uint32_t header_list_remove_name(struct header_list *list, struct str name);

static inline bool header_list_has(const struct header_list *list, enum header_id id)
{
    return (list->present >> id) & 1;
}

/* Slow path of header_list_find; do not call. */
struct header *header_list_find_present(const struct header_list *list, enum header_id id);

/* The first line of this name, or NULL. To change its value, use header_set_value. */
static inline struct header *header_list_find(const struct header_list *list, enum header_id id)
{
    return header_list_has(list, id) ? header_list_find_present(list, id) : NULL;
}
struct header *header_list_find_name(const struct header_list *list, struct str name);
/* The next line with the name of `after` (a line of this list), or NULL. */
struct header *header_list_find_next(const struct header_list *list, const struct header *after);
/* The value of the first line of this name; data NULL where there is none. */
struct str header_list_value(const struct header_list *list, enum header_id id);

/* Replaces the value of a line; it is checked again when it is written. */
static inline void header_set_value(struct header *header, struct str value)
{
    header->value = value;
    header->flags &= (uint8_t)~HEADER_IS_CHECKED;
}

/* Joins several lines of one name into one "a,b", in the arena, where the name is one for which
 * Envoy does so as it reads a request (accept, authorization, user-agent, x-forwarded-for, …): so
 * everybody behind, filters and servers, sees the same value. */
void header_list_join_lines(struct header_list *list);

/* The next element of a comma-separated list, trimmed, and takes it off *list; empty elements are
 * skipped. len 0 where none is left. */
struct str header_next_token(struct str *list);

/* More connection options than this in one message are refused by the parser: the work of
 * header_list_strip_hop_by_hop is this many times the lines of the list. */
enum { HEADER_CONNECTION_OPTIONS_MAX = 32 };

/* Removes what belongs to the connection a message came on (RFC 9110 7.6.1): connection and the
 * names it lists, keep-alive, proxy-connection, upgrade, http2-settings, and te, of which
 * "trailers" is kept. Names that decide about framing, identity or routing (host, content-length,
 * authorization, cookie, x-forwarded-*, …) stay even where connection lists them: a client must not
 * be able to strip them. Framing lines are left to the writer, which makes its own. Call it before
 * anything is added on the way. */
void header_list_strip_hop_by_hop(struct header_list *list);

#endif
