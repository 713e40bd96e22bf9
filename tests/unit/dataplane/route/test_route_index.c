/* The index against the plain walk of the list, on random tables and requests; and what ten
 * thousand routes weigh. */
#include "dataplane/config/name_slots.h"
#include "dataplane/route/route.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

#include <malloc.h>
#include <stdio.h>

typedef Envoy__Config__Route__V3__RouteConfiguration table_message;
typedef Envoy__Config__Route__V3__VirtualHost host_message;
typedef Envoy__Config__Route__V3__Route route_message;

static uint64_t random_state = 88172645463325252ull;

static uint32_t random_below(uint32_t max)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 11) % max;
}

/* Few different pieces, so that paths, prefixes and patterns meet. */
static const char *random_path(struct arena *arena)
{
    static const char *const pieces[] = {"/", "/a", "/b", "/ab", "/A", "a", "b", "/1", "", "/aB/"};
    const char *path = "/";
    for (uint32_t i = random_below(5); i > 0; i--)
        path = arena_printf(arena, "%s%s", path, pieces[random_below(10)]);
    return path;
}

static char *random_regex(struct arena *arena)
{
    static const char *const pieces[] = {"/a", "/[^/]+", "(a|b)", "/?", ".*", "b", "/\\.", "b+"};
    const char *regex = random_below(4) ? "/" : "";
    for (uint32_t i = random_below(4); i > 0; i--)
        regex = arena_printf(arena, "%s%s", regex, pieces[random_below(8)]);
    return (char *)(*regex ? regex : "/");
}

static void random_match(struct arena *arena, Envoy__Config__Route__V3__RouteMatch *match)
{
    static Google__Protobuf__BoolValue no = GOOGLE__PROTOBUF__BOOL_VALUE__INIT;
    char *path = (char *)random_path(arena);
    size_t len = strlen(path);
    match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
    match->prefix = random_below(20) ? path : arena_copy_string(arena, "");
    uint32_t kind = random_below(5);
    if (kind == 1)
        match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH;
    if (kind == 2 && path[len - 1] != '/' && *match->prefix)
        match->path_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX;
    if (kind > 2) {
        match->path_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX;
        match->safe_regex = ARENA_NEW(arena, Envoy__Type__Matcher__V3__RegexMatcher);
        envoy__type__matcher__v3__regex_matcher__init(match->safe_regex);
        match->safe_regex->regex = random_regex(arena);
    }
    if (random_below(3) == 0)
        match->case_sensitive = &no;
    if (random_below(3) == 0) {
        match->n_headers = 1;
        match->headers = arena_alloc_array(arena, 1, sizeof(void *));
        match->headers[0] = ARENA_NEW(arena, Envoy__Config__Route__V3__HeaderMatcher);
        envoy__config__route__v3__header_matcher__init(match->headers[0]);
        match->headers[0]->name = (char *)"x";
        match->headers[0]->invert_match = random_below(2) == 1;
    }
}

static route_message *random_route(struct arena *arena)
{
    static Envoy__Config__Route__V3__DirectResponseAction direct =
        ENVOY__CONFIG__ROUTE__V3__DIRECT_RESPONSE_ACTION__INIT;
    direct.status = 200;
    route_message *route = ARENA_NEW(arena, route_message);
    envoy__config__route__v3__route__init(route);
    route->match = ARENA_NEW(arena, Envoy__Config__Route__V3__RouteMatch);
    envoy__config__route__v3__route_match__init(route->match);
    random_match(arena, route->match);
    route->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE;
    route->direct_response = &direct;
    return route;
}

/* A table of one virtual host with these routes. */
static struct route_table *table_of(route_message **routes, size_t count,
                                    const struct route_table_options *options)
{
    char *domains[] = {(char *)"*"};
    host_message host = ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__INIT, *hosts[] = {&host};
    table_message message = ENVOY__CONFIG__ROUTE__V3__ROUTE_CONFIGURATION__INIT;
    host.name = (char *)"v";
    host.domains = domains;
    host.n_domains = 1;
    host.routes = routes;
    host.n_routes = count;
    message.name = (char *)"t";
    message.virtual_hosts = hosts;
    message.n_virtual_hosts = 1;
    struct route_table *table = NULL;
    struct errmsg msg;
    int err = route_table_new(&message, options, &table, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    return table;
}

START_TEST(the_index_finds_what_the_walk_finds)
{
    struct fake_stream fake;
    struct shared_registry *shared = shared_registry_new();
    struct route_table_options options = {
        .cluster_slots = name_slots_new(), .filter_slots = name_slots_new(), .shared = shared};
    fake_stream_init(&fake);
    unsigned found = 0, total = 0;
    for (int round = 0; round < 300; round++) {
        struct arena arena;
        arena_init(&arena, 64 * 1024);
        route_message *routes[64];
        uint32_t count = 1 + random_below(60);
        for (uint32_t i = 0; i < count; i++)
            routes[i] = random_route(&arena);
        struct route_table *table = table_of(routes, count, &options);
        for (int i = 0; i < 100; i++) {
            const char *path = random_path(&arena);
            if (random_below(3) == 0)
                path = arena_printf(&arena, "%s?q=/a", path);
            fake_stream_request(&fake, "GET", path, random_below(2) ? "x: 1" : NULL);
            struct route_match_input input = {.request = &fake.stream.request};
            const struct route *route = route_match(table, &input);
            ck_assert_ptr_eq(route, route_match_linear(table, &input));
            found += route != NULL;
            total++;
        }
        route_table_unref(table);
        arena_done(&arena);
        arena_reset(&fake.stream.arena);
    }
    ck_assert_uint_gt(found, total / 4);
    ck_assert_uint_lt(found, total);
    fake_stream_done(&fake);
    name_slots_free(options.cluster_slots);
    name_slots_free(options.filter_slots);
    shared_registry_free(shared);
}
END_TEST

static struct route_table *big_table(uint32_t count, const struct route_table_options *options)
{
    struct arena arena;
    arena_init(&arena, 1024 * 1024);
    route_message **routes = arena_alloc_array(&arena, count, sizeof *routes);
    for (uint32_t i = 0; i < count; i++) {
        routes[i] = ARENA_NEW(&arena, route_message);
        envoy__config__route__v3__route__init(routes[i]);
        routes[i]->name = arena_printf(&arena, "route-%u", i);
        routes[i]->match = ARENA_NEW(&arena, Envoy__Config__Route__V3__RouteMatch);
        envoy__config__route__v3__route_match__init(routes[i]->match);
        routes[i]->match->path_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
        routes[i]->match->prefix = arena_printf(&arena, "/api/service-%u/v1", i);
        routes[i]->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
        routes[i]->route = ARENA_NEW(&arena, Envoy__Config__Route__V3__RouteAction);
        envoy__config__route__v3__route_action__init(routes[i]->route);
        routes[i]->route->cluster_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
        routes[i]->route->cluster = arena_printf(&arena, "service-%u", i);
    }
    struct route_table *table = table_of(routes, count, options);
    arena_done(&arena);
    return table;
}

/* Also the program to count instructions with: ROUTE_MATCHES=n runs n matches per table. */
START_TEST(ten_thousand_routes_are_all_found_and_take_little_memory)
{
    const char *matches = getenv("ROUTE_MATCHES"), *size = getenv("ROUTE_COUNT");
    struct fake_stream fake;
    struct shared_registry *shared = shared_registry_new();
    struct route_table_options options = {
        .cluster_slots = name_slots_new(), .filter_slots = name_slots_new(), .shared = shared};
    fake_stream_init(&fake);
    uint32_t count = size ? (uint32_t)strtoul(size, NULL, 10) : 10000;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    struct route_table *table = big_table(count, &options);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    ck_assert_uint_lt(after - before, 15 * 1024 * 1024);
    for (uint32_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/api/service-%u/v1/users/%u?page=2", i, i);
        fake_stream_request(&fake, "GET", path, NULL);
        struct route_match_input input = {.request = &fake.stream.request};
        const struct route *route = route_match(table, &input);
        ck_assert_ptr_nonnull(route);
        ck_assert_uint_eq(strtoul(route->name.data + 6, NULL, 10), i);
    }
    fake_stream_request(&fake, "GET", "/api/service-7/v1/users/42?page=2", NULL);
    struct route_match_input input = {.request = &fake.stream.request};
    for (unsigned long i = matches ? strtoul(matches, NULL, 10) : 0; i > 0; i--)
        ck_assert_ptr_nonnull(route_match(table, &input));
    route_table_unref(table);
    fake_stream_done(&fake);
    name_slots_free(options.cluster_slots);
    name_slots_free(options.filter_slots);
    shared_registry_free(shared);
}
END_TEST

TEST_MAIN("route_index", the_index_finds_what_the_walk_finds,
          ten_thousand_routes_are_all_found_and_take_little_memory)
