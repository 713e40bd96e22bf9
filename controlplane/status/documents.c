#include "controlplane/status/documents.h"

#include "common/pbjson/pbjson.h"
#include "controlplane/status/status.h"

bool document_print(const ProtobufCMessage *message, struct buf *out)
{
    static const struct pbjson_options options = {.print_false = true};
    return pbjson_print(message, &options, out) == 0 && !out->is_overflown;
}

Google__Protobuf__Timestamp *document_of_time(uint64_t us, struct arena *arena)
{
    Google__Protobuf__Timestamp *time = ARENA_NEW(arena, Google__Protobuf__Timestamp);
    google__protobuf__timestamp__init(time);
    time->seconds = (int64_t)(us / 1000000);
    time->nanos = (int32_t)(us % 1000000 * 1000);
    return time;
}

Weir__V1__Refusal *document_of_refusal(const struct ledger_client *client,
                                       const struct ledger_refusal *refusal, struct arena *arena)
{
    Weir__V1__Refusal *message = ARENA_NEW(arena, Weir__V1__Refusal);
    weir__v1__refusal__init(message);
    message->proxy = (char *)client->node_id.data;
    message->resource = arena_printf(arena, "%s %.*s", resource_type_short_name(refusal->type),
                                     STR_ARGS(refusal->name));
    message->message = refusal->text;
    message->ran = (char *)refusal->ran.hex;
    return message;
}

static size_t count_refusals(const struct ledger_proxy *proxy)
{
    size_t count = 0;
    LIST_FOR_EACH(link, &proxy->clients) {
        count += LIST_ENTRY(link, struct ledger_client, sibling)->refusal_count;
    }
    return count < STATUS_REFUSALS_MAX ? count : STATUS_REFUSALS_MAX;
}

static void add_refusals(Weir__V1__ProxyStatus *message, const struct ledger_proxy *proxy,
                         struct arena *arena)
{
    size_t max = count_refusals(proxy);
    message->refused = arena_alloc_array(arena, max + 1, sizeof *message->refused);
    LIST_FOR_EACH(link, &proxy->clients) {
        const struct ledger_client *client = LIST_ENTRY(link, struct ledger_client, sibling);
        LIST_FOR_EACH(refused, &client->refusals) {
            if (message->n_refused == max)
                return;
            message->refused[message->n_refused++] = document_of_refusal(
                client, LIST_ENTRY(refused, struct ledger_refusal, link), arena);
        }
    }
}

Weir__V1__ProxyStatus *document_of_proxy(const struct ledger_proxy *proxy, const char *served_by,
                                         struct arena *arena)
{
    /* The newest stream says what the proxy is; for a moment there may be an older one, too. */
    const struct ledger_client *client =
        LIST_ENTRY(proxy->clients.prev, struct ledger_client, sibling);
    Weir__V1__ProxyStatus *message = ARENA_NEW(arena, Weir__V1__ProxyStatus);
    weir__v1__proxy_status__init(message);
    message->node_id = (char *)client->node_id.data;
    message->gateway = (char *)client->gateway.data;
    message->user_agent = (char *)client->user_agent.data;
    message->address = (char *)client->address.data;
    message->served_by = (char *)served_by;
    message->connected_since = document_of_time(client->since_us, arena);
    message->in_sync = true;
    message->revision = INT64_MAX;
    const struct ledger_client *last = client; /* that has come least far */
    LIST_FOR_EACH(link, &proxy->clients) {
        const struct ledger_client *each = LIST_ENTRY(link, struct ledger_client, sibling);
        message->in_sync &= each->progress.is_in_sync;
        if (each->progress.revision < message->revision)
            message->revision = each->progress.revision;
        if (each->progress.publication < last->progress.publication)
            last = each;
    }
    message->version = (char *)last->progress.version.hex;
    add_refusals(message, proxy, arena);
    return message;
}

void document_key_of_proxy(struct str node_id, struct buf *out)
{
    buf_append_str(out, STR(STATUS_PROXIES));
    for (size_t i = 0; i < node_id.len; i++) {
        char c = node_id.data[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '~' || c == ':' ||
                        c == '@' || (c == '.' && i > 0);
        if (is_plain)
            buf_append_char(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}
