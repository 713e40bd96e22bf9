#include "dataplane/config/name_slots.h"
#include "dataplane/filters/header_mutation.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/route/route.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct fake_stream fake;
static struct name_slots *clusters, *filters;

/* Settings of a filter: the type URL's number of bytes; {} of a FilterConfig: nothing. */
static int load_filter(struct filter_load *filter_load, struct str name,
                       const Google__Protobuf__Any *settings, struct filter_route_config *ret,
                       struct errmsg *msg)
{
    (void)msg;
    const char *kind = settings->value.len ? "set" : "empty";
    ret->config = arena_printf(filter_load->arena, "%.*s %.*s %s < %s",
                               STR_ARGS(filter_load->scope), STR_ARGS(name), kind,
                               filter_load->inherited ? (const char *)filter_load->inherited : "");
    return 0;
}

static void setup(void)
{
    fake_load_init(&load);
    fake_stream_init(&fake);
    clusters = name_slots_new();
    filters = name_slots_new();
}

static void teardown(void)
{
    name_slots_free(filters);
    name_slots_free(clusters);
    fake_stream_done(&fake);
    fake_load_done(&load);
}

static int try_table(const char *json, struct route_table **ret)
{
    struct route_table_options options = {.cluster_slots = clusters,
                                          .filter_slots = filters,
                                          .shared = load.load.shared,
                                          .load_filter = load_filter,
                                          .workers = 1};
    return route_table_new(
        fake_load_message(&load, &envoy__config__route__v3__route_configuration__descriptor, json),
        &options, ret, &load.msg);
}

static struct route_table *table_of(const char *json)
{
    struct route_table *table = NULL;
    int err = try_table(json, &table);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    return table;
}

/* A table with one virtual host of these routes. */
static struct route_table *routes_of(const char *routes)
{
    return table_of(arena_printf(&load.arena,
                                 "{\"name\":\"t\",\"virtual_hosts\":[{\"name\":\"v\",\"domains\":"
                                 "[\"*\"],\"routes\":[%s]}]}",
                                 routes));
}

/* A route that is only about its match. */
static const char *route_of(const char *name, const char *match)
{
    return arena_printf(&load.arena,
                        "{\"name\":\"%s\",\"match\":{%s},\"direct_response\":{\"status\":200}}",
                        name, match);
}

static const char *match_random(const struct route_table *table, uint64_t random)
{
    struct route_match_input input = {.request = &fake.stream.request, .random = random};
    const struct route *route = route_match(table, &input);
    ck_assert_ptr_eq(route, route_match_linear(table, &input));
    return route ? route->name.data : "(none)";
}

static const char *match(const struct route_table *table, const char *path, const char *headers)
{
    fake_stream_request(&fake, "GET", path, headers);
    header_list_join_lines(&fake.stream.request.headers);
    return match_random(table, 0);
}

START_TEST(the_first_route_of_the_list_that_matches_wins)
{
    setup();
    struct route_table *table = routes_of(arena_printf(
        &load.arena, "%s,%s,%s,%s,%s,%s", route_of("exact", "\"path\":\"/a/b\""),
        route_of("header", "\"prefix\":\"/a\",\"headers\":[{\"name\":\"x\",\"string_match\":"
                           "{\"exact\":\"1\"}}]"),
        route_of("separated", "\"path_separated_prefix\":\"/a/c\""),
        route_of("regex", "\"safe_regex\":{\"regex\":\"/a/[0-9]+/z\"}"),
        route_of("prefix", "\"prefix\":\"/a\""), route_of("late", "\"path\":\"/a/d\"")));
    ck_assert_str_eq(match(table, "/a/b", NULL), "exact");
    ck_assert_str_eq(match(table, "/a/b?q=1", "x: 1"), "exact");
    ck_assert_str_eq(match(table, "/a/bb", NULL), "prefix");
    ck_assert_str_eq(match(table, "/a/bb", "x: 1"), "header");
    ck_assert_str_eq(match(table, "/a/c", NULL), "separated");
    ck_assert_str_eq(match(table, "/a/c/", NULL), "separated");
    ck_assert_str_eq(match(table, "/a/cc", NULL), "prefix");
    ck_assert_str_eq(match(table, "/a/12/z", NULL), "regex");
    ck_assert_str_eq(match(table, "/a/12/zz", NULL), "prefix");
    ck_assert_str_eq(match(table, "/a/d", NULL), "prefix");
    ck_assert_str_eq(match(table, "/b", NULL), "(none)");
    ck_assert_str_eq(match(table, "/", NULL), "(none)");
    ck_assert_str_eq(match(table, "", NULL), "(none)");
    ck_assert_str_eq(match(table, "*", NULL), "(none)");
    route_table_unref(table);
    teardown();
}
END_TEST

START_TEST(case_is_ignored_where_asked)
{
    setup();
    struct route_table *table = routes_of(arena_printf(
        &load.arena, "%s,%s,%s,%s", route_of("exact", "\"path\":\"/Ab\",\"case_sensitive\":false"),
        route_of("strict", "\"prefix\":\"/AB\""),
        route_of("loose", "\"prefix\":\"/aB\",\"case_sensitive\":false"),
        route_of("regex", "\"safe_regex\":{\"regex\":\"/[x]\"},\"case_sensitive\":false")));
    ck_assert_str_eq(match(table, "/aB", NULL), "exact");
    ck_assert_str_eq(match(table, "/ABc", NULL), "strict");
    ck_assert_str_eq(match(table, "/abc", NULL), "loose");
    ck_assert_str_eq(match(table, "/x", NULL), "regex");
    ck_assert_str_eq(match(table, "/X", NULL), "(none)");
    route_table_unref(table);
    teardown();
}
END_TEST

/* What Envoy 1.40 did with the same requests. */
START_TEST(headers_match_as_in_envoy)
{
    setup();
    const char *const rows[][2] = {
        {"h1", "\"string_match\":{\"exact\":\"v\"},\"invert_match\":true"},
        {"h2", "\"string_match\":{\"exact\":\"v\"},\"invert_match\":true,"
               "\"treat_missing_header_as_empty\":true"},
        {"h3", "\"string_match\":{\"exact\":\"\"},\"treat_missing_header_as_empty\":true"},
        {"h4", "\"string_match\":{\"exact\":\"1,2\"}"},
        {"h5", "\"range_match\":{\"start\":-5,\"end\":10}"},
        {"h6", "\"present_match\":false"},
        {"h7", "\"present_match\":false,\"treat_missing_header_as_empty\":true"},
        {"h8", "\"present_match\":true,\"invert_match\":true"},
        {"h9", "\"string_match\":{\"prefix\":\"AB\",\"ignore_case\":true}"},
        {"ha", "\"string_match\":{\"contains\":\"Bc\",\"ignore_case\":true}"},
        {"hb", "\"string_match\":{\"suffix\":\"c\"}"},
        {"hc", "\"safe_regex_match\":{\"regex\":\"a.c\"}"},
        {"hd", "\"prefix_match\":\"ab\""},
        {"he", ""},
    };
    const char *routes = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *match_json =
            arena_printf(&load.arena, "\"prefix\":\"/%s\",\"headers\":[{\"name\":\"X-A\"%s%s}]",
                         rows[i][0], *rows[i][1] ? "," : "", rows[i][1]);
        routes = arena_printf(&load.arena, "%s%s%s", routes, *routes ? "," : "",
                              route_of(rows[i][0], match_json));
    }
    struct route_table *table = routes_of(routes);
    static const struct {
        const char *path, *headers;
        bool is_match;
    } cases[] = {
        {"/h1", "", false},
        {"/h1", "x-a: w", true},
        {"/h1", "x-a: v", false},
        {"/h1", "x-a: w\nx-a: v", false},
        {"/h2", "", true},
        {"/h3", "", true},
        {"/h3", "x-a: q", false},
        {"/h4", "x-a: 1\nx-a: 2", false},
        {"/h4", "x-a: 1,2", true},
        {"/h4", "x-a: 3\nx-a: 1,2", true},
        {"/h5", "x-a: 5", true},
        {"/h5", "x-a: +5", true},
        {"/h5", "x-a: -5", true},
        {"/h5", "x-a: 10", false},
        {"/h5", "x-a: 5x", false},
        {"/h5", "x-a:", false},
        {"/h6", "", true},
        {"/h6", "x-a: 1", false},
        {"/h7", "", false},
        {"/h7", "x-a: 1", false},
        {"/h8", "", true},
        {"/h8", "x-a: 1", false},
        {"/h9", "x-a: abc", true},
        {"/ha", "x-a: abcd", true},
        {"/hb", "x-a: abc", true},
        {"/hb", "x-a: abd", false},
        {"/hc",
         "x-a: a\xff"
         "c",
         true},
        {"/hc", "x-a: aac ", true},
        {"/hd", "x-a: abd", true},
        {"/he", "", false},
        {"/he", "x-a:", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_match = strcmp(match(table, cases[i].path, cases[i].headers), "(none)") != 0;
        ck_assert_msg(is_match == cases[i].is_match, "case %zu", i);
    }
    route_table_unref(table);
    teardown();
}
END_TEST

START_TEST(pseudo_headers_have_values)
{
    setup();
    struct route_table *table = routes_of(arena_printf(
        &load.arena, "%s,%s,%s,%s",
        route_of("post", "\"prefix\":\"/\",\"headers\":[{\"name\":\":method\",\"string_match\":"
                         "{\"exact\":\"POST\"}}]"),
        route_of("host", "\"prefix\":\"/\",\"headers\":[{\"name\":\"Host\",\"string_match\":"
                         "{\"exact\":\"abc\"}}]"),
        route_of("joined", "\"prefix\":\"/\",\"headers\":[{\"name\":\"accept\",\"string_match\":"
                           "{\"exact\":\"1,2\"}}]"),
        route_of("path", "\"prefix\":\"/\",\"headers\":[{\"name\":\":path\",\"string_match\":"
                         "{\"exact\":\"/x?q\"}},{\"name\":\":scheme\",\"string_match\":{\"exact\":"
                         "\"http\"}}]")));
    fake_stream_request(&fake, "POST", "/", NULL);
    ck_assert_str_eq(match_random(table, 0), "post");
    ck_assert_str_eq(match(table, "/", "host: abc"), "host");
    ck_assert_str_eq(match(table, "/x?q", NULL), "path");
    ck_assert_str_eq(match(table, "/x", "accept: 1\naccept: 2"), "joined");
    ck_assert_str_eq(match(table, "/x", NULL), "(none)");
    route_table_unref(table);
    teardown();
}
END_TEST

START_TEST(query_parameters_match_as_in_envoy)
{
    setup();
    struct route_table *table = routes_of(arena_printf(
        &load.arena, "%s,%s,%s,%s",
        route_of("q1", "\"prefix\":\"/q1\",\"query_parameters\":[{\"name\":\"a\",\"string_match\":"
                       "{\"exact\":\"b\"}}]"),
        route_of("q3", "\"prefix\":\"/q3\",\"query_parameters\":[{\"name\":\"a\","
                       "\"present_match\":false}]"),
        route_of("q4", "\"prefix\":\"/q4\",\"query_parameters\":[{\"name\":\"a\","
                       "\"present_match\":true}]"),
        route_of("q5", "\"prefix\":\"/q5\",\"query_parameters\":[{\"name\":\"a\"}]")));
    ck_assert_str_eq(match(table, "/q1?a=b", NULL), "q1");
    ck_assert_str_eq(match(table, "/q1?x&&a=b", NULL), "q1");
    ck_assert_str_eq(match(table, "/q1?a=%62", NULL), "(none)");
    ck_assert_str_eq(match(table, "/q1?a=c&a=b", NULL), "(none)");
    ck_assert_str_eq(match(table, "/q1", NULL), "(none)");
    ck_assert_str_eq(match(table, "/q1?aa=b", NULL), "(none)");
    ck_assert_str_eq(match(table, "/q3", NULL), "q3");
    ck_assert_str_eq(match(table, "/q3?a", NULL), "(none)");
    ck_assert_str_eq(match(table, "/q4?a", NULL), "q4");
    ck_assert_str_eq(match(table, "/q4?b", NULL), "(none)");
    ck_assert_str_eq(match(table, "/q5?a=", NULL), "q5");
    route_table_unref(table);
    teardown();
}
END_TEST

START_TEST(fractions_and_grpc_narrow_a_match)
{
    setup();
    struct route_table *table = routes_of(arena_printf(
        &load.arena, "%s,%s,%s", route_of("grpc", "\"prefix\":\"/\",\"grpc\":{}"),
        route_of("share", "\"prefix\":\"/\",\"runtime_fraction\":{\"default_value\":{\"numerator\":"
                          "25}}"),
        route_of("rest", "\"prefix\":\"/\"")));
    ck_assert_str_eq(match(table, "/", "content-type: application/grpc+proto"), "grpc");
    ck_assert_str_eq(match(table, "/", "content-type: application/grpc-web"), "share");
    ck_assert_str_eq(match_random(table, 124), "share");
    ck_assert_str_eq(match_random(table, 125), "rest");
    route_table_unref(table);
    teardown();
}
END_TEST

START_TEST(a_condition_that_is_not_supported_is_refused_and_not_ignored)
{
    setup();
    const char *const bad[] = {
        "\"prefix\":\"/\",\"tls_context\":{\"presented\":true}",
        "\"prefix\":\"/\",\"dynamic_metadata\":[{\"filter\":\"x\"}]",
        "\"prefix\":\"/\",\"filter_state\":[{\"key\":\"x\"}]",
        "\"prefix\":\"/\",\"cookies\":[{\"name\":\"x\"}]",
        "\"connect_matcher\":{}",
        "\"path_match_policy\":{\"name\":\"x\"}",
        "\"safe_regex\":{\"regex\":\"(?=a)\"}",
        "\"safe_regex\":{}",
        "\"path_separated_prefix\":\"/a/\"",
        "",
        "\"prefix\":\"/\",\"headers\":[{\"name\":\"\"}]",
        "\"prefix\":\"/\",\"headers\":[{\"name\":\"a\",\"string_match\":{}}]",
        "\"prefix\":\"/\",\"headers\":[{\"name\":\"a\",\"string_match\":{\"prefix\":\"\"}}]",
        "\"prefix\":\"/\",\"headers\":[{\"name\":\"a\",\"range_match\":{\"start\":1,\"end\":1}}]",
        "\"prefix\":\"/\",\"headers\":[{\"name\":\"a\",\"string_match\":{\"custom\":{}}}]",
        "\"prefix\":\"/\",\"query_parameters\":[{\"name\":\"\"}]",
        "\"prefix\":\"/\",\"runtime_fraction\":{\"runtime_key\":\"x\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct route_table *table = NULL;
        const char *json = arena_printf(
            &load.arena,
            "{\"name\":\"t\",\"virtual_hosts\":[{\"name\":\"v\",\"domains\":[\"*\"],\"routes\":"
            "[%s]}]}",
            route_of("r", bad[i]));
        ck_assert_msg(try_table(json, &table) != 0, "%s was taken", bad[i]);
        ck_assert_msg(strstr(load.msg.text, "virtual host v: route r: match: ") != NULL, "%s",
                      load.msg.text);
    }
    teardown();
}
END_TEST

START_TEST(an_unknown_field_of_a_match_is_refused)
{
    setup();
    Envoy__Config__Route__V3__RouteConfiguration *message = fake_load_message(
        &load, &envoy__config__route__v3__route_configuration__descriptor,
        "{\"name\":\"t\",\"virtual_hosts\":[{\"name\":\"v\",\"domains\":[\"*\"],\"routes\":[{"
        "\"match\":{\"prefix\":\"/\"},\"direct_response\":{\"status\":200}}]}]}");
    ProtobufCMessageUnknownField unknown = {.tag = 99};
    message->virtual_hosts[0]->routes[0]->match->base.n_unknown_fields = 1;
    message->virtual_hosts[0]->routes[0]->match->base.unknown_fields = &unknown;
    struct route_table_options options = {
        .cluster_slots = clusters, .filter_slots = filters, .shared = load.load.shared};
    struct route_table *table;
    ck_assert_int_eq(route_table_new(message, &options, &table, &load.msg), ERR_UNSUPPORTED);
    teardown();
}
END_TEST

/* Tables whose virtual hosts are named by letters; a route in each that carries the name. */
static struct route_table *hosts_of(const char *options, const char *const *domains, size_t count)
{
    const char *hosts = "";
    for (size_t i = 0; i < count; i++)
        hosts =
            arena_printf(&load.arena,
                         "%s%s{\"name\":\"%s\",\"domains\":[\"%s\"],\"routes\":[{\"name\":\"%s\""
                         ",\"match\":{\"prefix\":\"/\"},\"direct_response\":{\"status\":200}}]}",
                         hosts, i ? "," : "", domains[i], domains[i], domains[i]);
    return table_of(
        arena_printf(&load.arena, "{\"name\":\"t\"%s,\"virtual_hosts\":[%s]}", options, hosts));
}

START_TEST(virtual_hosts_are_found_by_exact_name_then_suffix_then_prefix_then_star)
{
    setup();
    const char *const domains[] = {"API.example.com", "*.example.com",  "*-x.example.com",
                                   "api.*",           "api.example.*",  "*",
                                   "ported:8080",     "*.a.example.com"};
    struct route_table *table = hosts_of("", domains, 8);
    const char *const cases[][2] = {
        {"host: api.example.com", "API.example.com"},
        {"host: API.EXAMPLE.COM", "API.example.com"},
        {"host: api.example.com:80", "api.example.*"},
        {"host: b.example.com", "*.example.com"},
        {"host: b.a.example.com", "*.a.example.com"},
        {"host: a-x.example.com", "*-x.example.com"},
        {"host: .example.com", "*"},
        {"host: example.com", "*"},
        {"host: api.org", "api.*"},
        {"host: api.example.org", "api.example.*"},
        {"host: api.", "*"},
        {"host: ported:8080", "ported:8080"},
        {"host: ported", "*"},
        {"host:", "*"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(match(table, "/", cases[i][0]), cases[i][1]);
    route_table_unref(table);
    table = hosts_of(",\"ignore_port_in_host_matching\":true", domains, 6);
    ck_assert_str_eq(match(table, "/", "host: api.example.com:80"), "API.example.com");
    ck_assert_str_eq(match(table, "/", "host: [::1]:80"), "*");
    route_table_unref(table);
    table = hosts_of("", domains, 1);
    ck_assert_str_eq(match(table, "/", "host: other"), "(none)");
    route_table_unref(table);
    teardown();
}
END_TEST

START_TEST(domains_must_be_unique)
{
    setup();
    const char *const bad[] = {
        "{\"name\":\"a\",\"domains\":[\"x.y\"]},{\"name\":\"b\",\"domains\":[\"X.y\"]}",
        "{\"name\":\"a\",\"domains\":[\"*\",\"*\"]}",
        "{\"name\":\"a\",\"domains\":[\"*.y\",\"*.y\"]}",
        "{\"name\":\"a\",\"domains\":[\"y\"]},{\"name\":\"a\",\"domains\":[\"z\"]}",
        "{\"name\":\"a\",\"domains\":[]}",
        "{\"name\":\"a\",\"domains\":[\"\"]}",
        "{\"name\":\"\",\"domains\":[\"x\"]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct route_table *table;
        ck_assert_int_ne(
            try_table(arena_printf(&load.arena, "{\"name\":\"t\",\"virtual_hosts\":[%s]}", bad[i]),
                      &table),
            0);
    }
    teardown();
}
END_TEST

static const struct route *only_route(const char *action)
{
    static struct route_table *table;
    route_table_unref(table);
    table = NULL;
    if (!action)
        return NULL;
    table = routes_of(
        arena_printf(&load.arena, "{\"name\":\"r\",\"match\":{\"prefix\":\"/ab\"},%s}", action));
    fake_stream_request(&fake, "GET", "/abc", NULL);
    struct route_match_input input = {.request = &fake.stream.request};
    return route_match(table, &input);
}

START_TEST(actions_are_decoded)
{
    setup();
    const struct route *route = only_route("\"route\":{\"cluster\":\"c\"}");
    ck_assert_int_eq(route->kind, ROUTE_FORWARD);
    ck_assert_uint_eq(route->forward.timeout_ms, 15000);
    ck_assert_uint_eq(route->forward.idle_timeout_ms, UINT64_MAX);
    ck_assert_uint_eq(route->forward.cluster_not_found_status, 503);
    ck_assert_uint_eq(route->match_prefix_len, 3);
    ck_assert_str_eq_len(route->forward.arms[0].cluster, "c");
    ck_assert_uint_eq(route->forward.arms[0].cluster_slot, name_slots_find(clusters, STR("c")));
    route = only_route("\"route\":{\"cluster_header\":\"X-C\",\"timeout\":\"0.0005s\","
                       "\"idle_timeout\":\"0s\",\"cluster_not_found_response_code\":\"NOT_FOUND\","
                       "\"prefix_rewrite\":\"/x\",\"host_rewrite_literal\":\"h\"}");
    ck_assert_str_eq_len(route->forward.cluster_header, "x-c");
    ck_assert_uint_eq(route->forward.timeout_ms, 1);
    ck_assert_uint_eq(route->forward.idle_timeout_ms, 0);
    ck_assert_uint_eq(route->forward.cluster_not_found_status, 404);
    ck_assert(route->forward.has_prefix_rewrite);
    ck_assert_str_eq_len(route->forward.prefix_rewrite, "/x");
    ck_assert_str_eq_len(route->forward.host_rewrite, "h");
    route = only_route("\"redirect\":{\"https_redirect\":true,\"host_redirect\":\"h\","
                       "\"path_redirect\":\"/p\",\"response_code\":\"PERMANENT_REDIRECT\","
                       "\"strip_query\":true,\"port_redirect\":8443}");
    ck_assert_int_eq(route->kind, ROUTE_REDIRECT);
    ck_assert_uint_eq(route->redirect.status, 308);
    ck_assert(route->redirect.has_path && route->redirect.strip_query);
    ck_assert(route->redirect.https_redirect);
    ck_assert_uint_eq(route->redirect.port, 8443);
    route = only_route("\"direct_response\":{\"status\":204,\"body\":{\"inline_string\":\"b\"}}");
    ck_assert_int_eq(route->kind, ROUTE_DIRECT_RESPONSE);
    ck_assert_str_eq_len(route->direct_response.body, "b");
    only_route(NULL);
    ck_assert_uint_eq(name_slots_find(clusters, STR("c")), NAME_SLOT_NONE);
    teardown();
}
END_TEST

START_TEST(weights_share_the_requests)
{
    setup();
    const struct route *route =
        only_route("\"route\":{\"weighted_clusters\":{\"clusters\":[{\"name\":\"a\",\"weight\":1},"
                   "{\"name\":\"z\",\"weight\":0},{\"name\":\"b\",\"weight\":3}]}}");
    unsigned counts[3] = {0};
    for (uint64_t random = 0; random < 400; random++)
        counts[route_forward_pick(&route->forward, random) - route->forward.arms]++;
    ck_assert_uint_eq(counts[0], 100);
    ck_assert_uint_eq(counts[1], 0);
    ck_assert_uint_eq(counts[2], 300);
    only_route(NULL);
    teardown();
}
END_TEST

START_TEST(an_action_that_would_send_requests_elsewhere_is_refused)
{
    setup();
    const char *const bad[] = {
        "\"route\":{}",
        "\"route\":{\"cluster\":\"\"}",
        "\"route\":{\"cluster\":\"c\",\"metadata_match\":{}}",
        "\"route\":{\"cluster\":\"c\",\"rate_limits\":[{}]}",
        "\"route\":{\"cluster\":\"c\",\"path_rewrite\":\"x\"}",
        "\"route\":{\"cluster\":\"c\",\"timeout\":\"-1s\"}",
        "\"route\":{\"cluster\":\"c\",\"host_rewrite_path_regex\":{}}",
        "\"route\":{\"cluster_specifier_plugin\":\"x\"}",
        "\"route\":{\"weighted_clusters\":{}}",
        "\"route\":{\"weighted_clusters\":{\"clusters\":[{\"name\":\"a\"}]}}",
        "\"route\":{\"weighted_clusters\":{\"clusters\":[{\"name\":\"a\",\"weight\":4294967295},"
        "{\"name\":\"b\",\"weight\":1}]}}",
        "\"route\":{\"weighted_clusters\":{\"clusters\":[{\"name\":\"a\",\"weight\":1,"
        "\"cluster_header\":\"x\"}]}}",
        "\"route\":{\"cluster\":\"c\",\"regex_rewrite\":{\"pattern\":{\"regex\":\"a\"},"
        "\"substitution\":\"\\\\1\"}}",
        "\"redirect\":{\"path_rewrite\":\"x\"}",
        "\"redirect\":{\"port_redirect\":65536}",
        "\"redirect\":{\"host_redirect\":\"a\\r\\nb\"}",
        "\"direct_response\":{\"status\":100}",
        "\"direct_response\":{\"status\":200,\"body\":{\"filename\":\"/etc/passwd\"}}",
        "\"filter_action\":{}",
        "\"non_forwarding_action\":{}",
        "\"direct_response\":{\"status\":200},\"request_headers_to_add\":[{\"header\":{\"key\":"
        "\":path\",\"value\":\"x\"}}]",
        "\"direct_response\":{\"status\":200},\"request_headers_to_remove\":[\"Host\"]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct route_table *table = NULL;
        const char *json = arena_printf(
            &load.arena,
            "{\"name\":\"t\",\"virtual_hosts\":[{\"name\":\"v\",\"domains\":[\"*\"],\"routes\":"
            "[{\"match\":{\"prefix\":\"/\"},%s}]}]}",
            bad[i]);
        ck_assert_msg(try_table(json, &table) != 0, "%s was taken", bad[i]);
        ck_assert_msg(strstr(load.msg.text, "virtual host v: route 0: ") != NULL, "%s",
                      load.msg.text);
    }
    teardown();
}
END_TEST

START_TEST(settings_of_filters_are_inherited_from_virtual_host_and_table)
{
    setup();
    struct route_table *table = table_of(
        "{\"name\":\"t\",\"typed_per_filter_config\":{\"f\":{\"@type\":\"x/"
        "envoy.config.route.v3.FilterConfig\",\"disabled\":true},\"g\":{\"@type\":\"x/"
        "envoy.config.route.v3.FilterConfig\"}},\"virtual_hosts\":[{\"name\":\"v\",\"domains\":"
        "[\"*\"],\"typed_per_filter_config\":{\"f\":{\"@type\":\"x/"
        "envoy.config.route.v3.FilterConfig\"}},\"routes\":[{\"name\":\"a\",\"match\":{\"path\":"
        "\"/a\"},\"direct_response\":{\"status\":200}},{\"name\":\"b\",\"match\":{\"path\":\"/b\"},"
        "\"direct_response\":{\"status\":200},\"typed_per_filter_config\":{\"h\":{\"@type\":\"x/"
        "envoy.config.route.v3.FilterConfig\"},\"f\":{\"@type\":\"x/"
        "envoy.config.route.v3.FilterConfig\"}}}]}]}");
    uint32_t f = name_slots_find(filters, STR("f")), h = name_slots_find(filters, STR("h"));
    struct route_match_input input = {.request = &fake.stream.request};
    fake_stream_request(&fake, "GET", "/a", NULL);
    const struct route *route = route_match(table, &input);
    ck_assert_uint_eq(route->filter_config_count, 2);
    ck_assert_uint_eq(route->filter_configs[0].name_slot, f);
    ck_assert_str_eq(route->filter_configs[0].config, "vhost t/v f empty < routes t f set < ");
    ck_assert_str_eq(route->filter_configs[1].config, "routes t g empty < ");
    fake_stream_request(&fake, "GET", "/b", NULL);
    route = route_match(table, &input);
    ck_assert_uint_eq(route->filter_config_count, 3);
    ck_assert_str_eq(route->filter_configs[0].config,
                     "route t/v/b f empty < vhost t/v f empty < routes t f set < ");
    ck_assert_uint_eq(route->filter_configs[2].name_slot, h);
    ck_assert_str_eq(route->filter_configs[2].config, "route t/v/b h empty < ");
    route_table_unref(table);
    ck_assert_uint_eq(name_slots_find(filters, STR("f")), NAME_SLOT_NONE);
    teardown();
}
END_TEST

START_TEST(header_changes_run_from_the_route_outwards_or_the_other_way)
{
    setup();
    for (int wins = 0; wins < 2; wins++) {
        struct route_table *table = table_of(arena_printf(
            &load.arena,
            "{\"name\":\"t\",\"most_specific_header_mutations_wins\":%s,\"request_headers_to_add\":"
            "[{\"header\":{\"key\":\"x\",\"value\":\"table\"},\"append_action\":"
            "\"OVERWRITE_IF_EXISTS_OR_ADD\"}],\"virtual_hosts\":[{\"name\":\"v\",\"domains\":"
            "[\"*\"],\"request_headers_to_add\":[{\"header\":{\"key\":\"x\",\"value\":\"host\"},"
            "\"append_action\":\"OVERWRITE_IF_EXISTS_OR_ADD\"}],\"routes\":[{\"name\":\"a\","
            "\"match\":{\"path\":\"/a\"},\"request_headers_to_add\":[{\"header\":{\"key\":\"x\","
            "\"value\":\"route\"},\"append_action\":\"OVERWRITE_IF_EXISTS_OR_ADD\"}],"
            "\"direct_response\":{\"status\":200}}]}]}",
            wins ? "true" : "false"));
        struct route_match_input input = {.request = &fake.stream.request};
        fake_stream_request(&fake, "GET", "/a", NULL);
        const struct route *route = route_match(table, &input);
        header_mutations_apply(route->request_mutations, &fake.stream,
                               &fake.stream.request.headers);
        ck_assert_str_eq(fake_stream_request_header(&fake, "x"), wins ? "route" : "table");
        route_table_unref(table);
    }
    teardown();
}
END_TEST

START_TEST(a_virtual_host_may_require_tls)
{
    setup();
    struct route_table *table =
        table_of("{\"name\":\"t\",\"virtual_hosts\":[{\"name\":\"v\",\"domains\":[\"*\"],"
                 "\"require_tls\":\"ALL\",\"routes\":[{\"name\":\"a\",\"match\":{\"prefix\":\"/\"},"
                 "\"direct_response\":{\"status\":200}}]}]}");
    struct route_match_input input = {.request = &fake.stream.request};
    fake_stream_request(&fake, "GET", "/a", NULL);
    const struct route *route = route_match(table, &input);
    ck_assert_int_eq(route->kind, ROUTE_REDIRECT);
    ck_assert(route->redirect.https_redirect);
    ck_assert_uint_eq(route->redirect.status, 301);
    ck_assert_str_eq(match(table, "/a", "x-forwarded-proto: https"), "a");
    input.is_tls = true;
    fake_stream_request(&fake, "GET", "/a", NULL);
    ck_assert_int_eq(route_match(table, &input)->kind, ROUTE_DIRECT_RESPONSE);
    route_table_unref(table);
    struct route_table *refused;
    ck_assert_int_ne(try_table("{\"name\":\"t\",\"virtual_hosts\":[{\"name\":\"v\",\"domains\":"
                               "[\"*\"],\"require_tls\":\"EXTERNAL_ONLY\"}]}",
                               &refused),
                     0);
    teardown();
}
END_TEST

TEST_MAIN("route_match", the_first_route_of_the_list_that_matches_wins, case_is_ignored_where_asked,
          headers_match_as_in_envoy, pseudo_headers_have_values, query_parameters_match_as_in_envoy,
          fractions_and_grpc_narrow_a_match,
          a_condition_that_is_not_supported_is_refused_and_not_ignored,
          an_unknown_field_of_a_match_is_refused,
          virtual_hosts_are_found_by_exact_name_then_suffix_then_prefix_then_star,
          domains_must_be_unique, actions_are_decoded, weights_share_the_requests,
          an_action_that_would_send_requests_elsewhere_is_refused,
          settings_of_filters_are_inherited_from_virtual_host_and_table,
          header_changes_run_from_the_route_outwards_or_the_other_way,
          a_virtual_host_may_require_tls)
