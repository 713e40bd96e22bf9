#include "dataplane/filters/header_mutation.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct fake_stream fake;

#define SET(name, value)                                                                           \
    "{\"append\":{\"header\":{\"key\":\"" name "\",\"value\":\"" value                             \
    "\"},\"append_action\":\"OVERWRITE_IF_EXISTS_OR_ADD\"}},{\"append\":{\"header\":{\"key\":"     \
    "\"all\",\"value\":\"" value "\"}}}"

static const void *load_level(const char *json, const void *inherited, bool is_route)
{
    const struct http_filter_type *type = &header_mutation_filter;
    const void *config = NULL;
    load.load.inherited = inherited;
    const ProtobufCMessage *message =
        fake_load_message(&load, is_route ? type->route_descriptor : type->config_descriptor, json);
    int err = (is_route ? type->load_route : type->load)(&load.load, message, &config, &load.msg);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    return config;
}

static const char *all_lines(void)
{
    const char *text = "";
    const struct header *header = header_list_find_name(&fake.stream.request.headers, STR("all"));
    for (; header; header = header_list_find_next(&fake.stream.request.headers, header))
        text = arena_printf(&load.arena, "%s%.*s ", text, STR_ARGS(header->value));
    return text;
}

/* Envoy 1.40: the listener's first, then the route's, its virtual host's, the table's. */
START_TEST(every_level_is_applied_in_envoys_order)
{
    for (int wins = 0; wins < 2; wins++) {
        fake_load_init(&load);
        fake_stream_init(&fake);
        const void *table = load_level(
            "{\"mutations\":{\"request_mutations\":[" SET("x", "table") "]}}", NULL, true);
        const void *host = load_level(
            "{\"mutations\":{\"request_mutations\":[" SET("x", "host") "]}}", table, true);
        const void *route = load_level(
            "{\"mutations\":{\"request_mutations\":[" SET("x", "route") "]}}", host, true);
        fake.filter = (struct http_filter){.type = &header_mutation_filter, .route_config = route};
        fake.filter.config =
            load_level(wins ? "{\"most_specific_header_mutations_wins\":true,\"mutations\":{"
                              "\"request_mutations\":[" SET("x", "listener") "]}}"
                            : "{\"mutations\":{\"request_mutations\":[" SET("x", "listener") "]}}",
                       NULL, false);
        fake_stream_again(&fake, "/", "");
        header_mutation_filter.on_request_headers(&fake.filter, &fake.stream, true);
        ck_assert_str_eq(fake_stream_request_header(&fake, "x"), wins ? "route" : "table");
        ck_assert_str_eq(all_lines(),
                         wins ? "listener table host route " : "listener route host table ");
        fake_stream_done(&fake);
        fake_load_done(&load);
    }
}
END_TEST

START_TEST(responses_are_changed_too)
{
    fake_load_init(&load);
    fake_stream_init(&fake);
    fake.filter = (struct http_filter){.type = &header_mutation_filter};
    fake.filter.config =
        load_level("{\"mutations\":{\"response_mutations\":[{\"remove\":\"server\"}," SET(
                       "x", "%RESPONSE_CODE%") "]}}",
                   NULL, false);
    header_list_add(&fake.stream.response.headers, HEADER_SERVER, STR("secret"));
    fake.stream.response.status = 204;
    header_mutation_filter.on_request_headers(&fake.filter, &fake.stream, true);
    header_mutation_filter.on_response_headers(&fake.filter, &fake.stream);
    ck_assert_str_eq(fake_stream_response_header(&fake, "server"), "");
    ck_assert_str_eq(fake_stream_response_header(&fake, "x"), "204");
    ck_assert_uint_eq(fake.stream.request.headers.len, 0);
    fake_stream_done(&fake);
    fake_load_done(&load);
}
END_TEST

START_TEST(mutations_of_queries_and_trailers_are_refused)
{
    fake_load_init(&load);
    const char *const bad[] = {
        "{\"mutations\":{\"query_parameter_mutations\":[{\"remove\":\"a\"}]}}",
        "{\"mutations\":{\"response_trailers_mutations\":[{\"remove\":\"a\"}]}}",
        "{\"mutations\":{\"request_mutations\":[{\"remove\":\":path\"}]}}",
        "{\"mutations\":{\"request_mutations\":[{}]}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const void *config;
        ck_assert_int_ne(
            header_mutation_filter.load(
                &load.load,
                fake_load_message(&load, header_mutation_filter.config_descriptor, bad[i]), &config,
                &load.msg),
            0);
    }
    fake_load_done(&load);
}
END_TEST

TEST_MAIN("header_mutation", every_level_is_applied_in_envoys_order, responses_are_changed_too,
          mutations_of_queries_and_trailers_are_refused)
