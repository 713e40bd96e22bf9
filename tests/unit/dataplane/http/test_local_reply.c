#include "dataplane/http/local_reply.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct fake_stream fake;
static unsigned status;
static struct str body, content_type;

static const char feed[] =
    "{\"mappers\":[{\"filter\":{\"header_filter\":{\"header\":{\"name\":\"accept\","
    "\"string_match\":{\"prefix\":\"text/\"}}}},\"body_format_override\":{\"text_format_source\":"
    "{\"inline_string\":\"%LOCAL_REPLY_BODY%\"}},\"headers_to_add\":[{\"header\":{\"key\":"
    "\"x-mapped\",\"value\":\"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\"}}]},{\"filter\":"
    "{\"and_filter\":{\"filters\":[{\"status_code_filter\":{\"comparison\":{\"op\":\"EQ\","
    "\"value\":{\"default_value\":503,\"runtime_key\":\"k\"}}}},{\"header_filter\":{\"header\":"
    "{\"name\":\"x-hide\"}}}]}},\"status_code\":500,\"body\":{\"inline_string\":\"hidden\"}}],"
    "\"body_format\":{\"content_type\":\"application/problem+json\",\"json_format\":{\"type\":"
    "\"about:blank\",\"status\":\"%RESPONSE_CODE%\",\"detail\":\"%LOCAL_REPLY_BODY%\",\"code\":"
    "\"%RESPONSE_CODE_DETAILS%\",\"id\":\"%REQ(X-REQUEST-ID)%\"}}}";

static int compile(const char *json, const struct local_reply_config **ret)
{
    return local_reply_config_new(
        &load.load,
        fake_load_message(
            &load,
            &envoy__extensions__filters__network__http_connection_manager__v3__local_reply_config__descriptor,
            json),
        ret, &load.msg);
}

static void reply(const char *json, unsigned with_status, const char *with_body,
                  const char *headers)
{
    const struct local_reply_config *config = NULL;
    if (json) {
        int err = compile(json, &config);
        ck_assert_msg(err == 0, "%s", load.msg.text);
    }
    fake_stream_again(&fake, "/", headers);
    fake.stream.details = "local_rate_limited";
    status = with_status;
    body = str_from(with_body);
    local_reply_apply(config, &fake.stream, &status, &body, &content_type);
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

START_TEST(without_configuration_the_body_stays_as_it_is)
{
    setup();
    reply(NULL, 429, "local_rate_limited", "");
    ck_assert_uint_eq(status, 429);
    ck_assert_str_eq_len(body, "local_rate_limited");
    ck_assert_str_eq_len(content_type, "text/plain");
    reply("{}", 404, "", "");
    ck_assert_uint_eq(body.len, 0);
    teardown();
}
END_TEST

/* As Envoy 1.40 answered with the same configuration. */
START_TEST(the_common_format_makes_problem_json)
{
    setup();
    reply(feed, 429, "local_rate_limited", "x-request-id: 7");
    ck_assert_uint_eq(status, 429);
    ck_assert_str_eq_len(body, "{\"code\":\"local_rate_limited\",\"detail\":\"local_rate_limited\","
                               "\"id\":\"7\",\"status\":429,\"type\":\"about:blank\"}\n");
    ck_assert_str_eq_len(content_type, "application/problem+json");
    ck_assert_str_eq(fake_stream_response_header(&fake, "x-mapped"), "");
    reply(feed, 404, "", "");
    ck_assert_str_eq_len(body, "{\"code\":\"local_rate_limited\",\"detail\":\"\",\"id\":null,"
                               "\"status\":404,\"type\":\"about:blank\"}\n");
    teardown();
}
END_TEST

START_TEST(the_first_mapper_that_matches_counts)
{
    setup();
    reply(feed, 503, "local_rate_limited", "accept: text/plain\nx-hide: 1");
    ck_assert_uint_eq(status, 503);
    ck_assert_str_eq_len(body, "local_rate_limited");
    ck_assert_str_eq_len(content_type, "text/plain");
    ck_assert_str_eq(fake_stream_response_header(&fake, "x-mapped"), "503 local_rate_limited");
    reply(feed, 503, "secret", "x-hide: 1");
    ck_assert_uint_eq(status, 500);
    ck_assert_uint_eq(fake.stream.response.status, 500);
    ck_assert_ptr_nonnull(strstr(body.data, "\"detail\":\"hidden\""));
    ck_assert_ptr_nonnull(strstr(body.data, "\"status\":500"));
    teardown();
}
END_TEST

/* In Envoy 1.40's order. */
START_TEST(headers_of_a_mapper_are_made_before_its_status)
{
    setup();
    reply(
        "{\"mappers\":[{\"filter\":{\"not_health_check_filter\":{}},\"status_code\":404,"
        "\"headers_to_add\":[{\"header\":{\"key\":\"x-was\",\"value\":\"%RESPONSE_CODE%\"}}],"
        "\"body_format_override\":{\"text_format_source\":{\"inline_string\":\"%RESPONSE_CODE%\"}}"
        "}]}",
        503, "", "");
    ck_assert_uint_eq(status, 404);
    ck_assert_str_eq(fake_stream_response_header(&fake, "x-was"), "503");
    ck_assert_str_eq_len(body, "404");
    teardown();
}
END_TEST

/* As Envoy 1.40 answered. */
START_TEST(a_mapper_may_give_the_type)
{
    setup();
    reply("{\"mappers\":[{\"filter\":{\"not_health_check_filter\":{}},\"headers_to_add\":[{"
          "\"header\":"
          "{\"key\":\"content-type\",\"value\":\"other/type\"}}],\"body_format_override\":{"
          "\"text_format_source\":{\"inline_string\":\"<%LOCAL_REPLY_BODY%>\"},\"content_type\":"
          "\"text/html\"}}]}",
          503, "x", "");
    ck_assert_str_eq_len(body, "<x>");
    ck_assert_str_eq_len(content_type, "other/type");
    teardown();
}
END_TEST

START_TEST(what_is_not_supported_is_refused)
{
    setup();
    const char *const bad[] = {
        "{\"mappers\":[{}]}",
        "{\"mappers\":[{\"filter\":{}}]}",
        "{\"mappers\":[{\"filter\":{\"runtime_filter\":{}}}]}",
        "{\"mappers\":[{\"filter\":{\"grpc_status_filter\":{}}}]}",
        "{\"mappers\":[{\"filter\":{\"status_code_filter\":{}}}]}",
        "{\"mappers\":[{\"filter\":{\"response_flag_filter\":{\"flags\":[\"XX\"]}}}]}",
        "{\"mappers\":[{\"filter\":{\"and_filter\":{}}}]}",
        "{\"mappers\":[{\"filter\":{\"not_health_check_filter\":{}},\"status_code\":99}]}",
        "{\"mappers\":[{\"filter\":{\"not_health_check_filter\":{}},\"body\":{}}]}",
        "{\"body_format\":{}}",
        "{\"body_format\":{\"text_format_source\":{\"inline_string\":\"%NO%\"}}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct local_reply_config *config;
        ck_assert_msg(compile(bad[i], &config) != 0, "%s was taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(load.msg.text, "local_reply_config: "));
    }
    teardown();
}
END_TEST

TEST_MAIN("local_reply", without_configuration_the_body_stays_as_it_is,
          the_common_format_makes_problem_json, the_first_mapper_that_matches_counts,
          headers_of_a_mapper_are_made_before_its_status, a_mapper_may_give_the_type,
          what_is_not_supported_is_refused)
