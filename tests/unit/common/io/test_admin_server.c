#include "tests/support/test.h"

#include "common/io/admin_server.h"
#include "common/io/loop.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static struct admin_server *server;
static char answer[128 * 1024];

static void on_hello(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    const char *name = admin_request_query(request, "name");
    buf_printf(&reply->body, "%s %s %s %.*s\n", (const char *)arg, request->path,
               name ? name : "nobody", STR_ARGS(request->body));
}

static void on_change(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    ++*(int *)arg;
    reply->status = 202;
    reply->content_type = "application/json";
    buf_printf(&reply->body, "{}");
}

static void on_huge(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request, (void)arg;
    reply->body.max = 10;
    buf_printf(&reply->body, "more than ten bytes");
}

static int changes;

static void begin(void)
{
    struct errmsg msg;
    loop = loop_new();
    server = admin_server_new(loop);
    admin_server_route(server, ADMIN_GET, "/hello", on_hello, (void *)"hi");
    admin_server_route(server, ADMIN_POST, "/change", on_change, &changes);
    admin_server_route(server, ADMIN_GET, "/huge", on_huge, NULL);
    ck_assert_int_eq(admin_server_listen(server, "127.0.0.1:0", &msg), 0);
    ck_assert_uint_ne(admin_server_port(server), 0);
}

static void end(void)
{
    admin_server_free(server);
    loop_free(loop);
}

static void *talk(void *arg)
{
    const char *request = arg;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(admin_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        write(fd, request, strlen(request)) == (ssize_t)strlen(request)) {
        ssize_t got;
        while (len < sizeof answer - 1 &&
               (got = read(fd, answer + len, sizeof answer - 1 - len)) > 0)
            len += (size_t)got;
    }
    answer[len] = '\0';
    close(fd);
    loop_stop(loop);
    return NULL;
}

/* Sends request and gathers the answer until the server closes. */
static void ask(const char *request)
{
    pthread_t thread;
    begin();
    ck_assert_int_eq(pthread_create(&thread, NULL, talk, (void *)request), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    end();
}

#define REST " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#define HOST(host) "GET /hello HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"
#define expect_begin(text) ck_assert_msg(strncmp(answer, text, strlen(text)) == 0, "%s", answer)
#define expect_has(text) ck_assert_msg(strstr(answer, text) != NULL, "%s", answer)

START_TEST(a_get_is_answered_by_its_handler_with_decoded_query)
{
    ask("GET /hello?name=a%20b" REST);
    expect_begin("HTTP/1.1 200 ");
    expect_has("\r\n\r\nhi /hello a b \n");
    expect_has("content-type: text/plain; charset=utf-8\r\n");
    expect_has("x-content-type-options: nosniff\r\n");
}
END_TEST

START_TEST(head_has_the_head_only)
{
    ask("HEAD /hello" REST);
    expect_begin("HTTP/1.1 200 ");
    expect_has("content-length: 18\r\n");
    ck_assert_ptr_null(strstr(answer, "hi /hello"));
}
END_TEST

START_TEST(what_is_not_there_is_404_and_lists_nothing)
{
    ask("GET /" REST);
    expect_begin("HTTP/1.1 404 ");
    expect_has("\r\n\r\nnot found\n");
}
END_TEST

START_TEST(the_wrong_method_is_405_with_allow)
{
    ask("GET /change" REST);
    expect_begin("HTTP/1.1 405 ");
    expect_has("allow: POST\r\n");
    ck_assert_int_eq(changes, 0);
    ask("POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: "
        "close\r\n\r\n");
    expect_begin("HTTP/1.1 405 ");
    expect_has("allow: GET, HEAD\r\n");
    ask("DELETE /hello" REST);
    expect_begin("HTTP/1.1 405 ");
}
END_TEST

START_TEST(a_post_changes_things)
{
    ask("POST /change HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n"
        "\r\nhi");
    expect_begin("HTTP/1.1 202 ");
    expect_has("content-type: application/json\r\n");
    ck_assert_int_eq(changes, 1);
}
END_TEST

START_TEST(a_post_from_a_web_page_is_refused)
{
    ask("POST /change HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
        "Content-Length: 0\r\nConnection: close\r\n\r\n");
    expect_begin("HTTP/1.1 403 ");
    ck_assert_int_eq(changes, 0);
}
END_TEST

START_TEST(only_localhost_and_addresses_are_hosts)
{
    ask(HOST("evil.example"));
    expect_begin("HTTP/1.1 403 ");
    ask(HOST("localhost.evil.example:80"));
    expect_begin("HTTP/1.1 403 ");
    ask(HOST("127.0.0.1:9901"));
    expect_begin("HTTP/1.1 200 ");
    ask(HOST("[::1]:9901"));
    expect_begin("HTTP/1.1 200 ");
    ask(HOST("LOCALHOST:1"));
    expect_begin("HTTP/1.1 200 ");
}
END_TEST

START_TEST(a_host_can_be_allowed)
{
    pthread_t thread;
    begin();
    admin_server_allow_host(server, "weir-control.internal");
    ck_assert_int_eq(pthread_create(&thread, NULL, talk, (void *)HOST("weir-control.internal:80")),
                     0);
    loop_run(loop);
    pthread_join(thread, NULL);
    end();
    expect_begin("HTTP/1.1 200 ");
}
END_TEST

START_TEST(an_answer_that_is_too_large_is_a_500)
{
    ask("GET /huge" REST);
    expect_begin("HTTP/1.1 500 ");
    expect_has("the answer is too large");
}
END_TEST

START_TEST(a_head_that_is_too_large_is_refused)
{
    static char request[2 * ADMIN_REQUEST_BYTES_MAX];
    int len = snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ");
    memset(request + len, 'x', sizeof request - (size_t)len - 5);
    snprintf(request + sizeof request - 5, 5, "\r\n\r\n");
    ask(request);
    ck_assert_ptr_null(strstr(answer, "200 OK"));
}
END_TEST

START_TEST(a_taken_port_is_told)
{
    struct errmsg msg;
    char address[32];
    begin();
    struct admin_server *other = admin_server_new(loop);
    snprintf(address, sizeof address, "127.0.0.1:%u", admin_server_port(server));
    ck_assert_int_eq(admin_server_listen(other, address, &msg), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(msg.text, address));
    ck_assert_int_eq(admin_server_listen(other, "127.0.0.1", &msg), ERR_INVALID);
    ck_assert_int_eq(admin_server_listen(other, "nonsense:80", &msg), ERR_INVALID);
    ck_assert_int_eq(admin_server_listen(other, "127.0.0.1:", &msg), ERR_INVALID);
    admin_server_free(other);
    end();
}
END_TEST

TEST_MAIN("admin_server", a_get_is_answered_by_its_handler_with_decoded_query,
          head_has_the_head_only, what_is_not_there_is_404_and_lists_nothing,
          the_wrong_method_is_405_with_allow, a_post_changes_things,
          a_post_from_a_web_page_is_refused, only_localhost_and_addresses_are_hosts,
          a_host_can_be_allowed, an_answer_that_is_too_large_is_a_500,
          a_head_that_is_too_large_is_refused, a_taken_port_is_told)
