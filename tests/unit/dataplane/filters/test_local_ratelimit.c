#include "dataplane/filters/local_ratelimit.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct fake_stream fake;

#define ON                                                                                         \
    "\"stat_prefix\":\"x\",\"filter_enabled\":{\"default_value\":{\"numerator\":100}},"            \
    "\"filter_enforced\":{\"default_value\":{\"numerator\":100}},"                                 \
    "\"enable_x_ratelimit_headers\":\"DRAFT_VERSION_03\""
#define BUCKET(max, fill, interval)                                                                \
    "\"token_bucket\":{\"max_tokens\":" #max ",\"tokens_per_fill\":" #fill                         \
    ",\"fill_interval\":\"" interval "\"}"
#define BY_CONSUMER                                                                                \
    "{\"actions\":[{\"request_headers\":{\"header_name\":\"X-C\",\"descriptor_key\":\"c\"}}]}"
#define GENERIC(value) "{\"actions\":[{\"generic_key\":{\"descriptor_value\":\"" value "\"}}]}"
#define ENTRY(key, value) "{\"key\":\"" key "\",\"value\":\"" value "\"}"

static int try_load(const char *json, const void **ret)
{
    return local_ratelimit_filter.load(
        &load.load, fake_load_message(&load, local_ratelimit_filter.config_descriptor, json), ret,
        &load.msg);
}

static void configure(const char *json)
{
    fake.filter = (struct http_filter){.type = &local_ratelimit_filter};
    int err = try_load(json, &fake.filter.config);
    ck_assert_msg(err == 0, "%s", load.msg.text);
}

/* "200 limit remaining reset" as the response says, 429 for a refusal. */
static const char *ask(const char *headers)
{
    fake_stream_again(&fake, "/", headers);
    local_ratelimit_filter.on_request_headers(&fake.filter, &fake.stream, true);
    if (!fake.has_replied)
        fake.stream.response.status = 200;
    local_ratelimit_filter.on_response_headers(&fake.filter, &fake.stream);
    return arena_printf(&load.arena, "%u %s %s %s", fake.stream.response.status,
                        fake_stream_response_header(&fake, "x-ratelimit-limit"),
                        fake_stream_response_header(&fake, "x-ratelimit-remaining"),
                        fake_stream_response_header(&fake, "x-ratelimit-reset"));
}

static void pass_seconds(uint64_t seconds)
{
    fake.worker.now_ns += seconds * 1000000000;
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

/* Each test's numbers are those that Envoy 1.40 gave with the same settings. */
START_TEST(the_default_bucket_limits_everybody_together)
{
    setup();
    configure("{" ON "," BUCKET(3, 1, "10s") "}");
    ck_assert_str_eq(ask(""), "200 3 2 0");
    ck_assert_str_eq(ask(""), "200 3 1 0");
    ck_assert_str_eq(ask(""), "200 3 0 10");
    ck_assert_str_eq(ask(""), "429 3 0 10");
    ck_assert_str_eq_len(fake.reply_body, "local_rate_limited");
    ck_assert_str_eq(fake.reply_details, "local_rate_limited");
    ck_assert_str_eq(fake_stream_response_header(&fake, "retry-after"), "10");
    ck_assert_uint_eq(fake.stream.flags, FLAG_RATE_LIMITED);
    ck_assert_uint_eq(fake.stats.rate_limited, 1);
    pass_seconds(10);
    ck_assert_str_eq(ask(""), "200 3 0 10");
    teardown();
}
END_TEST

START_TEST(each_value_of_an_open_descriptor_has_a_bucket)
{
    setup();
    configure("{" ON "," BUCKET(
        100, 100,
        "60s") ",\"rate_limits\":[" BY_CONSUMER
               "," GENERIC("g") "],\"descriptors\":[{\"entries\":[" ENTRY("c", "") "]," BUCKET(2, 2, "60s") "},{\"entries\":[" ENTRY(
                   "c",
                   "alice") "]," BUCKET(5, 5,
                                        "60s") "},{\"entries\":[" ENTRY("generic_key",
                                                                        "g") "]," BUCKET(7, 7,
                                                                                         "30s") "}]"
                                                                                                ","
                                                                                                "\""
                                                                                                "ma"
                                                                                                "x_"
                                                                                                "dy"
                                                                                                "na"
                                                                                                "mi"
                                                                                                "c_"
                                                                                                "de"
                                                                                                "sc"
                                                                                                "ri"
                                                                                                "pt"
                                                                                                "or"
                                                                                                "s"
                                                                                                "\""
                                                                                                ":1"
                                                                                                "00"
                                                                                                "}");
    ck_assert_str_eq(ask("x-c: bob"), "200 2 1 0");
    ck_assert_str_eq(ask("x-c: bob"), "200 2 0 30");
    ck_assert_str_eq(ask("x-c: bob"), "429 2 0 30");
    ck_assert_str_eq(ask("x-c: alice"), "200 5 4 0");
    for (int i = 3; i > 0; i--)
        ask("x-c: alice");
    ck_assert_str_eq(ask("x-c: alice"), "200 5 0 12");
    ck_assert_str_eq(ask("x-c: alice"), "429 5 0 12");
    /* Seven were let through, so the bucket of all is empty; refusals took nothing from it. */
    ck_assert_str_eq(ask(""), "429 7 0 5");
    ck_assert_str_eq(ask("x-c: carol"), "429 7 0 5");
    pass_seconds(30);
    ck_assert_str_eq(ask("x-c: bob"), "200 2 0 30");
    teardown();
}
END_TEST

START_TEST(the_slowest_bucket_shows_and_the_default_counts_too)
{
    setup();
    configure("{" ON "," BUCKET(2, 1, "60s") ",\"rate_limits\":[" GENERIC("a") "," GENERIC("b") "," GENERIC(
        "non"
        "e") "],\"descriptors\":[{\"entries\":[" ENTRY("generic_key",
                                                       "a") "]," BUCKET(50, 1,
                                                                        "1s") "},{\"entries\":"
                                                                              "[" ENTRY(
                                                                                  "generic_"
                                                                                  "key",
                                                                                  "b") "]"
                                                                                       "," BUCKET(
                                                                                           100, 1,
                                                                                           "2s") "}"
                                                                                                 "]"
                                                                                                 "}");
    ck_assert_str_eq(ask(""), "200 100 99 0");
    ck_assert_str_eq(ask(""), "200 100 98 0");
    ck_assert_str_eq(ask(""), "429 2 0 60");
    configure("{" ON ",\"always_consume_default_token_bucket\":false," BUCKET(
        2, 1, "60s") ",\"rate_limits\":[" GENERIC("a") "],\"descriptors\":[{\"entries\":"
                                                       "[" ENTRY("generic_key", "a") "]," BUCKET(
                                                           50, 1, "1s") "}]}");
    for (int i = 49; i > 0; i--)
        ck_assert_int_eq(strncmp(ask(""), "200 50", 6), 0);
    teardown();
}
END_TEST

START_TEST(descriptors_of_several_entries_must_fit_in_order)
{
    setup();
    configure("{" ON "," BUCKET(
        200, 1,
        "60s") ",\"rate_limits\":[{\"actions\":[{"
               "\"request_headers\":{\"header_name\":\"x-c\",\"descriptor_key\":\"c\",\"skip_if_"
               "absent\":"
               "true}},{\"generic_key\":{\"descriptor_value\":\"z\",\"descriptor_key\":\"gk\"}}]}],"
               "\"descriptors\":[{\"entries\":[" ENTRY("c", "") "," ENTRY("gk", "z") "]," BUCKET(
                   50, 1, "1s") "},{\"entries\":[" ENTRY("gk", "z") "]," BUCKET(40, 1, "1s") "}]}");
    ck_assert_str_eq(ask(""), "200 40 39 0");
    ck_assert_str_eq(ask("x-c: q"), "200 50 49 0");
    ck_assert_str_eq(ask("x-c: r"), "200 50 49 0");
    ck_assert_str_eq(ask("x-c: q"), "200 50 48 0");
    teardown();
}
END_TEST

START_TEST(clients_are_told_apart_by_address_or_network)
{
    setup();
    configure("{" ON ",\"rate_limits\":[{\"actions\":[{\"remote_address\":{}}]}],\"descriptors\":[{"
              "\"entries\":[" ENTRY("remote_address", "") "]," BUCKET(1, 1, "60s") "}]}");
    ck_assert_str_eq(ask(""), "200 1 0 60");
    ck_assert_str_eq(ask(""), "429 1 0 60");
    fake.stream.client_ip = STR("192.0.2.8");
    ck_assert_str_eq(ask(""), "200 1 0 60");
    configure(
        "{" ON ",\"rate_limits\":[{\"actions\":[{\"masked_remote_address\":{"
        "\"v4_prefix_mask_len\":24,\"v6_prefix_mask_len\":64}}]}],\"descriptors\":[{\"entries\":"
        "[" ENTRY("masked_remote_address", "") "]," BUCKET(2, 1, "60s") "},{\"entries\":[" ENTRY(
            "masked_remote_address", "198.51.100.0/24") "]," BUCKET(9, 1, "60s") "}]}");
    ck_assert_str_eq(ask(""), "200 2 1 0");
    fake.stream.client_ip = STR("192.0.2.200");
    ck_assert_str_eq(ask(""), "200 2 0 60");
    fake.stream.client_ip = STR("198.51.100.77");
    ck_assert_str_eq(ask(""), "200 9 8 0");
    fake.stream.client_ip = STR("2001:db8:0:1::1");
    ck_assert_str_eq(ask(""), "200 2 1 0");
    fake.stream.client_ip = STR("2001:db8:0:1:ffff::2");
    ck_assert_str_eq(ask(""), "200 2 0 60");
    teardown();
}
END_TEST

START_TEST(a_refusal_may_have_another_status_and_headers)
{
    setup();
    configure("{" ON "," BUCKET(
        1, 1, "60s") ",\"status\":{\"code\":\"ServiceUnavailable\"},"
                     "\"rate_limited_as_resource_exhausted\":true,\"response_headers_to_add\":[{"
                     "\"header\":{\"key\":\"x-rl\",\"value\":\"yes %REQ(:PATH)%\"}}]}");
    ask("");
    ck_assert_str_eq(ask(""), "503 1 0 60");
    ck_assert_str_eq(fake_stream_response_header(&fake, "x-rl"), "yes /");
    fake_stream_again(&fake, "/", "");
    local_ratelimit_filter.on_request_headers(&fake.filter, &fake.stream, true);
    header_list_set(&fake.stream.response.headers, HEADER_GRPC_STATUS, STR("14"));
    local_ratelimit_filter.on_response_headers(&fake.filter, &fake.stream);
    ck_assert_str_eq(fake_stream_response_header(&fake, "grpc-status"), "8");
    configure("{" ON "," BUCKET(1, 1, "60s") ",\"status\":{\"code\":\"OK\"}}");
    ask("");
    ck_assert_int_eq(strncmp(ask(""), "429", 3), 0);
    teardown();
}
END_TEST

START_TEST(a_limit_counts_only_where_it_is_enabled_and_refuses_only_where_it_is_enforced)
{
    setup();
    configure("{\"stat_prefix\":\"x\"," BUCKET(1, 1, "60s") "}");
    for (int i = 0; i < 5; i++)
        ck_assert_str_eq(ask(""), "200   ");
    configure("{\"stat_prefix\":\"x\"," BUCKET(
        1, 1,
        "60s") ",\"filter_enabled\":{"
               "\"default_value\":{\"numerator\":100}},\"filter_enforced\":{\"default_value\":{"
               "\"numerator\":500,\"denominator\":\"TEN_THOUSAND\"}},"
               "\"request_headers_to_add_when_not_enforced\":[{\"header\":{\"key\":\"x-over\","
               "\"value\":\"1\"}}]}");
    ask("");
    ck_assert_str_eq(fake_stream_request_header(&fake, "x-over"), "");
    fake.next_random = 500;
    ck_assert_str_eq(ask(""), "200   ");
    ck_assert_str_eq(fake_stream_request_header(&fake, "x-over"), "1");
    fake.next_random = 499;
    ck_assert_int_eq(strncmp(ask(""), "429", 3), 0);
    teardown();
}
END_TEST

START_TEST(a_shadow_descriptor_counts_and_never_refuses)
{
    setup();
    configure("{" ON ",\"rate_limits\":[" GENERIC(
        "a") "],\"descriptors\":[{\"shadow_mode\":true,"
             "\"entries\":[" ENTRY("generic_key", "a") "]," BUCKET(1, 1, "60s") "}]}");
    ck_assert_str_eq(ask(""), "200 1 0 60");
    ck_assert_str_eq(ask(""), "200 1 0 60");
    teardown();
}
END_TEST

START_TEST(hits_may_count_more_than_one)
{
    setup();
    configure(
        "{" ON ",\"rate_limits\":[{\"hits_addend\":{\"number\":4},\"actions\":[{"
        "\"header_value_match\":{\"descriptor_value\":\"big\",\"headers\":[{\"name\":\"x-big\"}]}}]"
        "}],\"descriptors\":[{\"entries\":[" ENTRY("header_match", "big") "]," BUCKET(10, 1,
                                                                                      "60s") "}]}");
    ck_assert_str_eq(ask(""), "200   ");
    ck_assert_str_eq(ask("x-big: 1"), "200 10 6 0");
    ck_assert_str_eq(ask("x-big: 1"), "200 10 2 0");
    ck_assert_str_eq(ask("x-big: 1"), "429 10 2 0");
    ck_assert_str_eq(fake_stream_response_header(&fake, "retry-after"), "1");
    teardown();
}
END_TEST

static bool passes(const char *path)
{
    fake_stream_again(&fake, path, "");
    return local_ratelimit_filter.on_request_headers(&fake.filter, &fake.stream, true) ==
           FILTER_CONTINUE;
}

START_TEST(another_spelling_of_a_query_parameter_is_the_same_value)
{
    setup();
    configure("{" ON ",\"rate_limits\":[{\"actions\":[{\"query_parameters\":{"
              "\"query_parameter_name\":\"user\",\"descriptor_key\":\"user\"}}]}],"
              "\"descriptors\":[{\"entries\":[" ENTRY("user", "") "]," BUCKET(1, 1, "60s") "}]}");
    ck_assert(passes("/?user=ann"));
    ck_assert(passes("/?user=bob"));
    ck_assert(!passes("/?user=ann"));
    ck_assert(!passes("/?user=%61nn"));
    ck_assert(!passes("/?x=1&%75ser=%61%6e%6E"));
    ck_assert(passes("/?User=ann"));
    teardown();
}
END_TEST

START_TEST(buckets_outlive_a_configuration_that_says_the_same)
{
    setup();
    const char *json = "{" ON "," BUCKET(2, 1, "60s") "}";
    configure(json);
    ask("");
    configure(json);
    ck_assert_str_eq(ask(""), "200 2 0 60");
    load.load.scope = STR("route other");
    configure(json);
    ck_assert_str_eq(ask(""), "200 2 1 0");
    load.load.scope = STR("listener test");
    configure("{" ON "," BUCKET(3, 1, "60s") "}");
    ck_assert_str_eq(ask(""), "200 3 2 0");
    teardown();
}
END_TEST

START_TEST(settings_that_would_lose_a_limit_are_refused)
{
    setup();
    const char *const bad[] = {
        "{" ON ",\"token_bucket\":{}}",
        "{" ON "," BUCKET(0, 1, "1s") "}",
        "{" ON "," BUCKET(1, 0, "1s") "}",
        "{" ON "," BUCKET(1, 1, "0.01s") "}",
        "{" ON "," BUCKET(1, 1, "40000000s") "}",
        "{" ON "," BUCKET(1, 1, "1s") ",\"stage\":1}",
        "{" ON "," BUCKET(1, 1, "1s") ",\"local_rate_limit_per_downstream_connection\":true}",
        "{" ON "," BUCKET(1, 1, "1s") ",\"local_cluster_rate_limit\":{}}",
        "{" ON ",\"descriptors\":[{\"entries\":[" ENTRY("a", "b") "]," BUCKET(1, 1, "1s") "}]}",
        "{" ON ",\"rate_limits\":[" BY_CONSUMER "],\"descriptors\":[{" BUCKET(1, 1, "1s") "}]}",
        "{" ON ",\"rate_limits\":[{\"actions\":[]}]}",
        "{" ON ",\"rate_limits\":[{\"actions\":[{}]}]}",
        "{" ON ",\"rate_limits\":[{\"actions\":[{\"source_cluster\":{}}]}]}",
        "{" ON ",\"rate_limits\":[{\"actions\":[{\"metadata\":{}}]}]}",
        "{" ON ",\"rate_limits\":[{\"actions\":[{\"remote_address_match\":{}}]}]}",
        "{" ON ",\"rate_limits\":[{\"actions\":[{\"generic_key\":{}}]}]}",
        "{" ON ",\"rate_limits\":[{\"disable_key\":\"x\",\"actions\":[{\"remote_address\":{}}]}]}",
        "{" ON ",\"rate_limits\":[{\"limit\":{},\"actions\":[{\"remote_address\":{}}]}]}",
        "{" ON ",\"rate_limits\":[{\"apply_on_stream_done\":true,\"actions\":[{"
        "\"remote_address\":{}}]}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const void *config;
        ck_assert_msg(try_load(bad[i], &config) != 0, "%s was taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(load.msg.text, "local_ratelimit: "));
    }
    teardown();
}
END_TEST

START_TEST(a_response_hook_without_its_request_hook_does_nothing)
{
    setup();
    configure("{" ON "," BUCKET(3, 1, "10s") "}");
    fake_stream_again(&fake, "/", "");
    local_ratelimit_filter.on_response_headers(&fake.filter, &fake.stream);
    ck_assert_uint_eq(fake.stream.response.headers.len, 0);
    teardown();
}
END_TEST

TEST_MAIN("local_ratelimit", the_default_bucket_limits_everybody_together,
          each_value_of_an_open_descriptor_has_a_bucket,
          the_slowest_bucket_shows_and_the_default_counts_too,
          descriptors_of_several_entries_must_fit_in_order,
          clients_are_told_apart_by_address_or_network,
          a_refusal_may_have_another_status_and_headers,
          a_limit_counts_only_where_it_is_enabled_and_refuses_only_where_it_is_enforced,
          a_shadow_descriptor_counts_and_never_refuses, hits_may_count_more_than_one,
          another_spelling_of_a_query_parameter_is_the_same_value,
          buckets_outlive_a_configuration_that_says_the_same,
          settings_that_would_lose_a_limit_are_refused,
          a_response_hook_without_its_request_hook_does_nothing)
