/* Heads to bytes: what is written, that framing is always our own, and that nothing which would
 * split a message is ever written. */
#include "dataplane/http/h1_write.h"

#include "common/base/mem.h"
#include "dataplane/http/h1_parse.h"
#include "tests/support/test.h"

static struct arena arena;

static struct http_request new_request(void)
{
    struct http_request request;
    arena_init(&arena, 4096);
    http_request_init(&request, &arena);
    request.method = STR("GET");
    request.method_id = HTTP_GET;
    request.path = STR("/a?b");
    request.authority = STR("api.example");
    request.keep_alive = true;
    return request;
}

static struct http_response new_response(unsigned status)
{
    struct http_response response;
    arena_init(&arena, 4096);
    http_response_init(&response, &arena);
    response.status = status;
    response.keep_alive = true;
    return response;
}

static void expect_request(const struct http_request *request, const char *expected)
{
    size_t size = 0;
    ck_assert_int_eq(h1_request_size(request, &size), 0);
    char *memory = mem_alloc(size);
    ck_assert_ptr_eq(h1_write_request(request, memory), memory + size);
    struct str written = {memory, size};
    ck_assert_msg(str_equal(written, str_from(expected)), "%.*s", STR_ARGS(written));
    mem_free(memory);
    arena_done(&arena);
}

static void expect_response(const struct http_response *response, const char *expected)
{
    size_t size = 0;
    ck_assert_int_eq(h1_response_size(response, &size), 0);
    char *memory = mem_alloc(size);
    ck_assert_ptr_eq(h1_write_response(response, memory), memory + size);
    struct str written = {memory, size};
    ck_assert_msg(str_equal(written, str_from(expected)), "%.*s", STR_ARGS(written));
    mem_free(memory);
    arena_done(&arena);
}

static void expect_refused(struct http_request *request)
{
    size_t size = 77;
    ck_assert_int_eq(h1_request_size(request, &size), ERR_INVALID);
    ck_assert_uint_eq(size, 77);
    arena_done(&arena);
}

static void expect_response_refused(struct http_response *response)
{
    size_t size;
    ck_assert_int_eq(h1_response_size(response, &size), ERR_INVALID);
    arena_done(&arena);
}

START_TEST(a_request_is_written_with_host_first)
{
    struct http_request request = new_request();
    header_list_add(&request.headers, HEADER_ACCEPT, STR("*/*"));
    header_list_add_name(&request.headers, STR("x-empty"), (struct str){0});
    expect_request(&request, "GET /a?b HTTP/1.1\r\nhost: api.example\r\naccept: */*\r\n"
                             "x-empty: \r\n\r\n");
}
END_TEST

START_TEST(framing_lines_of_the_list_are_not_copied)
{
    struct http_request request = new_request();
    header_list_add(&request.headers, HEADER_HOST, STR("other"));
    header_list_add(&request.headers, HEADER_CONTENT_LENGTH, STR("99"));
    header_list_add(&request.headers, HEADER_TRANSFER_ENCODING, STR("chunked"));
    header_list_add(&request.headers, HEADER_CONNECTION, STR("keep-alive, x"));
    header_list_add(&request.headers, HEADER_KEEP_ALIVE, STR("timeout=5"));
    header_list_add(&request.headers, HEADER_PROXY_CONNECTION, STR("close"));
    header_list_add(&request.headers, HEADER_UPGRADE, STR("websocket"));
    request.body_kind = BODY_LENGTH;
    request.content_length = 12345;
    expect_request(&request, "GET /a?b HTTP/1.1\r\nhost: api.example\r\n"
                             "content-length: 12345\r\n\r\n");
}
END_TEST

START_TEST(every_kind_of_request_body_has_its_line)
{
    struct http_request request = new_request();
    request.body_kind = BODY_CHUNKED;
    request.keep_alive = false;
    expect_request(&request, "GET /a?b HTTP/1.1\r\nhost: api.example\r\nconnection: close\r\n"
                             "transfer-encoding: chunked\r\n\r\n");
    request = new_request();
    header_list_add(&request.headers, HEADER_CONTENT_LENGTH, STR("0"));
    expect_request(&request, "GET /a?b HTTP/1.1\r\nhost: api.example\r\ncontent-length: 0\r\n\r\n");
    request = new_request();
    request.body_kind = BODY_UNTIL_CLOSE;
    expect_refused(&request);
}
END_TEST

START_TEST(a_method_that_takes_content_says_that_there_is_none)
{
    struct http_request request = new_request();
    request.method = STR("POST");
    request.method_id = HTTP_POST;
    expect_request(&request,
                   "POST /a?b HTTP/1.1\r\nhost: api.example\r\ncontent-length: 0\r\n\r\n");
    request.method = STR("DELETE");
    request.method_id = HTTP_DELETE;
    expect_request(&request, "DELETE /a?b HTTP/1.1\r\nhost: api.example\r\n\r\n");
}
END_TEST

START_TEST(an_upgrade_and_a_connect_are_written)
{
    struct http_request request = new_request();
    request.is_upgrade = true;
    header_list_add(&request.headers, HEADER_UPGRADE, STR("websocket"));
    expect_request(&request, "GET /a?b HTTP/1.1\r\nhost: api.example\r\nupgrade: websocket\r\n"
                             "connection: upgrade\r\n\r\n");
    request = new_request();
    request.method = STR("CONNECT");
    request.method_id = HTTP_CONNECT;
    request.authority = STR("a:443");
    request.path = (struct str){0};
    expect_request(&request, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n");
}
END_TEST

START_TEST(nothing_that_splits_a_request_is_written)
{
    static const struct str bad[] = {{"a\r\nb", 4}, {"a\nb", 3},  {"a\rb", 3},
                                     {"a\0b", 3},   {"a\x7f", 2}, {"\x01", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_request request = new_request();
        header_list_add_name(&request.headers, STR("x"), bad[i]);
        expect_refused(&request);
        request = new_request();
        header_list_add_name(&request.headers, bad[i], STR("x"));
        expect_refused(&request);
        request = new_request();
        request.method = bad[i];
        expect_refused(&request);
        request = new_request();
        request.authority = bad[i];
        expect_refused(&request);
        request = new_request();
        char path[8] = "/";
        memcpy(path + 1, bad[i].data, bad[i].len);
        request.path = (struct str){path, bad[i].len + 1};
        expect_refused(&request);
        request = new_request();
        request.is_upgrade = true;
        header_list_add(&request.headers, HEADER_UPGRADE, bad[i]);
        expect_refused(&request);
    }
}
END_TEST

START_TEST(malformed_request_parts_are_not_written)
{
    static const char *const paths[] = {"", "a", "*", "/a b", "/a#b", "/\xc3\xa9", "http://a/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct http_request request = new_request();
        request.path = str_from(paths[i]);
        expect_refused(&request);
    }
    static const char *const names[] = {"", "a b", "A", "a:", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct http_request request = new_request();
        header_list_add_name(&request.headers, str_from(names[i]), STR("x"));
        expect_refused(&request);
    }
}
END_TEST

START_TEST(a_value_changed_behind_the_parser_is_looked_at_again)
{
    char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    struct http_request request = new_request();
    struct h1_scan scan = {0};
    struct h1_error error;
    size_t size;
    ck_assert_int_gt(
        h1_parse_request(text, sizeof text - 1, &h1_limits_default, &scan, &request, &error), 0);
    ck_assert_int_eq(h1_request_size(&request, &size), 0);
    header_set_value(header_list_find_name(&request.headers, STR("x")), STR("a\r\nb: c"));
    expect_refused(&request);
}
END_TEST

START_TEST(a_response_has_a_standard_phrase_and_a_length)
{
    struct http_response response = new_response(200);
    response.reason = STR("Fine\r\n");
    header_list_add(&response.headers, HEADER_SERVER, STR("weir"));
    response.body_kind = BODY_LENGTH;
    response.content_length = 5;
    expect_response(&response, "HTTP/1.1 200 OK\r\nserver: weir\r\ncontent-length: 5\r\n\r\n");
    response = new_response(404);
    expect_response(&response, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    response = new_response(299);
    expect_response(&response, "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n");
    response = new_response(200);
    response.body_kind = BODY_CHUNKED;
    response.keep_alive = false;
    expect_response(&response, "HTTP/1.1 200 OK\r\nconnection: close\r\n"
                               "transfer-encoding: chunked\r\n\r\n");
    response = new_response(200);
    response.body_kind = BODY_UNTIL_CLOSE;
    expect_response(&response, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    response = new_response(200);
    response.is_http10 = true;
    response.body_kind = BODY_LENGTH;
    response.content_length = UINT64_MAX;
    expect_response(&response, "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n"
                               "content-length: 18446744073709551615\r\n\r\n");
}
END_TEST

START_TEST(answers_that_have_no_body_say_no_length_of_their_own)
{
    struct http_response response = new_response(204);
    header_list_add(&response.headers, HEADER_CONTENT_LENGTH, STR("3"));
    expect_response(&response, "HTTP/1.1 204 No Content\r\n\r\n");
    response = new_response(100);
    response.keep_alive = false;
    expect_response(&response, "HTTP/1.1 100 Continue\r\n\r\n");
    response = new_response(304);
    expect_response(&response, "HTTP/1.1 304 Not Modified\r\n\r\n");
    response = new_response(304);
    header_list_add(&response.headers, HEADER_CONTENT_LENGTH, STR("3"));
    expect_response(&response, "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n");
    response = new_response(200);
    response.answers_head = true;
    header_list_add(&response.headers, HEADER_CONTENT_LENGTH, STR("3"));
    expect_response(&response, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
    response = new_response(101);
    header_list_add(&response.headers, HEADER_UPGRADE, STR("websocket"));
    expect_response(&response, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                               "connection: upgrade\r\n\r\n");
}
END_TEST

START_TEST(responses_that_would_confuse_the_client_are_not_written)
{
    static const unsigned bodiless[] = {100, 101, 204, 304};
    for (size_t i = 0; i < sizeof bodiless / sizeof *bodiless; i++) {
        struct http_response response = new_response(bodiless[i]);
        response.body_kind = BODY_LENGTH;
        response.content_length = 1;
        expect_response_refused(&response);
        response = new_response(bodiless[i]);
        response.body_kind = BODY_CHUNKED;
        expect_response_refused(&response);
    }
    struct http_response response = new_response(200);
    response.answers_head = true;
    response.body_kind = BODY_CHUNKED;
    expect_response_refused(&response);
    response = new_response(200);
    response.answers_head = true;
    header_list_add(&response.headers, HEADER_CONTENT_LENGTH, STR("1, 2"));
    expect_response_refused(&response);
    response = new_response(200);
    response.is_http10 = true;
    response.body_kind = BODY_CHUNKED;
    expect_response_refused(&response);
    response = new_response(99);
    expect_response_refused(&response);
    response = new_response(1000);
    expect_response_refused(&response);
    response = new_response(302);
    header_list_add(&response.headers, HEADER_LOCATION, STR("/\r\nset-cookie: a"));
    expect_response_refused(&response);
}
END_TEST

START_TEST(what_was_parsed_and_written_parses_to_the_same)
{
    char text[] = "POST /a?b HTTP/1.1\r\nhost: a\r\nuser-agent: x y\r\nx-a: \xff\tb\r\n"
                  "content-length: 5\r\n\r\n";
    struct http_request request = new_request();
    struct h1_scan scan = {0};
    struct h1_error error;
    int len = h1_parse_request(text, sizeof text - 1, &h1_limits_default, &scan, &request, &error);
    ck_assert_int_eq(len, (int)sizeof text - 1);
    expect_request(&request, "POST /a?b HTTP/1.1\r\nhost: a\r\nuser-agent: x y\r\n"
                             "x-a: \xff\tb\r\ncontent-length: 5\r\n\r\n");
}
END_TEST

TEST_MAIN("h1_write", a_request_is_written_with_host_first,
          framing_lines_of_the_list_are_not_copied, every_kind_of_request_body_has_its_line,
          a_method_that_takes_content_says_that_there_is_none, an_upgrade_and_a_connect_are_written,
          nothing_that_splits_a_request_is_written, malformed_request_parts_are_not_written,
          a_value_changed_behind_the_parser_is_looked_at_again,
          a_response_has_a_standard_phrase_and_a_length,
          answers_that_have_no_body_say_no_length_of_their_own,
          responses_that_would_confuse_the_client_are_not_written,
          what_was_parsed_and_written_parses_to_the_same)
