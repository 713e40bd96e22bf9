#include "controlplane/status/ledger.h"

#include "common/base/map.h"
#include "common/base/mem.h"

struct ledger {
    struct list clients;
    struct map proxies; /* node id -> struct ledger_proxy */
    struct ledger_observer observer;
    uint64_t publication;
};

struct ledger *ledger_new(void)
{
    struct ledger *ledger = MEM_NEW(struct ledger);
    list_init(&ledger->clients);
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    ASSERT(list_is_empty(&ledger->clients));
    map_done(&ledger->proxies);
    mem_free(ledger);
}

void ledger_observe(struct ledger *ledger, const struct ledger_observer *observer)
{
    ledger->observer = observer ? *observer : (struct ledger_observer){0};
}

void ledger_begin_publication(struct ledger *ledger)
{
    ledger->publication++;
}

uint64_t ledger_publication(const struct ledger *ledger)
{
    return ledger->publication;
}

static struct str copy(struct str s)
{
    return (struct str){.data = mem_copy_string(s.data, s.len), .len = s.len};
}

static void tell_proxy(struct ledger *ledger, const struct ledger_proxy *proxy)
{
    if (ledger->observer.on_proxy)
        ledger->observer.on_proxy(ledger->observer.arg, proxy);
}

static struct ledger_proxy *proxy_of(const struct ledger_client *client)
{
    return map_find(&client->ledger->proxies, client->node_id);
}

static void tell_client(const struct ledger_client *client)
{
    tell_proxy(client->ledger, proxy_of(client));
}

static void tell_refusal(struct ledger *ledger, enum resource_type type, struct str name)
{
    if (ledger->observer.on_refusal)
        ledger->observer.on_refusal(ledger->observer.arg, type, name);
}

static void tell_publication(struct ledger *ledger)
{
    if (ledger->observer.on_publication)
        ledger->observer.on_publication(ledger->observer.arg);
}

static struct ledger_proxy *ensure_proxy(struct ledger *ledger, struct str node_id)
{
    struct ledger_proxy *proxy = map_find(&ledger->proxies, node_id);
    if (proxy)
        return proxy;
    proxy = MEM_NEW(struct ledger_proxy);
    proxy->node_id = copy(node_id);
    list_init(&proxy->clients);
    map_put(&ledger->proxies, proxy->node_id, proxy);
    return proxy;
}

struct ledger_client *ledger_connect(struct ledger *ledger, const struct ledger_client *info)
{
    struct ledger_client *client = MEM_NEW(struct ledger_client);
    *client = (struct ledger_client){
        .ledger = ledger,
        .stream_id = info->stream_id,
        .node_id = copy(info->node_id),
        .gateway = copy(info->gateway),
        .user_agent = copy(info->user_agent),
        .address = copy(info->address),
        .since_us = info->since_us,
        .is_gateway_known = info->is_gateway_known,
    };
    list_init(&client->refusals);
    list_append(&ledger->clients, &client->link);
    list_append(&ensure_proxy(ledger, info->node_id)->clients, &client->sibling);
    tell_client(client);
    return client;
}

static void refusal_free(struct ledger_client *client, struct ledger_refusal *refusal)
{
    list_remove(&refusal->link);
    client->refusal_count--;
    tell_refusal(client->ledger, refusal->type, refusal->name);
    mem_free((char *)refusal->name.data);
    mem_free(refusal->text);
    mem_free(refusal);
}

void ledger_disconnect(struct ledger_client *client)
{
    if (!client)
        return;
    struct ledger *ledger = client->ledger;
    struct ledger_proxy *proxy = proxy_of(client);
    LIST_FOR_EACH(link, &client->refusals)
        refusal_free(client, LIST_ENTRY(link, struct ledger_refusal, link));
    list_remove(&client->link);
    list_remove(&client->sibling);
    tell_proxy(ledger, proxy);
    tell_publication(ledger);
    if (list_is_empty(&proxy->clients)) {
        map_remove(&ledger->proxies, proxy->node_id);
        mem_free((char *)proxy->node_id.data);
        mem_free(proxy);
    }
    mem_free((char *)client->node_id.data);
    mem_free((char *)client->gateway.data);
    mem_free((char *)client->user_agent.data);
    mem_free((char *)client->address.data);
    mem_free(client);
}

static struct ledger_refusal *find_refusal(const struct ledger_client *client,
                                           enum resource_type type, struct str name)
{
    LIST_FOR_EACH(link, &client->refusals) {
        struct ledger_refusal *refusal = LIST_ENTRY(link, struct ledger_refusal, link);
        if (refusal->type == type && str_equal(refusal->name, name))
            return refusal;
    }
    return NULL;
}

/* As much of a proxy's words as is kept, and no half characters: others read them as JSON. */
static char *copy_text(struct str text)
{
    if (text.len > LEDGER_TEXT_BYTES_MAX) {
        text.len = LEDGER_TEXT_BYTES_MAX;
        while (text.len && ((unsigned char)text.data[text.len] & 0xc0) == 0x80)
            text.len--;
    }
    return mem_copy_string(text.data, text.len);
}

void ledger_refuse(struct ledger_client *client, enum resource_type type, struct str name,
                   const struct content_hash *version, struct str text, uint64_t now_us)
{
    struct ledger_refusal *refusal = find_refusal(client, type, name);
    if (!refusal && client->refusal_count == LEDGER_REFUSALS_MAX)
        return;
    if (!refusal) {
        refusal = MEM_NEW(struct ledger_refusal);
        refusal->type = type;
        refusal->name = copy(name);
        refusal->publication = client->progress.publication;
        refusal->ran = client->progress.version;
        list_append(&client->refusals, &refusal->link);
        client->refusal_count++;
    }
    mem_free(refusal->text);
    refusal->text = copy_text(text);
    refusal->version = *version;
    refusal->since_us = now_us;
    tell_refusal(client->ledger, type, refusal->name);
    tell_client(client);
}

void ledger_review(struct ledger_client *client, enum resource_type type,
                   bool (*is_refused)(const void *arg, struct str name), const void *arg)
{
    size_t before = client->refusal_count;
    LIST_FOR_EACH(link, &client->refusals) {
        struct ledger_refusal *refusal = LIST_ENTRY(link, struct ledger_refusal, link);
        if (refusal->type == type && !is_refused(arg, refusal->name))
            refusal_free(client, refusal);
    }
    if (client->refusal_count != before)
        tell_client(client);
}

void ledger_note_progress(struct ledger_client *client, const struct ledger_progress *progress)
{
    struct ledger_progress before = client->progress;
    client->progress = *progress;
    if (progress->publication != before.publication)
        tell_publication(client->ledger);
    if (progress->revision != before.revision || progress->is_in_sync != before.is_in_sync ||
        strcmp(progress->version.hex, before.version.hex) != 0)
        tell_client(client);
}

void ledger_set_gateway_known(struct ledger_client *client, bool is_known)
{
    if (client->is_gateway_known == is_known)
        return;
    client->is_gateway_known = is_known;
    tell_publication(client->ledger);
    tell_client(client);
}

const struct list *ledger_clients(const struct ledger *ledger)
{
    return &ledger->clients;
}

const struct ledger_proxy *ledger_find_proxy(const struct ledger *ledger, struct str node_id)
{
    return map_find(&ledger->proxies, node_id);
}
