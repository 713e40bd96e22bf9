#include "dataplane/filters/api_key_auth.h"

#include "common/base/buf.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct fake_stream fake;

#define CREDENTIALS                                                                                \
    "\"credentials\":[{\"key\":\"k1\",\"client\":\"alice\"},{\"key\":\"k2\",\"client\":\"bob\"}]"
#define SOURCES                                                                                    \
    "\"key_sources\":[{\"header\":\"X-Api-Key\"},{\"query\":\"key\"},{\"cookie\":\"kc\"},"         \
    "{\"header\":\"authorization\"}]"
#define SECRET(client) "{\"key\":\"s3cret\",\"client\":\"" client "\"}"
#define FORWARDING "\"forwarding\":{\"header\":\"X-Who\",\"hide_credentials\":true}"

static int try_load(const char *json, bool is_route, const void **ret)
{
    const struct http_filter_type *type = &api_key_auth_filter;
    const ProtobufCMessage *message =
        fake_load_message(&load, is_route ? type->route_descriptor : type->config_descriptor, json);
    return (is_route ? type->load_route : type->load)(&load.load, message, ret, &load.msg);
}

static void configure(const char *common, const char *route)
{
    fake.filter = (struct http_filter){.type = &api_key_auth_filter};
    ck_assert_int_eq(try_load(common, false, &fake.filter.config), 0);
    if (route)
        ck_assert_int_eq(try_load(route, true, &fake.filter.route_config), 0);
}

/* "alice", or the status and details of the refusal. */
static const char *ask(const char *path, const char *headers)
{
    fake_stream_again(&fake, path, headers);
    enum filter_status status =
        api_key_auth_filter.on_request_headers(&fake.filter, &fake.stream, true);
    ck_assert_int_eq(status, fake.has_replied ? FILTER_REPLIED : FILTER_CONTINUE);
    if (!fake.has_replied)
        return arena_copy_str(&load.arena, fake.stream.consumer).data;
    ck_assert_str_eq_len(fake.reply_body, fake.reply_status == 401 ? "Client authentication failed."
                                                                   : "Client is forbidden.");
    return arena_printf(&load.arena, "%u %s", fake.reply_status, fake.reply_details);
}

static void setup(void)
{
    fake_load_init(&load);
    fake_stream_init(&fake);
}

static void teardown(void)
{
    fake_stream_done(&fake);
    fake_load_done(&load);
}

/* The answers of Envoy 1.40 to the same requests. */
START_TEST(keys_are_found_in_their_sources_in_order)
{
    setup();
    configure("{" CREDENTIALS "," SOURCES "}", NULL);
    ck_assert_str_eq(ask("/", ""), "401 missing_api_key");
    ck_assert_str_eq(ask("/", "x-api-key: k1"), "alice");
    ck_assert_str_eq(ask("/", "x-api-key: k2\nx-api-key: k1"), "bob");
    ck_assert_str_eq(ask("/", "x-api-key: Bearer k1"), "alice");
    ck_assert_str_eq(ask("/", "x-api-key: bearer k1"), "401 unknown_api_key");
    ck_assert_str_eq(ask("/", "authorization: Bearer k1"), "alice");
    ck_assert_str_eq(ask("/", "x-api-key: bad\nauthorization: Bearer k1"), "401 unknown_api_key");
    ck_assert_str_eq(ask("/", "x-api-key:\nauthorization: Bearer k1"), "alice");
    ck_assert_str_eq(ask("/?key=k1&x=1&key=z", ""), "alice");
    ck_assert_str_eq(ask("/?key=%6b1", ""), "alice");
    ck_assert_str_eq(ask("/?kkey=k1", ""), "401 missing_api_key");
    ck_assert_str_eq(ask("/?key=", ""), "401 missing_api_key");
    ck_assert_str_eq(ask("/?key=k1%", ""), "401 unknown_api_key");
    ck_assert_str_eq(ask("/", "cookie: a=b; kc=k1; d=e"), "alice");
    ck_assert_str_eq(ask("/", "cookie: a=b\ncookie: kc=\"k1\""), "alice");
    ck_assert_str_eq(ask("/", "cookie: kc"), "401 missing_api_key");
    ck_assert_str_eq(ask("/", "x-api-key: k1x"), "401 unknown_api_key");
    ck_assert_str_eq(ask("/", "x-api-key: K1"), "401 unknown_api_key");
    ck_assert_uint_eq(fake.stats.auth_unauthorized, 9);
    teardown();
}
END_TEST

START_TEST(a_route_replaces_credentials_and_sources_where_it_has_some)
{
    setup();
    const char *common = "{\"credentials\":[{\"key\":\"dflt\",\"client\":\"dc\"}],\"key_sources\":"
                         "[{\"header\":\"x-api-key\"}]}";
    configure(common, "{" SOURCES "}");
    ck_assert_str_eq(ask("/", "x-api-key: k1"), "401 unknown_api_key");
    ck_assert_str_eq(ask("/?key=dflt", ""), "dc");
    configure(common, "{" CREDENTIALS "}");
    ck_assert_str_eq(ask("/", "x-api-key: k1"), "alice");
    ck_assert_str_eq(ask("/?key=k1", ""), "401 missing_api_key");
    configure(common, "{\"allowed_clients\":[\"alice\"]}");
    ck_assert_str_eq(ask("/", "x-api-key: dflt"), "403 client_not_allowed");
    ck_assert_str_eq(ask("/", "x-api-key: k1"), "401 unknown_api_key");
    configure(common, "{" CREDENTIALS ",\"allowed_clients\":[\"alice\",\"carol\"]}");
    ck_assert_str_eq(ask("/", "x-api-key: k1"), "alice");
    ck_assert_str_eq(ask("/", "x-api-key: k2"), "403 client_not_allowed");
    ck_assert_uint_eq(fake.stats.auth_allowed, 3);
    ck_assert_uint_eq(fake.stats.auth_forbidden, 2);
    teardown();
}
END_TEST

START_TEST(the_consumer_is_forwarded_and_keys_are_taken_off)
{
    setup();
    configure("{}", "{" CREDENTIALS "," SOURCES "," FORWARDING "}");
    ck_assert_str_eq(ask("/p?x=1&key=k1", "x-who: forged\nx-who: twice"), "alice");
    ck_assert_str_eq(fake_stream_request_header(&fake, "x-who"), "alice");
    ck_assert_ptr_null(
        header_list_find_next(&fake.stream.request.headers,
                              header_list_find_name(&fake.stream.request.headers, STR("x-who"))));
    ck_assert_str_eq_len(fake.stream.request.path, "/p?x=1");
    ask("/p?key=k1", "");
    ck_assert_str_eq_len(fake.stream.request.path, "/p");
    ask("/p?key=zz&a=%20", "x-api-key: k1\nx-api-key: k2\ncookie: kc=q\nauthorization: z");
    ck_assert_str_eq_len(fake.stream.request.path, "/p?a=%20");
    ck_assert_str_eq(fake_stream_request_header(&fake, "x-api-key"), "");
    ck_assert_str_eq(fake_stream_request_header(&fake, "authorization"), "");
    ck_assert(!header_list_has(&fake.stream.request.headers, HEADER_COOKIE));
    ask("/", "cookie: a=b; kc=k1; d=e");
    ck_assert_str_eq(fake_stream_request_header(&fake, "cookie"), "a=b; d=e");
    teardown();
}
END_TEST

/* As observed: forwarding is the route's alone, also where it says nothing. */
START_TEST(a_route_without_forwarding_forwards_nothing)
{
    setup();
    configure("{" CREDENTIALS "," SOURCES "," FORWARDING "}", "{\"allowed_clients\":[\"alice\"]}");
    ck_assert_str_eq(ask("/", "x-api-key: k1\nx-who: forged"), "alice");
    ck_assert_str_eq(fake_stream_request_header(&fake, "x-who"), "forged");
    ck_assert_str_eq(fake_stream_request_header(&fake, "x-api-key"), "k1");
    teardown();
}
END_TEST

START_TEST(bad_settings_are_refused_without_telling_a_key)
{
    setup();
    const char *const bad[] = {
        "{\"credentials\":[{\"key\":\"s3cret\",\"client\":\"\"}]}",
        "{\"credentials\":[{\"key\":\"\",\"client\":\"a\"}]}",
        "{\"credentials\":[{\"key\":\"s3cret\",\"client\":\"a\\r\\nb\"}]}",
        "{\"credentials\":[" SECRET("a") "," SECRET("b") "]}",
        "{\"key_sources\":[{}]}",
        "{\"key_sources\":[{\"header\":\"a\",\"query\":\"b\"}]}",
        "{\"key_sources\":[{\"header\":\"a b\"}]}",
        "{\"forwarding\":{\"header\":\"host\"}}",
        "{\"forwarding\":{\"header\":\":path\"}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const void *config;
        ck_assert_msg(try_load(bad[i], false, &config) != 0, "%s was taken", bad[i]);
        ck_assert_ptr_null(strstr(load.msg.text, "s3cret"));
    }
    teardown();
}
END_TEST

START_TEST(many_keys_are_all_found)
{
    setup();
    struct buf json;
    buf_init(&json, 1024 * 1024);
    buf_printf(&json, "{\"key_sources\":[{\"header\":\"k\"}],\"credentials\":[");
    for (int i = 0; i < 5000; i++)
        buf_printf(&json, "%s{\"key\":\"key-%d\",\"client\":\"client-%d\"}", i ? "," : "", i, i);
    buf_printf(&json, "]}");
    configure(arena_copy_str(&load.arena, buf_str(&json)).data, NULL);
    for (int i = 0; i < 5000; i++)
        ck_assert_str_eq(ask("/", arena_printf(&load.arena, "k: key-%d", i)),
                         arena_printf(&load.arena, "client-%d", i));
    ck_assert_str_eq(ask("/", "k: key-5000"), "401 unknown_api_key");
    buf_done(&json);
    teardown();
}
END_TEST

TEST_MAIN("api_key_auth", keys_are_found_in_their_sources_in_order,
          a_route_replaces_credentials_and_sources_where_it_has_some,
          the_consumer_is_forwarded_and_keys_are_taken_off,
          a_route_without_forwarding_forwards_nothing,
          bad_settings_are_refused_without_telling_a_key, many_keys_are_all_found)
