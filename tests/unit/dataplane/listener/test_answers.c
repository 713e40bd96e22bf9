/* What the proxy says and passes on: routes, headers, answers of its own. */
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLUSTER_STAT(field) offsetof(struct cluster_stats, field)

static const char get[] = "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* A proxy in front of one server, cluster "a". */
struct scene {
    struct proxy_rig *rig;
    struct rig_server server;
};

static struct scene set_up(void)
{
    struct scene scene = {.rig = proxy_rig_new(1), .server = rig_listen()};
    struct rig_config *config = rig_config_new(scene.rig);
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    return scene;
}

static void tear_down(struct scene *scene)
{
    close(scene->server.fd);
    proxy_rig_free(scene->rig);
}

/* Publishes routes instead of those of set_up; cluster "a" stays. */
static void use_routes(struct scene *scene, const char *yaml)
{
    struct rig_config *config = rig_config_new(scene->rig);
    rig_config_routes(config, yaml);
    rig_config_cluster(config, "a", &scene->server.port, 1);
    rig_publish(scene->rig, config);
}

/* One exchange on connections that are there or made; returns the server's. */
static int exchange(struct scene *scene, int client, int server, const char *request,
                    const char *answer)
{
    rig_send(client, request);
    if (server < 0)
        server = rig_accept(&scene->server);
    rig_read_message(server);
    rig_send(server, answer);
    return server;
}

START_TEST(answers_of_our_own_are_envoys)
{
    struct scene scene = set_up();
    use_routes(
        &scene,
        "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: ["
        "{match: {prefix: /gone}, route: {cluster: gone}},"
        "{match: {prefix: /direct}, direct_response: {status: 418, body: {inline_string: pot}}},"
        "{match: {prefix: /created}, direct_response: {status: 201}},"
        "{match: {prefix: /https}, redirect: {https_redirect: true}},"
        "{match: {prefix: /old}, redirect: {prefix_rewrite: /new, response_code: FOUND}},"
        "{match: {prefix: /else}, redirect: {host_redirect: b.test, path_redirect: /p, "
        "port_redirect: 81}},"
        "{match: {prefix: /a}, route: {cluster: a}}]}]\n");
    struct {
        const char *request, *status, *part;
        bool closes;
    } cases[] = {
        {"GET /none HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 ", "content-length: 0", false},
        {"GET /gone HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 503 ", "content-length: 0", false},
        {"GET /direct HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 418 ", "\r\n\r\npot", false},
        {"GET /created?q HTTP/1.1\r\nHost: h:80\r\n\r\n", "HTTP/1.1 201 ",
         "location: http://h:80/created?q\r\n", false},
        {"GET /https?q HTTP/1.1\r\nHost: h:80\r\n\r\n", "HTTP/1.1 301 ",
         "location: https://h/https?q\r\n", false},
        {"GET /old/x?q HTTP/1.1\r\nHost: h:80\r\n\r\n", "HTTP/1.1 302 ",
         "location: http://h:80/new/x?q\r\n", false},
        {"GET /else?q HTTP/1.1\r\nHost: h:80\r\n\r\n", "HTTP/1.1 301 ",
         "location: http://b.test:81/p?q\r\n", false},
        {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", "HTTP/1.1 426 ", "Upgrade Required", true},
        {"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", "HTTP/1.1 400 ", "\r\n\r\nBad Request",
         true},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "content-length: 0", true},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 ", "Bad Request", true},
        {"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", "HTTP/1.1 404 ", "content-length: 0", true},
        {"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         "HTTP/1.1 403 ", "content-length: 0", true},
        {"GET /%2fa HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 ", "content-length: 0", true},
        {"POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", "HTTP/1.1 404 ",
         "content-length: 0", true},
        {"POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 404 ",
         "content-length: 0", false},
        {"POST /none HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
         "HTTP/1.1 404 ", "content-length: 0", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int client = rig_connect(scene.rig);
        rig_send(client, cases[i].request);
        const char *answer = rig_read_message(client);
        ck_assert_begins(answer, cases[i].status);
        ck_assert_contains(answer, cases[i].part);
        if (cases[i].closes) {
            ck_assert_contains(answer, "connection: close\r\n");
            rig_expect_closed(client);
        } else {
            ck_assert_lacks(answer, "connection: close\r\n");
            rig_send(client, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n");
            ck_assert_begins(rig_read_message(client), "HTTP/1.1 404 ");
            close(client);
        }
    }
    tear_down(&scene);
}
END_TEST

START_TEST(grpc_clients_are_told_in_grpcs_way)
{
    struct scene scene = set_up();
    use_routes(&scene, "name: r\n");
    const char *answer =
        rig_get(scene.rig, "POST /s/m HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\n"
                           "Content-Length: 0\r\n\r\n");
    ck_assert_begins(answer, "HTTP/1.1 200 ");
    ck_assert_contains(answer, "content-type: application/grpc\r\n");
    ck_assert_contains(answer, "grpc-status: 12\r\n");
    use_routes(&scene,
               "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /},"
               " direct_response: {status: 200}}]}]\n");
    answer =
        rig_get(scene.rig, "POST /s/m HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\n"
                           "Content-Length: 0\r\n\r\n");
    ck_assert_contains(answer, "grpc-status: 2\r\n"); /* no call has succeeded */
    use_routes(&scene, "name: r\n");
    /* with a parameter it is not, in Envoy */
    answer =
        rig_get(scene.rig, "POST /s/m HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc;x\r\n"
                           "Content-Length: 0\r\n\r\n");
    ck_assert_begins(answer, "HTTP/1.1 404 ");
    tear_down(&scene);
}
END_TEST

START_TEST(the_type_of_a_reply_is_the_one_that_its_route_gives)
{
    struct scene scene = set_up();
    use_routes(&scene,
               "name: r\n"
               "response_headers_to_add: [{header: {key: content-type, value: application/json}}]\n"
               "virtual_hosts: [{name: v, domains: ['*'], routes: ["
               "{match: {prefix: /b}, direct_response: {status: 200, body: {inline_string: '{}'}}},"
               "{match: {prefix: /}, direct_response: {status: 200}}]}]\n");
    const char *answer = rig_get(scene.rig, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_contains(answer, "content-type: application/json\r\n");
    ck_assert_lacks(answer, "text/plain");
    ck_assert_lacks(rig_get(scene.rig, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "content-type");
    tear_down(&scene);
}
END_TEST

START_TEST(what_belongs_to_a_connection_stays_on_it)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->via = STR("1.1 weir");
    config->listener->always_set_request_id_in_response = true;
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    rig_send(client, "GET /a/../b HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, x-hop, "
                     "x-forwarded-for\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nX-Forwarded-For: 9.9.9.9\r\n"
                     "X-Request-Id: mine\r\nX_Under: 1\r\nX-Envoy-Retry-On: 5xx\r\n"
                     "X-Envoy-Other: 1\r\nTE: gzip\r\nX-Forwarded-Client-Cert: Hash=1\r\n"
                     "Connection: x-forwarded-client-cert\r\n\r\n");
    int server = rig_accept(&scene.server);
    const char *request = rig_read_message(server);
    ck_assert_begins(request, "GET /b HTTP/1.1\r\n");
    ck_assert_contains(request, "x-forwarded-for: 9.9.9.9, 127.0.0.1\r\n");
    ck_assert_contains(request, "via: 1.1 weir\r\n");
    ck_assert_contains(request, "x-envoy-other: 1\r\n");
    const char *gone[] = {"x-hop",    "keep-alive", "connection", "x_under",
                          "retry-on", "te:",        "mine",       "client-cert"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        ck_assert_lacks(request, gone[i]);
    char id[64];
    snprintf(id, sizeof id, "x-request-id: %.36s\r\n", strstr(request, "x-request-id: ") + 14);
    rig_send(server,
             "HTTP/1.1 103 Early Hints\r\nConnection: x-hop\r\nX-Hop: 1\r\nLink: x\r\n\r\n");
    const char *hints = rig_read_message(client);
    ck_assert_contains(hints, "link: x\r\n");
    ck_assert_lacks(hints, "x-hop");
    rig_send(server, "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nServer: me\r\n"
                     "Keep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n");
    const char *answer = rig_read_message(client);
    ck_assert_lacks(answer, "x-hop");
    ck_assert_lacks(answer, "keep-alive");
    ck_assert_contains(answer, "server: weir\r\n");
    ck_assert_contains(answer, "via: 1.1 weir\r\n");
    ck_assert_contains(answer, id);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(lines_that_envoy_joins_are_one_for_everybody)
{
    struct scene scene = set_up();
    use_routes(&scene,
               "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
               "/, headers: [{name: authorization, string_match: {exact: 'a,,b'}}]}, route: "
               "{cluster: a}}]}]\n");
    int client = rig_connect(scene.rig);
    rig_send(client, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nX-A: 1\r\nAccept: c\r\n"
                     "Authorization:\r\nX-A: 2\r\nX-Forwarded-For: 1.1.1.1\r\nAuthorization: b\r\n"
                     "X-Forwarded-For: 2.2.2.2\r\n\r\n");
    int server = rig_accept(&scene.server);
    const char *request = rig_read_message(server);
    ck_assert_contains(request, "\r\nauthorization: a,,b\r\nx-a: 1\r\naccept: c\r\nx-a: 2\r\n"
                                "x-forwarded-for: 1.1.1.1,2.2.2.2, 127.0.0.1\r\n");
    rig_send(server, ok);
    rig_read_message(client);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(http_10_clients_get_bodies_they_understand)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->accept_http_10 = true;
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                          "0\r\n\r\n");
    const char *answer = rig_read_all(client);
    ck_assert_lacks(answer, "transfer-encoding");
    ck_assert_contains(answer, "\r\n\r\nhello");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(requests_are_rewritten_as_their_route_says)
{
    struct scene scene = set_up();
    use_routes(&scene,
               "name: r\nvirtual_hosts: [{name: v, domains: ['*'],\n"
               " response_headers_to_add: [{header: {key: x-vhost, value: v}}], routes: [\n"
               "{match: {prefix: /p/}, route: {cluster: a, prefix_rewrite: /q/, "
               "host_rewrite_literal: other.test},\n"
               " request_headers_to_add: [{header: {key: x-new, value: 'was %REQ(:PATH)%'}}],\n"
               " request_headers_to_remove: [x-old], response_headers_to_remove: [x-secret]},\n"
               "{match: {path: /exact}, route: {cluster: a, prefix_rewrite: /other}},\n"
               "{match: {prefix: /re/}, route: {cluster: a, regex_rewrite: {pattern: {regex: "
               "'^/re/([a-z]+)/(.*)$'}, substitution: '/\\2/\\1'}}},\n"
               "{match: {prefix: /strip}, route: {cluster: a, prefix_rewrite: ''}},\n"
               "{match: {prefix: /h}, route: {cluster_header: x-cluster}}]}]\n");
    struct {
        const char *request, *line, *part;
    } cases[] = {
        {"GET /p/x?y HTTP/1.1\r\nHost: h\r\nX-Old: 1\r\n\r\n", "GET /q/x?y HTTP/1.1\r\n",
         "host: other.test\r\n"},
        {"GET /p/x?y HTTP/1.1\r\nHost: h\r\nX-Old: 1\r\n\r\n", "GET /q/x?y HTTP/1.1\r\n",
         "x-new: was /p/x?y\r\n"},
        {"GET /exact?z=1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /other?z=1 HTTP/1.1\r\n",
         "host: h\r\n"},
        {"GET /re/ab/cd?z HTTP/1.1\r\nHost: h\r\n\r\n", "GET /cd/ab?z HTTP/1.1\r\n", "host: h\r\n"},
        {"GET /h HTTP/1.1\r\nHost: h\r\nX-Cluster: a\r\n\r\n", "GET /h HTTP/1.1\r\n",
         "host: h\r\n"},
    };
    int client = rig_connect(scene.rig), server = -1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_send(client, cases[i].request);
        if (server < 0)
            server = rig_accept(&scene.server);
        const char *request = rig_read_message(server);
        ck_assert_begins(request, cases[i].line);
        ck_assert_contains(request, cases[i].part);
        ck_assert_lacks(request, "x-old");
        rig_send(server, "HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: 0\r\n\r\n");
        const char *answer = rig_read_message(client);
        ck_assert_contains(answer, "x-vhost: v\r\n");
        if (i < 2)
            ck_assert_lacks(answer, "x-secret");
    }
    rig_send(client, "GET /h HTTP/1.1\r\nHost: h\r\nX-Cluster: nobody\r\n\r\n");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 503 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(the_address_towards_the_server_is_known_with_and_without_a_body)
{
    struct scene scene = set_up();
    use_routes(&scene, "name: r\nresponse_headers_to_add: [{header: {key: x-from, value: "
                       "'%UPSTREAM_LOCAL_ADDRESS%'}}]\n"
                       "virtual_hosts: [{name: v, domains: ['*'], routes: ["
                       "{match: {prefix: /}, route: {cluster: a}}]}]\n");
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, get, ok);
    ck_assert_contains(rig_read_message(client), "x-from: 127.0.0.1:");
    exchange(&scene, client, server, get, "HTTP/1.1 204 No Content\r\n\r\n");
    ck_assert_contains(rig_read_until(client, "\r\n\r\n"), "x-from: 127.0.0.1:");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_missing_arm_keeps_its_share)
{
    struct scene scene = set_up();
    use_routes(&scene, "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: "
                       "{prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 50}, "
                       "{name: gone, weight: 50}]}}}]}]\n");
    int client = rig_connect(scene.rig), server = -1, good = 0, bad = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t before = rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_total));
        rig_send(client, get);
        char first[1];
        while (rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_total)) == before &&
               recv(client, first, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
            usleep(100);
        if (rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_total)) != before) {
            if (server < 0)
                server = rig_accept(&scene.server);
            rig_read_message(server);
            rig_send(server, ok);
            good++;
        } else {
            bad++;
        }
        rig_read_message(client);
    }
    ck_assert_int_gt(good, 60);
    ck_assert_int_gt(bad, 60);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(the_client_address_is_the_one_that_trusted_proxies_name)
{
    struct scene scene = set_up();
    struct {
        uint32_t hops;
        bool uses_remote, skips_append;
        const char *sent, *forwarded;
    } cases[] = {
        {0, true, false, "1.1.1.1", "1.1.1.1, 127.0.0.1"},
        {0, true, true, "1.1.1.1", "1.1.1.1"},
        {1, true, false, "1.1.1.1, 2.2.2.2", "1.1.1.1, 2.2.2.2, 127.0.0.1"},
        {0, false, false, "1.1.1.1, 2.2.2.2", "1.1.1.1, 2.2.2.2"},
    };
    const char *clients[] = {"127.0.0.1", "127.0.0.1", "2.2.2.2", "2.2.2.2"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig_config *config = rig_config_new(scene.rig);
        config->listener->xff_trusted_hops = cases[i].hops;
        config->listener->use_remote_address = cases[i].uses_remote;
        config->listener->skip_xff_append = cases[i].skips_append;
        rig_config_routes(config,
                          "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: "
                          "{prefix: /}, route: {cluster: a}, request_headers_to_add: [{header: "
                          "{key: x-client, value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}}]}]}]"
                          "\n");
        rig_config_cluster(config, "a", &scene.server.port, 1);
        rig_publish(scene.rig, config);
        int client = rig_connect(scene.rig);
        char text[256];
        snprintf(text, sizeof text,
                 "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                 "X-Forwarded-For: %s\r\n\r\n",
                 cases[i].sent);
        rig_send(client, text);
        int server = rig_accept(&scene.server);
        const char *request = rig_read_message(server);
        snprintf(text, sizeof text, "x-forwarded-for: %s\r\n", cases[i].forwarded);
        ck_assert_contains(request, text);
        snprintf(text, sizeof text, "x-client: %s\r\n", clients[i]);
        ck_assert_contains(request, text);
        rig_send(server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        rig_read_message(client);
        close(client);
        close(server);
    }
    tear_down(&scene);
}
END_TEST

START_TEST(a_redirect_to_the_canonical_path_stays_on_the_host)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->path.escaped_slashes = PATH_ESCAPED_SLASHES_UNESCAPE_AND_REDIRECT;
    config->listener->path.merges_slashes = false;
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    static const char *const cases[][2] = {
        {"/%2Fevil.test/x", "\r\nlocation: /.//evil.test/x\r\n"},
        {"/%5cevil.test/x", "\r\nlocation: /.//evil.test/x\r\n"},
        {"/a%2fb?c", "\r\nlocation: /a/b?c\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i][0]);
        const char *answer = rig_get(scene.rig, request);
        ck_assert_begins(answer, "HTTP/1.1 307 ");
        ck_assert_contains(answer, cases[i][1]);
    }
    tear_down(&scene);
}
END_TEST

START_TEST(a_redirect_whose_rewrite_takes_the_slash_stays_on_the_host)
{
    struct scene scene = set_up();
    use_routes(&scene,
               "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
               "/}, redirect: {regex_rewrite: {pattern: {regex: '^/(.*)$'}, substitution: "
               "'\\1'}}}]}]\n");
    ck_assert_contains(rig_get(scene.rig, "GET /@evil.test/x?y HTTP/1.1\r\nHost: a\r\n\r\n"),
                       "\r\nlocation: http://a/@evil.test/x?y\r\n");
    tear_down(&scene);
}
END_TEST

TEST_MAIN("answers", answers_of_our_own_are_envoys, grpc_clients_are_told_in_grpcs_way,
          the_type_of_a_reply_is_the_one_that_its_route_gives,
          what_belongs_to_a_connection_stays_on_it, http_10_clients_get_bodies_they_understand,
          requests_are_rewritten_as_their_route_says,
          the_address_towards_the_server_is_known_with_and_without_a_body,
          a_missing_arm_keeps_its_share, the_client_address_is_the_one_that_trusted_proxies_name,
          lines_that_envoy_joins_are_one_for_everybody,
          a_redirect_to_the_canonical_path_stays_on_the_host,
          a_redirect_whose_rewrite_takes_the_slash_stays_on_the_host)
