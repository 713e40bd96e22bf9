#include "dataplane/filters/table.h"

#include "dataplane/filters/api_key_auth.h"
#include "dataplane/filters/header_mutation.h"
#include "dataplane/filters/local_ratelimit.h"
#include "dataplane/http/filter_chain.h"
#include "dataplane/route/route.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct filter_route_config settings;

static int load_route(const char *json)
{
    settings = (struct filter_route_config){.name_slot = 7};
    return filter_table_load_route(
        &load.load, STR("instance"),
        fake_load_message(&load, &google__protobuf__any__descriptor, json), &settings, &load.msg);
}

START_TEST(a_filter_is_found_by_the_type_of_its_settings)
{
    ck_assert_ptr_eq(filter_table_find(STR("type.googleapis.com/envoy.extensions.filters.http."
                                           "header_mutation.v3.HeaderMutation")),
                     &header_mutation_filter);
    ck_assert_ptr_nonnull(
        filter_table_find(STR("x/envoy.extensions.filters.http.router.v3.Router")));
    ck_assert_ptr_nonnull(
        filter_table_find(STR("x/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth")));
    ck_assert_ptr_null(filter_table_find(STR("x/envoy.extensions.filters.http.lua.v3.Lua")));
    ck_assert_ptr_null(filter_table_find(STR("")));
}
END_TEST

START_TEST(settings_of_a_listener_are_loaded)
{
    fake_load_init(&load);
    const struct http_filter_type *type = NULL;
    const void *config = NULL;
    ck_assert_int_eq(
        filter_table_load(&load.load,
                          fake_load_message(&load, &google__protobuf__any__descriptor,
                                            "{\"@type\":\"x/envoy.extensions.filters.http."
                                            "header_mutation.v3.HeaderMutation\"}"),
                          &type, &config, &load.msg),
        0);
    ck_assert_ptr_eq(type, &header_mutation_filter);
    ck_assert_ptr_nonnull(config);
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = (char *)"x/no.such.Type";
    ck_assert_int_eq(filter_table_load(&load.load, &any, &type, &config, &load.msg),
                     ERR_UNSUPPORTED);
    any.type_url = (char *)"x/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
    any.value.data = (uint8_t *)"\xff\xff";
    any.value.len = 2;
    ck_assert_int_eq(filter_table_load(&load.load, &any, &type, &config, &load.msg), ERR_INVALID);
    fake_load_done(&load);
}
END_TEST

START_TEST(settings_of_a_route_may_come_in_a_wrapper)
{
    fake_load_init(&load);
    const char *bare = "{\"@type\":\"x/envoy.extensions.filters.http.header_mutation.v3."
                       "HeaderMutationPerRoute\"}";
    ck_assert_int_eq(load_route(bare), 0);
    ck_assert_ptr_nonnull(settings.config);
    ck_assert(!settings.is_disabled);
    ck_assert_uint_eq(settings.name_slot, 7);
    ck_assert_int_eq(
        load_route(arena_printf(
            &load.arena, "{\"@type\":\"x/envoy.config.route.v3.FilterConfig\",\"config\":%s}",
            bare)),
        0);
    ck_assert_ptr_nonnull(settings.config);
    ck_assert_int_eq(
        load_route("{\"@type\":\"x/envoy.config.route.v3.FilterConfig\",\"disabled\":true}"), 0);
    ck_assert(settings.is_disabled);
    ck_assert_int_ne(load_route("{\"@type\":\"x/envoy.config.route.v3.FilterConfig\"}"), 0);
    fake_load_done(&load);
}
END_TEST

/* Settings of an unknown type, bare or in a FilterConfig. */
static int load_unknown(bool is_wrapped, bool is_optional)
{
    Google__Protobuf__Any unknown = GOOGLE__PROTOBUF__ANY__INIT,
                          outer = GOOGLE__PROTOBUF__ANY__INIT;
    Envoy__Config__Route__V3__FilterConfig wrapper = ENVOY__CONFIG__ROUTE__V3__FILTER_CONFIG__INIT;
    uint8_t bytes[256];
    unknown.type_url = (char *)"type.googleapis.com/weir.v1.NoSuchThing";
    wrapper.config = &unknown;
    wrapper.is_optional = is_optional;
    outer.type_url = (char *)"type.googleapis.com/envoy.config.route.v3.FilterConfig";
    outer.value.data = bytes;
    outer.value.len = protobuf_c_message_pack(&wrapper.base, bytes);
    settings = (struct filter_route_config){0};
    return filter_table_load_route(&load.load, STR("instance"), is_wrapped ? &outer : &unknown,
                                   &settings, &load.msg);
}

START_TEST(unknown_settings_of_a_route_are_refused_unless_they_are_optional)
{
    fake_load_init(&load);
    ck_assert_int_eq(load_unknown(false, false), ERR_UNSUPPORTED);
    ck_assert_int_eq(load_unknown(true, false), ERR_UNSUPPORTED);
    ck_assert_int_eq(load_unknown(true, true), 0);
    ck_assert_ptr_null(settings.config);
    ck_assert(!settings.is_disabled);
    fake_load_done(&load);
}
END_TEST

START_TEST(two_instances_with_equal_settings_count_for_themselves)
{
    fake_load_init(&load);
    const char *json = "{\"@type\":\"x/envoy.extensions.filters.http.local_ratelimit.v3."
                       "LocalRateLimit\",\"stat_prefix\":\"x\",\"token_bucket\":{\"max_tokens\":1,"
                       "\"fill_interval\":\"1s\"}}";
    const Google__Protobuf__Any *any =
        fake_load_message(&load, &google__protobuf__any__descriptor, json);
    const struct str names[] = {STR("address"), STR("consumer"), STR("address")};
    void *states[3];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(filter_table_load_route(&load.load, names[i], any, &settings, &load.msg),
                         0);
        states[i] = load.states.items[i];
    }
    ck_assert_ptr_ne(states[0], states[1]);
    ck_assert_ptr_eq(states[0], states[2]);
    ck_assert_str_eq_len(load.load.scope, "listener test");
    fake_load_done(&load);
}
END_TEST

START_TEST(settings_do_not_reach_a_filter_of_another_type)
{
    fake_load_init(&load);
    ck_assert_int_eq(load_route("{\"@type\":\"x/envoy.extensions.filters.http.api_key_auth.v3."
                                "ApiKeyAuthPerRoute\",\"allowed_clients\":[\"a\"]}"),
                     0);
    ck_assert_ptr_eq(settings.type, &api_key_auth_filter);
    /* Nor one level down, in the same table. */
    load.load.inherited = settings.config;
    load.load.inherited_type = settings.type;
    ck_assert_int_eq(load_route("{\"@type\":\"x/envoy.extensions.filters.http.header_mutation.v3."
                                "HeaderMutationPerRoute\"}"),
                     0);
    ck_assert_ptr_eq(settings.type, &header_mutation_filter);
    ck_assert_ptr_null(load.load.inherited);

    struct filter_config filters[] = {{.type = &header_mutation_filter, .name_slot = 7},
                                      {.type = &api_key_auth_filter, .name_slot = 7}};
    struct listener_config listener = {.filters = filters, .filter_count = 2};
    struct route route = {.filter_configs = &settings, .filter_config_count = 1};
    struct http_stream stream = {.listener = &listener, .route = &route};
    arena_init(&stream.arena, 1024);
    filter_chain_set_up(&stream);
    ck_assert_ptr_eq(stream.filters[0].route_config, settings.config);
    ck_assert_ptr_null(stream.filters[1].route_config);
    arena_done(&stream.arena);
    fake_load_done(&load);
}
END_TEST

TEST_MAIN("filter_table", a_filter_is_found_by_the_type_of_its_settings,
          settings_of_a_listener_are_loaded, settings_of_a_route_may_come_in_a_wrapper,
          unknown_settings_of_a_route_are_refused_unless_they_are_optional,
          two_instances_with_equal_settings_count_for_themselves,
          settings_do_not_reach_a_filter_of_another_type)
