#include "tests/support/test.h"

#include "controlplane/translate/hosts.h"
#include "controlplane/translate/virtual_hosts.h"

#include <stdio.h>

enum { ROUTES_MAX = 40, HOSTS_MAX = 4 };

/* Routes that have nothing but hosts. */
struct fixture {
    struct arena arena;
    Weir__V1__Route messages[ROUTES_MAX];
    struct model_object objects[ROUTES_MAX];
    const struct model_object *routes[ROUTES_MAX];
    char *hosts[ROUTES_MAX][HOSTS_MAX];
    size_t count;
};

static void fixture_init(struct fixture *fixture)
{
    fixture->count = 0;
    arena_init(&fixture->arena, 4096);
}

static void add_route(struct fixture *fixture, char *const *hosts, size_t count)
{
    size_t i = fixture->count++;
    weir__v1__route__init(&fixture->messages[i]);
    for (size_t j = 0; j < count; j++)
        fixture->hosts[i][j] = hosts[j];
    fixture->messages[i].hosts = fixture->hosts[i];
    fixture->messages[i].n_hosts = count;
    fixture->objects[i] = (struct model_object){.route = &fixture->messages[i]};
    fixture->routes[i] = &fixture->objects[i];
}

static struct virtual_hosts plan(struct fixture *fixture, char *const *listener, size_t count)
{
    struct virtual_hosts hosts;
    ck_assert_int_eq(virtual_hosts_plan(&fixture->arena, fixture->routes, fixture->count, listener,
                                        count, &hosts),
                     0);
    return hosts;
}

/* "host:0,2 host:1" */
static const char *describe(struct fixture *fixture, const struct virtual_hosts *hosts)
{
    char *text = arena_printf(&fixture->arena, "%s", "");
    for (size_t i = 0; i < hosts->len; i++) {
        text = arena_printf(&fixture->arena, "%s%s%.*s:", text, i ? " " : "",
                            STR_ARGS(hosts->items[i].host));
        for (size_t j = 0; j < hosts->items[i].route_count; j++)
            text = arena_printf(&fixture->arena, "%s%s%u", text, j ? "," : "",
                                hosts->items[i].routes[j]);
    }
    return text;
}

START_TEST(routes_without_hosts_are_for_every_host)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_route(&fixture, NULL, 0);
    add_route(&fixture, NULL, 0);
    struct virtual_hosts hosts = plan(&fixture, NULL, 0);
    ck_assert_str_eq(describe(&fixture, &hosts), "*:0,1");
    arena_done(&fixture.arena);
}
END_TEST

START_TEST(a_host_has_its_own_routes_first_and_those_of_wider_ones_behind)
{
    struct fixture fixture;
    char any[] = "*", wild[] = "*.b.c", host[] = "a.b.c";
    fixture_init(&fixture);
    add_route(&fixture, (char *[]){any}, 1);
    add_route(&fixture, (char *[]){wild}, 1);
    add_route(&fixture, (char *[]){host}, 1);
    add_route(&fixture, (char *[]){any, host}, 2);
    struct virtual_hosts hosts = plan(&fixture, NULL, 0);
    ck_assert_str_eq(describe(&fixture, &hosts), "*.b.c:1,0,3 a.b.c:2,3,1,0 *:0,3");
    arena_done(&fixture.arena);
}
END_TEST

START_TEST(a_listener_has_what_meets_its_hosts)
{
    struct fixture fixture;
    char any[] = "*", host[] = "a.b.c", other[] = "x.y", listener[] = "*.b.c";
    fixture_init(&fixture);
    add_route(&fixture, (char *[]){any}, 1);
    add_route(&fixture, (char *[]){host}, 1);
    add_route(&fixture, (char *[]){other}, 1);
    struct virtual_hosts hosts = plan(&fixture, (char *[]){listener}, 1);
    ck_assert_str_eq(describe(&fixture, &hosts), "*.b.c:0 a.b.c:1,0");
    arena_done(&fixture.arena);
}
END_TEST

START_TEST(too_many_pairs_of_hosts_and_routes_are_refused)
{
    /* As many hosts as routes for all hosts: their product counts. */
    enum { COUNT = 500 };
    struct arena arena;
    arena_init(&arena, 4096);
    const struct model_object **routes =
        (const struct model_object **)arena_alloc_array(&arena, 2 * COUNT, sizeof *routes);
    for (int i = 0; i < 2 * COUNT; i++) {
        Weir__V1__Route *route = ARENA_NEW(&arena, Weir__V1__Route);
        struct model_object *object = ARENA_NEW(&arena, struct model_object);
        weir__v1__route__init(route);
        if (i < COUNT) {
            route->hosts = arena_alloc_array(&arena, 1, sizeof(char *));
            route->hosts[0] = arena_printf(&arena, "host-%d.example.com", i);
            route->n_hosts = 1;
        }
        object->route = route;
        routes[i] = object;
    }
    struct virtual_hosts hosts;
    ck_assert_int_eq(virtual_hosts_plan(&arena, routes, 2 * COUNT, NULL, 0, &hosts), ERR_TOO_LARGE);
    ck_assert_int_eq(virtual_hosts_plan(&arena, routes, COUNT + 100, NULL, 0, &hosts), 0);
    ck_assert_uint_eq(hosts.len, COUNT + 1);
    arena_done(&arena);
}
END_TEST

/* --- against the plain definition --------------------------------------------------------------
 */

static unsigned random_below(unsigned *seed, unsigned bound)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % bound;
}

/* Which route a request for host meets first, by definition: of those one of whose hosts covers it,
 * the one whose host is most specific, and then the first. */
static int first_route(const struct fixture *fixture, struct str host)
{
    int best = -1;
    size_t best_len = 0;
    for (size_t i = 0; i < fixture->count; i++) {
        for (size_t j = 0; j < fixture->messages[i].n_hosts; j++) {
            struct str pattern = str_from(fixture->hosts[i][j]);
            size_t len = host_is_concrete(pattern) ? 1000 : pattern.len;
            if (host_covers(pattern, host) && (best < 0 || len > best_len)) {
                best = (int)i;
                best_len = len;
            }
        }
    }
    return best;
}

/* The same as Envoy finds it: the most specific virtual host, and its first route. */
static int first_in_hosts(const struct virtual_hosts *hosts, struct str host)
{
    const struct virtual_host *best = NULL;
    for (size_t i = 0; i < hosts->len; i++) {
        const struct virtual_host *candidate = &hosts->items[i];
        bool is_exact = host_is_concrete(candidate->host);
        if (!host_covers(candidate->host, host))
            continue;
        if (!best || is_exact ||
            (!host_is_concrete(best->host) && candidate->host.len > best->host.len))
            best = candidate;
    }
    return best ? (int)best->routes[0] : -1;
}

START_TEST(the_first_route_of_the_virtual_host_is_the_one_the_definition_names)
{
    static char names[][16] = {"*",     "*.c", "*.b.c", "a.b.c", "b.c",
                               "x.b.c", "a.c", "c",     "*.x.c", "y.x.c"};
    enum { NAMES = sizeof names / sizeof *names };
    unsigned seed = 3;
    for (int round = 0; round < 2000; round++) {
        struct fixture fixture;
        fixture_init(&fixture);
        unsigned count = 1 + random_below(&seed, 8);
        for (unsigned i = 0; i < count; i++) {
            char *hosts[HOSTS_MAX];
            unsigned host_count = 1 + random_below(&seed, HOSTS_MAX);
            for (unsigned j = 0; j < host_count; j++)
                hosts[j] = names[random_below(&seed, NAMES)];
            add_route(&fixture, hosts, host_count);
        }
        struct virtual_hosts hosts = plan(&fixture, NULL, 0);
        for (size_t i = 0; i < NAMES; i++) {
            struct str host = str_from(names[i]);
            if (host_is_concrete(host))
                ck_assert_int_eq(first_in_hosts(&hosts, host), first_route(&fixture, host));
        }
        arena_done(&fixture.arena);
    }
}
END_TEST

TEST_MAIN("virtual_hosts", routes_without_hosts_are_for_every_host,
          a_host_has_its_own_routes_first_and_those_of_wider_ones_behind,
          a_listener_has_what_meets_its_hosts, too_many_pairs_of_hosts_and_routes_are_refused,
          the_first_route_of_the_virtual_host_is_the_one_the_definition_names)
