#include "tests/support/xds_peer.h"

#include "common/base/mem.h"
#include "common/rpc/rpc.h"
#include "tests/support/test.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <stdio.h>

enum { WORDS_MAX = 512 };

struct words {
    char text[16 * 1024];
    char *items[WORDS_MAX];
    size_t len;
};

static void split(struct words *words, const char *text)
{
    words->len = 0;
    snprintf(words->text, sizeof words->text, "%s", text ? text : "");
    char *save;
    for (char *word = strtok_r(words->text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        ck_assert_uint_lt(words->len, WORDS_MAX);
        words->items[words->len++] = word;
    }
}

/* Cuts "name=content" at the sign and returns the content. */
static const char *cut(char *word)
{
    char *sign = strchr(word, '=');
    if (!sign)
        return "";
    *sign = '\0';
    return sign + 1;
}

struct resource *xds_resource(enum resource_type type, const char *name, const char *content)
{
    Google__Protobuf__StringValue message = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    message.value = (char *)content;
    return resource_new(type, str_from(name), &message.base);
}

static int compare_names(const void *a, const void *b)
{
    const struct resource *const *left = a, *const *right = b;
    return str_compare((*left)->name, (*right)->name);
}

struct resource_set *xds_set(enum resource_type type, const char *text)
{
    struct words words;
    struct resource *items[WORDS_MAX];
    split(&words, text);
    for (size_t i = 0; i < words.len; i++) {
        const char *content = cut(words.items[i]);
        items[i] = xds_resource(type, words.items[i], content);
    }
    qsort(items, words.len, sizeof *items, compare_names);
    struct resource_set *set = resource_set_new(type, items, words.len);
    for (size_t i = 0; i < words.len; i++)
        resource_unref(items[i]);
    return set;
}

/* --- reading responses
 * ------------------------------------------------------------------------------ */

static char text_of_response[64 * 1024];

static void add_text(const char *prefix, const char *name, const Google__Protobuf__Any *any)
{
    size_t len = strlen(text_of_response);
    char content[64] = "";
    if (any) {
        Google__Protobuf__StringValue *value =
            google__protobuf__string_value__unpack(NULL, any->value.len, any->value.data);
        ck_assert_ptr_nonnull(value);
        snprintf(content, sizeof content, "=%s", value->value);
        google__protobuf__string_value__free_unpacked(value, NULL);
    }
    snprintf(text_of_response + len, sizeof text_of_response - len, "%s%s%s%s", len ? " " : "",
             prefix, name, content);
}

static void read_delta(struct str bytes, char ret_nonce[24])
{
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *message =
        envoy__service__discovery__v3__delta_discovery_response__unpack(
            NULL, bytes.len, (const uint8_t *)bytes.data);
    ck_assert_ptr_nonnull(message);
    for (size_t i = 0; i < message->n_resources; i++) {
        ck_assert_uint_eq(strlen(message->resources[i]->version), 32);
        add_text("", message->resources[i]->name, message->resources[i]->resource);
    }
    for (size_t i = 0; i < message->n_removed_resources; i++)
        add_text("-", message->removed_resources[i], NULL);
    snprintf(ret_nonce, 24, "%s", message->nonce);
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(message, NULL);
}

/* State of the world does not say names; contents are told apart by themselves: "=1 =2". */
static void read_sotw(struct str bytes, char ret_nonce[24])
{
    Envoy__Service__Discovery__V3__DiscoveryResponse *message =
        envoy__service__discovery__v3__discovery_response__unpack(NULL, bytes.len,
                                                                  (const uint8_t *)bytes.data);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(strlen(message->version_info), 32);
    for (size_t i = 0; i < message->n_resources; i++)
        add_text("", "", message->resources[i]);
    snprintf(ret_nonce, 24, "%s", message->nonce);
    envoy__service__discovery__v3__discovery_response__free_unpacked(message, NULL);
}

const char *xds_response_text(const struct response *response, bool is_delta, char ret_nonce[24])
{
    struct buf all;
    char nonce[24];
    buf_init(&all, SIZE_MAX);
    for (size_t i = 0; i < response->len; i++)
        buf_append_str(&all, rpc_buf_str(response->parts[i]));
    buf_append_str(&all, buf_str(&response->tail));
    ck_assert_uint_eq(all.len, response->bytes);
    text_of_response[0] = '\0';
    if (is_delta)
        read_delta(buf_str(&all), ret_nonce ? ret_nonce : nonce);
    else
        read_sotw(buf_str(&all), ret_nonce ? ret_nonce : nonce);
    buf_done(&all);
    return text_of_response[0] ? text_of_response : "empty";
}

/* --- the peer
 * --------------------------------------------------------------------------------------- */

void xds_peer_init(struct xds_peer *peer, enum resource_type type, bool is_delta,
                   const char *target)
{
    *peer = (struct xds_peer){.type = type};
    struct resource_set *set = xds_set(type, target);
    subscription_init(&peer->sub, type, &(struct subscription_options){.is_delta = is_delta}, set);
    resource_set_unref(set);
    response_init(&peer->response);
}

void xds_peer_done(struct xds_peer *peer)
{
    subscription_done(&peer->sub);
    response_done(&peer->response);
    diff_cache_clear(&peer->cache);
}

void xds_peer_publish(struct xds_peer *peer, const char *target)
{
    struct resource_set *set = xds_set(peer->type, target);
    subscription_set_target(&peer->sub, set);
    resource_set_unref(set);
}

static void add_name(char *list, size_t size, struct str name)
{
    size_t len = strlen(list);
    snprintf(list + len, size - len, "%s%.*s", len ? " " : "", STR_ARGS(name));
}

static void on_refused(void *arg, struct str name, const struct resource *content)
{
    struct xds_peer *peer = arg;
    (void)content;
    add_name(peer->refused, sizeof peer->refused, name);
}

static void on_update(void *arg, struct str name)
{
    struct xds_peer *peer = arg;
    add_name(peer->updated, sizeof peer->updated, name);
}

static size_t to_strs(struct words *words, const char *text, struct str *strs)
{
    split(words, text);
    for (size_t i = 0; i < words->len; i++)
        strs[i] = str_from(words->items[i]);
    return words->len;
}

static size_t to_versions(struct words *words, const char *text, enum resource_type type,
                          struct subscription_version *versions, struct content_hash *hashes)
{
    split(words, text);
    for (size_t i = 0; i < words->len; i++) {
        const char *content = cut(words->items[i]);
        struct resource *resource = xds_resource(type, words->items[i], content);
        hashes[i] = resource->version;
        versions[i] = (struct subscription_version){.name = str_from(words->items[i]),
                                                    .version = str_from(hashes[i].hex)};
        resource_unref(resource);
    }
    return words->len;
}

enum subscription_outcome xds_peer_request(struct xds_peer *peer, struct xds_request request)
{
    static struct words names, gone, claimed;
    static struct str name_strs[WORDS_MAX], gone_strs[WORDS_MAX];
    static struct subscription_version versions[WORDS_MAX];
    static struct content_hash hashes[WORDS_MAX];
    bool is_delta = peer->sub.is_delta;
    if (request.names && !is_delta)
        snprintf(peer->names, sizeof peer->names, "%s", request.names);
    struct subscription_request raw = {
        .nonce = str_from(request.nonce ? request.nonce : peer->nonce),
        .error = str_from(request.error),
        .version_info = str_from(request.version_info),
        .subscribe = name_strs,
        .subscribe_count = to_strs(&names, is_delta ? request.names : peer->names, name_strs),
        .unsubscribe = gone_strs,
        .unsubscribe_count = to_strs(&gone, request.gone, gone_strs),
        .versions = versions,
        .version_count = to_versions(&claimed, request.versions, peer->type, versions, hashes),
    };
    enum subscription_outcome outcome;
    struct errmsg msg;
    peer->refused[0] = '\0';
    int err = subscription_request(&peer->sub, &raw, on_refused, peer, &outcome, &msg);
    ck_assert_int_eq(err, 0);
    return outcome;
}

void xds_peer_ask(struct xds_peer *peer, const char *names)
{
    enum subscription_outcome outcome =
        xds_peer_request(peer, (struct xds_request){.names = names, .nonce = ""});
    ck_assert_int_eq(outcome, SUBSCRIPTION_REQUEST);
}

void xds_peer_ack(struct xds_peer *peer)
{
    enum subscription_outcome outcome = xds_peer_request(peer, (struct xds_request){0});
    ck_assert_int_eq(outcome, SUBSCRIPTION_ACK);
}

void xds_peer_nack(struct xds_peer *peer, const char *error)
{
    enum subscription_outcome outcome =
        xds_peer_request(peer, (struct xds_request){.error = error});
    ck_assert_int_eq(outcome, SUBSCRIPTION_NACK);
}

const char *xds_peer_next(struct xds_peer *peer)
{
    peer->updated[0] = '\0';
    bool has = subscription_next(&peer->sub, &peer->cache, peer->last_nonce + 1, on_update, peer,
                                 &peer->response);
    diff_cache_clear(&peer->cache);
    if (!has)
        return "nothing";
    peer->last_nonce++;
    return xds_response_text(&peer->response, peer->sub.is_delta, peer->nonce);
}
