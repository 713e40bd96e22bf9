/*
 * /stats: all counters, as text, JSON or for Prometheus. The sums over the workers are made once
 * per request; ten thousand clusters are some 300,000 numbers and take a fraction of a second, on
 * the main thread, which serves no traffic.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "dataplane/admin/admin_internal.h"
#include "dataplane/route/regex.h"
#include "dataplane/upstream/breaker.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct field {
    const char *name;
    size_t offset;
    bool is_gauge;
};

static const struct field http_fields[] = {
#define HTTP_FIELD(field, is_gauge) {#field, offsetof(struct http_stats, field), is_gauge},
    HTTP_STATS(HTTP_FIELD)
#undef HTTP_FIELD
};

static const struct field cluster_fields[] = {
#define CLUSTER_FIELD(field, is_gauge) {#field, offsetof(struct cluster_stats, field), is_gauge},
    CLUSTER_STATS(CLUSTER_FIELD)
#undef CLUSTER_FIELD
};

enum {
    HTTP_FIELD_COUNT = sizeof http_fields / sizeof *http_fields,
    CLUSTER_FIELD_COUNT = sizeof cluster_fields / sizeof *cluster_fields,
};

/* The statistics of one kind of scope. */
struct kind {
    const char *prefix; /* "http" or "cluster": of keys, of names */
    const char *label;  /* of Prometheus */
    const struct field *fields;
    size_t field_count;
    const char *latency_name;
};

static const struct kind http_kind = {.prefix = "http",
                                      .label = "envoy_http_conn_manager_prefix",
                                      .fields = http_fields,
                                      .field_count = HTTP_FIELD_COUNT,
                                      .latency_name = "downstream_rq_time"};
static const struct kind cluster_kind = {.prefix = "cluster",
                                         .label = "envoy_cluster_name",
                                         .fields = cluster_fields,
                                         .field_count = CLUSTER_FIELD_COUNT,
                                         .latency_name = "upstream_rq_time"};

uint64_t admin_sum_field(const struct stats_scope *scope, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < scope->workers; i++)
        sum += stat_read((const uint64_t *)((const char *)&scope->blocks[i] + offset));
    return sum;
}

/* --- what there is --- */

struct scope {
    struct str name;
    const struct stats_scope *stats;
};

struct scopes {
    struct scope *items;
    size_t len, cap;
    size_t prefix_len;
};

static void on_scope(struct str key, void *object, void *arg)
{
    struct scopes *scopes = arg;
    if (scopes->len == scopes->cap) {
        scopes->cap = scopes->cap ? scopes->cap * 2 : 64;
        scopes->items = mem_resize(scopes->items, scopes->cap, sizeof *scopes->items);
    }
    scopes->items[scopes->len++] =
        (struct scope){.name = str_slice(key, scopes->prefix_len, key.len), .stats = object};
}

static int compare_scopes(const void *a, const void *b)
{
    const struct scope *left = a, *right = b;
    return str_compare(left->name, right->name);
}

/* The scopes of a kind by name; the caller frees items. */
static struct scopes scopes_of(const struct admin *admin, const struct kind *kind)
{
    struct scopes scopes = {.prefix_len = strlen(kind->prefix) + 1};
    char prefix[16];
    int len = snprintf(prefix, sizeof prefix, "%s/", kind->prefix);
    shared_registry_visit(admin->options.shared, (struct str){.data = prefix, .len = (size_t)len},
                          on_scope, &scopes);
    if (scopes.len)
        qsort(scopes.items, scopes.len, sizeof *scopes.items, compare_scopes);
    return scopes;
}

/* The latencies of all workers together; false where there are none. */
static bool sum_latency(const struct stats_scope *scope, struct stats_latency *ret)
{
    *ret = (struct stats_latency){0};
    uint64_t total = 0;
    for (uint32_t i = 0; i < scope->workers; i++) {
        const struct stats_latency *latency =
            __atomic_load_n(&scope->blocks[i].latency, __ATOMIC_ACQUIRE);
        if (!latency)
            continue;
        for (int k = 0; k < STATS_LATENCY_BUCKETS; k++) {
            uint64_t count = stat_read(&latency->counts[k]);
            ret->counts[k] += count;
            total += count;
        }
        ret->sum_us += stat_read(&latency->sum_us);
    }
    return total > 0;
}

/* The value in ms below which `share` of the counts lie, assuming they are even within a bucket. */
static double quantile_ms(const struct stats_latency *latency, double share)
{
    uint64_t total = 0;
    for (int i = 0; i < STATS_LATENCY_BUCKETS; i++)
        total += latency->counts[i];
    double wanted = share * (double)total, below = 0;
    for (int i = 0; i < STATS_LATENCY_BUCKETS; i++) {
        double count = (double)latency->counts[i];
        if (count > 0 && below + count >= wanted) {
            double low = i ? stats_latency_bounds_us[i - 1] : 0;
            double high = i < STATS_LATENCY_BUCKETS - 1 ? stats_latency_bounds_us[i] : low;
            return (low + (high - low) * (wanted - below) / count) / 1000;
        }
        below += count;
    }
    return 0;
}

/* --- one page --- */

enum page_form { FORM_TEXT, FORM_JSON, FORM_PROMETHEUS };

struct page {
    struct admin *admin;
    struct buf *out;
    enum page_form form;
    bool used_only;
    const struct route_regex *filter; /* NULL: everything */
    struct vec states;                /* of filter */
    bool has_items;                   /* JSON: a comma is needed */
    uint64_t now_ms;
};

static bool page_wants(const struct page *page, struct str name)
{
    return !page->filter || route_regex_match(page->filter, name) == ROUTE_REGEX_MATCH;
}

/* "cluster.users.upstream_rq_total" in a buffer of the caller's. */
static struct str stat_name(struct buf *scratch, const char *prefix, struct str scope,
                            const char *field)
{
    buf_reset(scratch);
    buf_append_str(scratch, str_from(prefix));
    buf_append_char(scratch, '.');
    admin_append_name(scratch, scope);
    buf_append_char(scratch, '.');
    buf_append_str(scratch, str_from(field));
    return buf_str(scratch);
}

static void put_number(struct page *page, struct str name, uint64_t value)
{
    struct buf *out = page->out;
    if (page->form == FORM_TEXT) {
        buf_append_str(out, name);
        buf_printf(out, ": %llu\n", (unsigned long long)value);
        return;
    }
    buf_append_str(out, page->has_items ? STR(",{\"name\":") : STR("{\"name\":"));
    buf_append_json_string(out, name);
    buf_printf(out, ",\"value\":%llu}", (unsigned long long)value);
    page->has_items = true;
}

static const double quantiles[] = {0, .25, .5, .75, .9, .95, .99, .995, .999, 1};
enum { QUANTILE_COUNT = sizeof quantiles / sizeof *quantiles };

static void put_quantiles_text(struct page *page, struct str name,
                               const struct stats_latency *latency)
{
    buf_append_str(page->out, name);
    buf_append_char(page->out, ':');
    for (int i = 0; i < QUANTILE_COUNT; i++)
        buf_printf(page->out, " P%g(nan,%.6g)", quantiles[i] * 100,
                   quantile_ms(latency, quantiles[i]));
    buf_append_char(page->out, '\n');
}

static void put_quantiles_json(struct page *page, struct str name,
                               const struct stats_latency *latency)
{
    buf_append_str(page->out, page->has_items ? STR(",{\"name\":") : STR("{\"name\":"));
    buf_append_json_string(page->out, name);
    buf_append_str(page->out, STR(",\"values\":["));
    for (int i = 0; i < QUANTILE_COUNT; i++)
        buf_printf(page->out, "%s{\"interval\":null,\"cumulative\":%.6g}", i ? "," : "",
                   quantile_ms(latency, quantiles[i]));
    buf_append_str(page->out, STR("]}"));
    page->has_items = true;
}

/* Numbers of a kind, one scope after the other. */
static void put_scopes(struct page *page, const struct kind *kind, const struct scopes *scopes,
                       struct buf *scratch)
{
    for (size_t i = 0; i < scopes->len; i++)
        for (size_t k = 0; k < kind->field_count; k++) {
            struct str name =
                stat_name(scratch, kind->prefix, scopes->items[i].name, kind->fields[k].name);
            uint64_t value = admin_sum_field(scopes->items[i].stats, kind->fields[k].offset);
            if ((value || !page->used_only) && page_wants(page, name))
                put_number(page, name, value);
        }
}

static void put_latencies(struct page *page, const struct kind *kind, const struct scopes *scopes,
                          struct buf *scratch)
{
    for (size_t i = 0; i < scopes->len; i++) {
        struct stats_latency latency;
        struct str name =
            stat_name(scratch, kind->prefix, scopes->items[i].name, kind->latency_name);
        if (!sum_latency(scopes->items[i].stats, &latency) || !page_wants(page, name))
            continue;
        if (page->form == FORM_TEXT)
            put_quantiles_text(page, name, &latency);
        else
            put_quantiles_json(page, name, &latency);
    }
}

/* --- numbers that are not in scopes --- */

/* Of clusters, from the configuration: name, value; -1: this cluster has none. */
typedef int64_t cluster_number_fn(const struct page *page, const struct config_cluster *cluster);

static int64_t membership_total(const struct page *page, const struct config_cluster *cluster)
{
    (void)page;
    return cluster->endpoints ? cluster->endpoints->host_count : 0;
}

static int64_t membership_healthy(const struct page *page, const struct config_cluster *cluster)
{
    (void)page;
    int64_t healthy = 0;
    for (uint32_t i = 0; cluster->endpoints && i < cluster->endpoints->host_count; i++)
        healthy += cluster->endpoints->hosts[i].is_healthy;
    return healthy;
}

static int64_t breaker_state(const struct page *page, const struct config_cluster *cluster)
{
    if (!cluster->cluster->breaker_state)
        return -1;
    const struct breaker *breaker = shared_state_object(cluster->cluster->breaker_state);
    switch (breaker_state_at(breaker, page->now_ms)) {
    case BREAKER_CLOSED:
        return 0;
    case BREAKER_HALF_OPEN:
        return 1;
    case BREAKER_OPEN:
        return 2;
    }
    return 0;
}

static const struct {
    const char *name;
    const char *prometheus_name;
    cluster_number_fn *get;
} cluster_numbers[] = {
    {"membership_total", "envoy_cluster_membership_total", membership_total},
    {"membership_healthy", "envoy_cluster_membership_healthy", membership_healthy},
    {"breaker_state", "weir_cluster_breaker_state", breaker_state},
};
enum { CLUSTER_NUMBER_COUNT = sizeof cluster_numbers / sizeof *cluster_numbers };

static void put_cluster_numbers(struct page *page, struct buf *scratch)
{
    const struct config *config = admin_config(page->admin);
    for (uint32_t i = 0; config && i < config->cluster_count; i++)
        for (int k = 0; k < CLUSTER_NUMBER_COUNT; k++) {
            int64_t value = cluster_numbers[k].get(page, &config->clusters[i]);
            struct str name = stat_name(scratch, "cluster", config->clusters[i].cluster->name,
                                        cluster_numbers[k].name);
            if (value >= 0 && (value || !page->used_only) && page_wants(page, name))
                put_number(page, name, (uint64_t)value);
        }
}

static void put_server_numbers(struct page *page)
{
    struct admin_number numbers[ADMIN_NUMBERS_MAX];
    int count = admin_numbers(page->admin, page->now_ms, numbers);
    for (int i = 0; i < count; i++)
        if ((numbers[i].value || !page->used_only) && page_wants(page, str_from(numbers[i].name)))
            put_number(page, str_from(numbers[i].name), numbers[i].value);
}

/* --- Prometheus --- */

static void put_label_value(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '\\' || c == '"')
            buf_append_char(out, '\\');
        if (c == '\n')
            buf_append_str(out, STR("\\n"));
        else
            buf_append_char(out, c);
    }
}

/* The class of "…_rq_2xx" and the family "…_rq_xx"; '\0' for every other name. */
static char code_class(const char *name, char family[static 64])
{
    size_t len = strlen(name);
    snprintf(family, 64, "%s", name);
    if (len < 4 || len >= 64 || strcmp(name + len - 2, "xx") != 0 || name[len - 4] != '_')
        return '\0';
    snprintf(family + len - 3, 64 - (len - 3), "xx");
    return name[len - 3];
}

static void put_sample(struct page *page, const struct kind *kind, const char *family, char class,
                       struct str scope, uint64_t value)
{
    struct buf *out = page->out;
    buf_printf(out, "envoy_%s_%s{", kind->prefix, family);
    if (class)
        buf_printf(out, "envoy_response_code_class=\"%c\",", class);
    buf_printf(out, "%s=\"", kind->label);
    put_label_value(out, scope);
    buf_printf(out, "\"} %llu\n", (unsigned long long)value);
}

/* One field of all scopes. The fields of a family stand behind one another in the list. */
static void put_family(struct page *page, const struct kind *kind, const struct scopes *scopes,
                       const struct field *field, struct buf *scratch, const char *family_before,
                       char family[static 64])
{
    char class = code_class(field->name, family);
    bool has_type = !strcmp(family, family_before);
    for (size_t i = 0; i < scopes->len; i++) {
        struct str name = stat_name(scratch, kind->prefix, scopes->items[i].name, field->name);
        uint64_t value = admin_sum_field(scopes->items[i].stats, field->offset);
        if ((!value && page->used_only) || !page_wants(page, name))
            continue;
        if (!has_type)
            buf_printf(page->out, "# TYPE envoy_%s_%s %s\n", kind->prefix, family,
                       field->is_gauge ? "gauge" : "counter");
        has_type = true;
        put_sample(page, kind, family, class, scopes->items[i].name, value);
    }
    if (!has_type)
        family[0] = '\0';
}

static void put_histogram(struct page *page, const struct kind *kind, struct str scope,
                          const struct stats_latency *latency)
{
    struct buf *out = page->out;
    uint64_t below = 0;
    for (int i = 0; i < STATS_LATENCY_BUCKETS; i++) {
        below += latency->counts[i];
        buf_printf(out, "envoy_%s_%s_bucket{%s=\"", kind->prefix, kind->latency_name, kind->label);
        put_label_value(out, scope);
        if (i < STATS_LATENCY_BUCKETS - 1)
            buf_printf(out, "\",le=\"%g\"} %llu\n", stats_latency_bounds_us[i] / 1000.0,
                       (unsigned long long)below);
        else
            buf_printf(out, "\",le=\"+Inf\"} %llu\n", (unsigned long long)below);
    }
    buf_printf(out, "envoy_%s_%s_sum{%s=\"", kind->prefix, kind->latency_name, kind->label);
    put_label_value(out, scope);
    buf_printf(out, "\"} %.3f\n", (double)latency->sum_us / 1000);
    buf_printf(out, "envoy_%s_%s_count{%s=\"", kind->prefix, kind->latency_name, kind->label);
    put_label_value(out, scope);
    buf_printf(out, "\"} %llu\n", (unsigned long long)below);
}

static void put_histograms(struct page *page, const struct kind *kind, const struct scopes *scopes,
                           struct buf *scratch)
{
    bool has_type = false;
    for (size_t i = 0; i < scopes->len; i++) {
        struct stats_latency latency;
        struct str name =
            stat_name(scratch, kind->prefix, scopes->items[i].name, kind->latency_name);
        if (!sum_latency(scopes->items[i].stats, &latency) || !page_wants(page, name))
            continue;
        if (!has_type)
            buf_printf(page->out, "# TYPE envoy_%s_%s histogram\n", kind->prefix,
                       kind->latency_name);
        has_type = true;
        put_histogram(page, kind, scopes->items[i].name, &latency);
    }
}

static void put_prometheus_kind(struct page *page, const struct kind *kind, struct buf *scratch)
{
    struct scopes scopes = scopes_of(page->admin, kind);
    char families[2][64] = {"", ""};
    for (size_t i = 0; i < kind->field_count; i++)
        put_family(page, kind, &scopes, &kind->fields[i], scratch, families[(i + 1) % 2],
                   families[i % 2]);
    put_histograms(page, kind, &scopes, scratch);
    mem_free(scopes.items);
}

static void put_prometheus_clusters(struct page *page, struct buf *scratch)
{
    const struct config *config = admin_config(page->admin);
    for (int k = 0; config && k < CLUSTER_NUMBER_COUNT; k++) {
        bool has_type = false;
        for (uint32_t i = 0; i < config->cluster_count; i++) {
            struct str cluster = config->clusters[i].cluster->name;
            int64_t value = cluster_numbers[k].get(page, &config->clusters[i]);
            struct str name = stat_name(scratch, "cluster", cluster, cluster_numbers[k].name);
            if (value < 0 || (!value && page->used_only) || !page_wants(page, name))
                continue;
            if (!has_type)
                buf_printf(page->out, "# TYPE %s gauge\n", cluster_numbers[k].prometheus_name);
            has_type = true;
            buf_printf(page->out, "%s{envoy_cluster_name=\"", cluster_numbers[k].prometheus_name);
            put_label_value(page->out, cluster);
            buf_printf(page->out, "\"} %lld\n", (long long)value);
        }
    }
}

static void put_prometheus(struct page *page, struct buf *scratch)
{
    struct admin_number numbers[ADMIN_NUMBERS_MAX];
    put_prometheus_kind(page, &http_kind, scratch);
    put_prometheus_kind(page, &cluster_kind, scratch);
    put_prometheus_clusters(page, scratch);
    int count = admin_numbers(page->admin, page->now_ms, numbers);
    for (int i = 0; i < count; i++)
        if ((numbers[i].value || !page->used_only) && page_wants(page, str_from(numbers[i].name)))
            buf_printf(page->out, "# TYPE %s %s\n%s{} %llu\n", numbers[i].prometheus_name,
                       numbers[i].is_gauge ? "gauge" : "counter", numbers[i].prometheus_name,
                       (unsigned long long)numbers[i].value);
}

/* --- text and JSON --- */

static void put_plain(struct page *page, struct buf *scratch)
{
    const struct kind *const kinds[] = {&cluster_kind, &http_kind};
    bool is_json = page->form == FORM_JSON;
    if (is_json)
        buf_append_str(page->out, STR("{\"stats\":["));
    put_server_numbers(page);
    put_cluster_numbers(page, scratch);
    struct scopes scopes[2];
    for (int i = 0; i < 2; i++) {
        scopes[i] = scopes_of(page->admin, kinds[i]);
        put_scopes(page, kinds[i], &scopes[i], scratch);
    }
    if (is_json) {
        buf_append_str(page->out, page->has_items
                                      ? STR(",{\"histograms\":{\"supported_quantiles\":[")
                                      : STR("{\"histograms\":{\"supported_quantiles\":["));
        for (int i = 0; i < QUANTILE_COUNT; i++)
            buf_printf(page->out, "%s%g", i ? "," : "", quantiles[i] * 100);
        buf_append_str(page->out, STR("],\"computed_quantiles\":["));
        page->has_items = false;
    }
    for (int i = 0; i < 2; i++) {
        put_latencies(page, kinds[i], &scopes[i], scratch);
        mem_free(scopes[i].items);
    }
    if (is_json)
        buf_append_str(page->out, STR("]}}]}\n"));
}

/* False where the filter is no regular expression; reply says so then. */
static bool set_filter(struct page *page, const char *filter, struct admin_reply *reply)
{
    if (!filter || !*filter)
        return true;
    struct buf pattern;
    struct errmsg msg;
    buf_init(&pattern, 2 * (size_t)ADMIN_REQUEST_BYTES_MAX); /* too long a one is refused as such */
    buf_printf(&pattern, "(?s:.*)(?:%s)(?s:.*)", filter);
    int err = route_regex_get(page->admin->options.shared, &page->states, buf_str(&pattern),
                              &page->filter, &msg);
    buf_done(&pattern);
    if (!err)
        return true;
    reply->status = 400;
    buf_printf(&reply->body, "Invalid regex: %s\n", msg.text);
    return false;
}

static void render(const struct admin_request *request, struct admin_reply *reply,
                   struct admin *admin, enum page_form form)
{
    struct page page = {.admin = admin,
                        .out = &reply->body,
                        .form = form,
                        .used_only = admin_request_query(request, "usedonly") != NULL,
                        .now_ms = clock_monotonic_ms()};
    struct buf scratch;
    buf_init(&scratch, 64 * 1024);
    if (set_filter(&page, admin_request_query(request, "filter"), reply)) {
        if (form == FORM_JSON)
            reply->content_type = "application/json";
        if (form == FORM_PROMETHEUS)
            put_prometheus(&page, &scratch);
        else
            put_plain(&page, &scratch);
    }
    buf_done(&scratch);
    for (size_t i = 0; i < page.states.len; i++)
        shared_state_unref(page.states.items[i]);
    vec_done(&page.states);
}

void stats_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    const char *format = admin_request_query(request, "format");
    bool is_json = format && !strcmp(format, "json");
    bool is_prometheus = format && !strcmp(format, "prometheus");
    render(request, reply, arg, is_json ? FORM_JSON : is_prometheus ? FORM_PROMETHEUS : FORM_TEXT);
}

void stats_prometheus_page(const struct admin_request *request, struct admin_reply *reply,
                           void *arg)
{
    render(request, reply, arg, FORM_PROMETHEUS);
}
