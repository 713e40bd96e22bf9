#include "dataplane/http/format.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

static struct fake_load load;
static struct fake_stream fake;

static void setup(void)
{
    fake_load_init(&load);
    fake_stream_init(&fake);
    struct http_stream *stream = &fake.stream;
    fake_stream_request(&fake, "GET", "/users/1?q", "x-a: new\nuser-agent: curl\nx-n: ");
    stream->response.status = 200;
    stream->details = "via_upstream";
    stream->end_ns = stream->start_ns + 41999999;
    stream->upstream_first_byte_ns = stream->start_ns + 1000000;
    stream->upstream_host = STR("127.0.0.1:9001");
    stream->upstream_cluster = STR("users");
    stream->response_body_bytes = 337;
    stream->attempts = 1;
    fake.route.name = STR("r");
    header_list_add_name(&stream->response.headers, STR("x-up"), STR("1"));
}

static void teardown(void)
{
    fake_stream_done(&fake);
    fake_load_done(&load);
}

static const char *render(const struct format *format)
{
    struct format_input input = {.stream = &fake.stream, .local_reply_body = STR("body \"x\"\n")};
    return format_render_arena(format, &input, &load.arena, 16384).data;
}

static const char *text_as(const char *text, bool omits_empty)
{
    const struct format *format = NULL;
    int err = format_new_text(&load.arena, str_from(text), omits_empty, &format, &load.msg);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    return render(format);
}

static const char *text(const char *format)
{
    return text_as(format, false);
}

static const char *json_with(const char *json, const char *options)
{
    const struct format *format = NULL;
    int err = format_new(
        &load.arena,
        fake_load_message(&load, &envoy__config__core__v3__substitution_format_string__descriptor,
                          arena_printf(&load.arena, "{\"json_format\":%s%s}", json, options)),
        &format, &load.msg);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    ck_assert_str_eq_len(format_content_type(format), "application/json");
    return render(format);
}

START_TEST(operators_are_replaced_by_what_the_stream_says)
{
    setup();
    ck_assert_str_eq(text("%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %PROTOCOL%"),
                     "GET /users/1?q example.com HTTP/1.1");
    ck_assert_str_eq(text("%REQ(X-A)%|%REQ(X-NO)%|%REQ(X-NO?X-A)%|%REQ(X-A):2%|%REQ(X-N)%"),
                     "new|-|new|ne|-");
    ck_assert_str_eq(text("%RESP(X-UP)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%"),
                     "1 200 via_upstream -");
    ck_assert_str_eq(text("%RESP(:STATUS)% %RESP(X-NO?:STATUS):2% %RESP(:NO)%"), "200 20 -");
    ck_assert_str_eq(text("%DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% "
                          "%REQUEST_DURATION%"),
                     "41 1 40 -");
    ck_assert_str_eq(text("%BYTES_SENT% %BYTES_RECEIVED% %UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
                     "337 0 1");
    ck_assert_str_eq(text("%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %ROUTE_NAME% "
                          "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
                     "127.0.0.1:9001 users r -");
    ck_assert_str_eq(text("%START_TIME% %START_TIME(%s.%3f %Y%%)% %START_TIME(%6f)%"),
                     "2026-11-22T07:10:52.961Z 1795331452.961 2026% 961000");
    ck_assert_str_eq(text("100%% %LOCAL_REPLY_BODY%"), "100% body \"x\"\n");
    ck_assert_str_eq(text(""), "");
    teardown();
}
END_TEST

START_TEST(addresses_are_those_of_client_and_connection)
{
    setup();
    const char *format = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
                         "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% "
                         "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%";
    ck_assert_str_eq(text(format), "192.0.2.7:4711 192.0.2.7 192.0.2.7 192.0.2.1:80 192.0.2.1");
    fake.stream.client_ip = STR("2001:db8::1");
    ck_assert_str_eq(text(format), "[2001:db8::1]:0 2001:db8::1 192.0.2.7 192.0.2.1:80 192.0.2.1");
    fake.stream.client_ip = STR("10.0.0.1");
    ck_assert_str_eq(text("%DOWNSTREAM_REMOTE_ADDRESS%"), "10.0.0.1:0");
    fake.stream.remote_address = STR("[::1]:5");
    ck_assert_str_eq(text("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"), "::1");
    fake.stream.local_address = STR("/run/x.sock");
    ck_assert_str_eq(text("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"), "/run/x.sock");
    teardown();
}
END_TEST

START_TEST(flags_have_envoys_names)
{
    setup();
    fake.stream.flags = FLAG_NO_HEALTHY_UPSTREAM | FLAG_RATE_LIMITED | FLAG_UPSTREAM_RETRY_LIMIT;
    ck_assert_str_eq(text("%RESPONSE_FLAGS%"), "UH,RL,URX");
    fake.stream.flags = FLAG_UNAUTHORIZED | FLAG_DOWNSTREAM_TERMINATION | FLAG_NO_CLUSTER;
    ck_assert_str_eq(text("%RESPONSE_FLAGS%"), "UAEX,DC,NC");
    teardown();
}
END_TEST

/* Member order, numbers and null as Envoy 1.40 printed them. */
START_TEST(json_is_as_envoy_prints_it)
{
    setup();
    ck_assert_str_eq(
        json_with("{\"z\":\"%DURATION%\",\"a\":\"%REQ(X-A)%\",\"mix\":\"x %REQ(X-NO)% "
                  "%RESPONSE_CODE%\",\"flags\":\"%RESPONSE_FLAGS%\",\"num\":5,\"b\":true,"
                  "\"nul\":null,\"list\":[\"%PROTOCOL%\",1,1.5],\"obj\":{\"y\":\"%BYTES_SENT%\","
                  "\"x\":\"%REQ(X-NO)%\"},\"pct\":\"100%%\",\"dur2\":\"%DURATION%ms\",\"empty\":"
                  "\"\"}",
                  ""),
        "{\"a\":\"new\",\"b\":true,\"dur2\":\"41ms\",\"empty\":\"\",\"flags\":\"-\",\"list\":["
        "\"HTTP/1.1\",1,1.5],\"mix\":\"x - 200\",\"nul\":null,\"num\":5,\"obj\":{\"x\":null,\"y\":"
        "337},\"pct\":\"100%\",\"z\":41}\n");
    ck_assert_str_eq(json_with("{\"mix\":\"x %REQ(X-NO)% %RESPONSE_CODE%\",\"nul\":null,\"obj\":{"
                               "\"y\":\"%BYTES_SENT%\",\"x\":\"%REQ(X-NO)%\"}}",
                               ",\"omit_empty_values\":true"),
                     "{\"mix\":\"x  200\",\"obj\":{\"y\":337}}\n");
    ck_assert_str_eq(json_with("{}", ""), "{}\n");
    ck_assert_str_eq(json_with("{\"a\\\"b\":\"l\\u0001\\\"\"}", ""),
                     "{\"a\\\"b\":\"l\\u0001\\\"\"}\n");
    teardown();
}
END_TEST

START_TEST(what_a_peer_sent_cannot_break_out)
{
    setup();
    header_list_set_name(&fake.stream.request.headers, STR("x-a"),
                         STR("a\"b\\\x1b[0m\r\nc\xff\xc3\xa9"));
    ck_assert_str_eq(json_with("{\"a\":\"%REQ(X-A)%\",\"b\":\"<%REQ(X-A)%>\"}", ""),
                     "{\"a\":\"a\\\"b\\\\\\u001b[0m\\r\\nc\\u00ff\xc3\xa9\",\"b\":"
                     "\"<a\\\"b\\\\\\u001b[0m\\r\\nc\\u00ff\xc3\xa9>\"}\n");
    ck_assert_str_eq(text("[%REQ(X-A)%]"), "[a\"b\\ [0m  c\xff\xc3\xa9]");
    teardown();
}
END_TEST

START_TEST(the_default_line_is_envoys)
{
    setup();
    fake_stream_request(&fake, "GET", "/m", "user-agent: curl/7.88.1\nx-forwarded-for: 192.0.2.2");
    ck_assert_str_eq(render(format_new_default(&load.arena)),
                     "[2026-11-22T07:10:52.961Z] \"GET /m HTTP/1.1\" 200 - 0 337 41 - "
                     "\"192.0.2.2\" \"curl/7.88.1\" \"-\" \"example.com\" \"127.0.0.1:9001\"\n");
    teardown();
}
END_TEST

START_TEST(a_bad_format_is_refused_by_name)
{
    setup();
    const char *const bad[][2] = {
        {"%NO_SUCH%", "NO_SUCH"},
        {"%", "%"},
        {"%REQ%", "REQ"},
        {"%REQ(%", "%"},
        {"%REQ()%", "REQ"},
        {"%REQ(A?)%", "REQ"},
        {"%REQ(A):x%", "REQ"},
        {"%REQ(A)x%", "REQ"},
        {"%PROTOCOL(x)%", "PROTOCOL"},
        {"a % b", "%"},
        {"%DYNAMIC_METADATA(a)%", "DYNAMIC_METADATA"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct format *format;
        int err = format_new_text(&load.arena, str_from(bad[i][0]), false, &format, &load.msg);
        ck_assert_msg(err != 0, "%s was taken", bad[i][0]);
        ck_assert_ptr_nonnull(strstr(load.msg.text, bad[i][1]));
    }
    teardown();
}
END_TEST

START_TEST(a_format_that_is_too_large_is_refused_wherever_its_operators_stand)
{
    setup();
    enum { LONG = 200 * 1024 };
    char *x = arena_alloc(&load.arena, LONG + 1);
    memset(x, 'x', LONG);
    x[LONG] = '\0';
    const char *const large[] = {
        arena_printf(&load.arena, "%s%s", x, x),
        arena_printf(&load.arena, "%s%s%%PROTOCOL%%", x, x),
        arena_printf(&load.arena, "%s%%PROTOCOL%%%s", x, x),
    };
    const struct format *format;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        ck_assert_int_eq(
            format_new_text(&load.arena, str_from(large[i]), false, &format, &load.msg),
            ERR_TOO_LARGE);
    const char *name =
        arena_printf(&load.arena, "{\"json_format\":{\"%s%s\":\"%%PROTOCOL%%\"}}", x, x);
    Envoy__Config__Core__V3__SubstitutionFormatString *message = fake_load_message(
        &load, &envoy__config__core__v3__substitution_format_string__descriptor, name);
    ck_assert_int_eq(format_new(&load.arena, message, &format, &load.msg), ERR_TOO_LARGE);
    teardown();
}
END_TEST

START_TEST(rendering_stays_within_its_buffer)
{
    setup();
    char long_value[5000];
    memset(long_value, '"', sizeof long_value);
    header_list_set_name(&fake.stream.request.headers, STR("x-a"),
                         (struct str){.data = long_value, .len = sizeof long_value});
    const struct format *format;
    struct format_input input = {.stream = &fake.stream};
    ck_assert_int_eq(format_new_text(&load.arena, STR("[%REQ(X-A)%]"), false, &format, &load.msg),
                     0);
    char out[64];
    bool is_cut;
    ck_assert_uint_eq(format_render(format, &input, out, 64, SIZE_MAX, &is_cut), 64);
    ck_assert(is_cut);
    ck_assert_uint_eq(format_render(format, &input, out, 64, 10, &is_cut), 12);
    ck_assert(!is_cut);
    Envoy__Config__Core__V3__SubstitutionFormatString *message =
        fake_load_message(&load, &envoy__config__core__v3__substitution_format_string__descriptor,
                          "{\"json_format\":{\"a\":\"%REQ(X-A)%\"}}");
    ck_assert_int_eq(format_new(&load.arena, message, &format, &load.msg), 0);
    struct str s = format_render_arena(format, &input, &load.arena, 1000);
    ck_assert_uint_le(s.len, 1000);
    ck_assert(str_ends_with(s, STR("\"}\n")));
    teardown();
}
END_TEST

START_TEST(a_constant_is_known_as_one)
{
    setup();
    const struct format *format;
    struct str constant;
    ck_assert_int_eq(format_new_text(&load.arena, STR("a%%b"), true, &format, &load.msg), 0);
    ck_assert(format_is_constant(format, &constant));
    ck_assert_str_eq_len(constant, "a%b");
    ck_assert_int_eq(format_new_text(&load.arena, STR("a%PROTOCOL%"), true, &format, &load.msg), 0);
    ck_assert(!format_is_constant(format, &constant));
    ck_assert_str_eq(text_as("a%REQ(X-NO)%b", true), "ab");
    teardown();
}
END_TEST

TEST_MAIN("format", operators_are_replaced_by_what_the_stream_says,
          addresses_are_those_of_client_and_connection, flags_have_envoys_names,
          json_is_as_envoy_prints_it, what_a_peer_sent_cannot_break_out, the_default_line_is_envoys,
          a_bad_format_is_refused_by_name,
          a_format_that_is_too_large_is_refused_wherever_its_operators_stand,
          rendering_stays_within_its_buffer, a_constant_is_known_as_one)
