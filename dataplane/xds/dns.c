#include "dataplane/xds/dns.h"

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <stdlib.h>

struct dns_resolver {
    struct loop *loop;
    struct evdns_base *dns;
    size_t watches;
};

/* One host name of a cluster. */
struct dns_name {
    struct dns_watch *watch;
    const struct dns_target *target;
    struct evdns_getaddrinfo_request *request; /* NULL: none under way */
    struct address *addresses;                 /* own memory; without port and text; sorted */
    size_t count;
    bool has_failed; /* the last time */
};

struct dns_watch {
    struct dns_resolver *resolver;
    struct cluster_config *cluster; /* a reference */
    struct dns_name *names;
    size_t pending; /* lookups under way */
    bool is_changed, has_answered;
    unsigned failures; /* rounds in a row with a failure */
    dns_endpoints_fn *on_endpoints;
    void *arg;
    struct loop_timer timer;
};

struct dns_resolver *dns_resolver_new(struct loop *loop)
{
    struct dns_resolver *resolver = MEM_NEW(struct dns_resolver);
    resolver->loop = loop;
    resolver->dns = evdns_base_new(loop_event_base(loop), EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                                              EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!resolver->dns) { /* no usable /etc/resolv.conf: /etc/hosts still works */
        resolver->dns = evdns_base_new(loop_event_base(loop), 0);
        ASSERT(resolver->dns);
        evdns_base_load_hosts(resolver->dns, "/etc/hosts");
        log_warning("dns_without_nameservers");
    }
    return resolver;
}

void dns_resolver_free(struct dns_resolver *resolver)
{
    if (!resolver)
        return;
    ASSERT(resolver->watches == 0);
    evdns_base_free(resolver->dns, 1); /* 0 forgets to free what was cancelled in flight */
    mem_free(resolver);
}

/* --- one name --------------------------------------------------------------------------------- */

static int compare_addresses(const void *left, const void *right)
{
    const struct address *a = left, *b = right;
    if (a->any.sa_family != b->any.sa_family)
        return a->any.sa_family < b->any.sa_family ? -1 : 1;
    if (a->any.sa_family == AF_INET)
        return memcmp(&a->v4.sin_addr, &b->v4.sin_addr, sizeof a->v4.sin_addr);
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr);
}

/* Which of the two families of an answer counts; AF_UNSPEC: both. */
static int family_of(enum dns_family family, bool has_v4, bool has_v6)
{
    switch (family) {
    case DNS_V4_ONLY:
        return AF_INET;
    case DNS_V6_ONLY:
        return AF_INET6;
    case DNS_AUTO:
        return has_v6 ? AF_INET6 : AF_INET;
    case DNS_V4_PREFERRED:
        return has_v4 ? AF_INET : AF_INET6;
    case DNS_ALL:
        break;
    }
    return AF_UNSPEC;
}

/* The addresses of an answer that count, sorted, each once. */
static size_t collect_addresses(enum dns_family family, const struct evutil_addrinfo *answer,
                                struct address *out)
{
    bool has_v4 = false, has_v6 = false;
    for (const struct evutil_addrinfo *info = answer; info; info = info->ai_next) {
        has_v4 |= info->ai_family == AF_INET;
        has_v6 |= info->ai_family == AF_INET6;
    }
    int wanted = family_of(family, has_v4, has_v6);
    size_t count = 0;
    for (; answer && count < DNS_ADDRESSES_MAX; answer = answer->ai_next) {
        bool is_ip = answer->ai_family == AF_INET || answer->ai_family == AF_INET6;
        if (!is_ip || (wanted != AF_UNSPEC && answer->ai_family != wanted))
            continue;
        out[count] = (struct address){.len = (socklen_t)answer->ai_addrlen};
        memcpy(&out[count].any, answer->ai_addr, answer->ai_addrlen);
        count++;
    }
    qsort(out, count, sizeof *out, compare_addresses);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_addresses(&out[kept - 1], &out[i]) != 0)
            out[kept++] = out[i];
    return kept;
}

static bool is_same(const struct dns_name *name, const struct address *addresses, size_t count)
{
    if (name->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (compare_addresses(&name->addresses[i], &addresses[i]) != 0)
            return false;
    return true;
}

static void take_answer(struct dns_name *name, const struct evutil_addrinfo *answer)
{
    struct dns_watch *watch = name->watch;
    struct address addresses[DNS_ADDRESSES_MAX];
    size_t count = collect_addresses(watch->cluster->dns_family, answer, addresses);
    if (watch->cluster->discovery == CLUSTER_LOGICAL_DNS && count > 1)
        count = 1;
    name->has_failed = count == 0;
    if (count == 0 || is_same(name, addresses, count))
        return;
    name->addresses = mem_resize(name->addresses, count, sizeof *addresses);
    memcpy(name->addresses, addresses, count * sizeof *addresses);
    name->count = count;
    watch->is_changed = true;
}

static void finish_round(struct dns_watch *watch);

static void on_answer(int error, struct evutil_addrinfo *answer, void *arg)
{
    struct dns_name *name = arg;
    if (error == EVUTIL_EAI_CANCEL)
        return; /* the watch is gone */
    name->request = NULL;
    name->has_failed = true;
    if (error)
        log_warning("dns_failed cluster=\"%.*s\" host=\"%.*s\" reason=\"%s\"",
                    STR_ARGS(name->watch->cluster->name), STR_ARGS(name->target->host),
                    evutil_gai_strerror(error));
    else
        take_answer(name, answer);
    if (answer)
        evutil_freeaddrinfo(answer);
    if (--name->watch->pending == 0)
        finish_round(name->watch);
}

static void start_lookup(struct dns_name *name)
{
    struct dns_watch *watch = name->watch;
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (watch->cluster->dns_family == DNS_V4_ONLY)
        hints.ai_family = AF_INET;
    if (watch->cluster->dns_family == DNS_V6_ONLY)
        hints.ai_family = AF_INET6;
    name->request = NULL;
    /* It may answer at once, from inside: pending has counted it already. */
    struct evdns_getaddrinfo_request *request = evdns_getaddrinfo(
        watch->resolver->dns, name->target->host.data, NULL, &hints, on_answer, name);
    if (request)
        name->request = request;
}

/* --- all names of a cluster ------------------------------------------------------------------- */

static void add_host(struct endpoints_config *endpoints, const struct dns_target *target,
                     const struct address *found, struct map *seen)
{
    struct host_config *host = &endpoints->hosts[endpoints->host_count];
    *host = (struct host_config){.address = *found,
                                 .weight = target->weight,
                                 .priority = target->priority,
                                 .is_healthy = target->is_healthy};
    char ip[INET6_ADDRSTRLEN];
    const char *text;
    if (found->any.sa_family == AF_INET) {
        host->address.v4.sin_port = htons(target->port);
        inet_ntop(AF_INET, &found->v4.sin_addr, ip, sizeof ip);
        text = arena_printf(&endpoints->arena, "%s:%u", ip, target->port);
    } else {
        host->address.v6.sin6_port = htons(target->port);
        inet_ntop(AF_INET6, &found->v6.sin6_addr, ip, sizeof ip);
        text = arena_printf(&endpoints->arena, "[%s]:%u", ip, target->port);
    }
    host->address.text = str_from(text);
    if (map_find(seen, host->address.text))
        return;
    map_put(seen, host->address.text, host);
    endpoints->host_count++;
}

static struct endpoints_config *build_endpoints(const struct dns_watch *watch)
{
    const struct cluster_config *cluster = watch->cluster;
    const struct endpoints_config *literals = cluster->endpoints;
    size_t count = literals->host_count;
    for (uint32_t i = 0; i < cluster->dns_target_count; i++)
        count += watch->names[i].count;
    struct endpoints_config *endpoints = endpoints_config_new();
    struct map seen = {0};
    endpoints->name = arena_copy_str(&endpoints->arena, cluster->name);
    endpoints->hosts = arena_alloc_array(&endpoints->arena, count, sizeof *endpoints->hosts);
    for (uint32_t i = 0; i < literals->host_count; i++) {
        struct host_config *host = &endpoints->hosts[endpoints->host_count++];
        *host = literals->hosts[i];
        host->address.text = arena_copy_str(&endpoints->arena, host->address.text);
        map_put(&seen, host->address.text, host);
    }
    for (uint32_t i = 0; i < cluster->dns_target_count; i++)
        for (size_t j = 0; j < watch->names[i].count; j++)
            add_host(endpoints, &cluster->dns_targets[i], &watch->names[i].addresses[j], &seen);
    map_done(&seen);
    return endpoints;
}

static void finish_round(struct dns_watch *watch)
{
    bool has_failed = false;
    for (uint32_t i = 0; i < watch->cluster->dns_target_count; i++)
        has_failed |= watch->names[i].has_failed;
    watch->failures = has_failed ? watch->failures + 1 : 0;
    uint64_t delay_ms = watch->cluster->dns_refresh_ms;
    if (has_failed && watch->failures < 16 &&
        ((uint64_t)DNS_RETRY_MS << watch->failures) < delay_ms)
        delay_ms = (uint64_t)DNS_RETRY_MS << watch->failures;
    loop_timer_start(&watch->timer, delay_ms);
    if (!watch->is_changed && watch->has_answered)
        return;
    watch->is_changed = false;
    watch->has_answered = true;
    watch->on_endpoints(watch->arg, build_endpoints(watch));
}

static void on_timer(struct loop_timer *timer)
{
    struct dns_watch *watch = CONTAINER_OF(timer, struct dns_watch, timer);
    /* One more than there are, so that answers from inside do not end the round too early. */
    watch->pending = watch->cluster->dns_target_count + 1;
    for (uint32_t i = 0; i < watch->cluster->dns_target_count; i++)
        start_lookup(&watch->names[i]);
    if (--watch->pending == 0)
        finish_round(watch);
}

struct dns_watch *dns_watch_new(struct dns_resolver *resolver, struct cluster_config *cluster,
                                dns_endpoints_fn *on_endpoints, void *arg)
{
    struct dns_watch *watch = MEM_NEW(struct dns_watch);
    watch->resolver = resolver;
    watch->cluster = cluster_config_ref(cluster);
    watch->on_endpoints = on_endpoints;
    watch->arg = arg;
    watch->names = mem_alloc_zero(cluster->dns_target_count, sizeof *watch->names);
    for (uint32_t i = 0; i < cluster->dns_target_count; i++)
        watch->names[i] = (struct dns_name){.watch = watch, .target = &cluster->dns_targets[i]};
    loop_timer_init(&watch->timer, resolver->loop, on_timer);
    loop_timer_start(&watch->timer, 0);
    resolver->watches++;
    return watch;
}

void dns_watch_free(struct dns_watch *watch)
{
    if (!watch)
        return;
    loop_timer_stop(&watch->timer);
    for (uint32_t i = 0; i < watch->cluster->dns_target_count; i++) {
        if (watch->names[i].request)
            evdns_getaddrinfo_cancel(watch->names[i].request);
        mem_free(watch->names[i].addresses);
    }
    mem_free(watch->names);
    watch->resolver->watches--;
    cluster_config_unref(watch->cluster);
    mem_free(watch);
}
