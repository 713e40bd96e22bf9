#include "dataplane/filters/router.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

static struct xds_rig rig;

#define HEAD                                                                                       \
    "name: public/http\n"                                                                          \
    "address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n"
#define CHAIN "filter_chains:\n- "
#define HCM                                                                                        \
    "filters:\n"                                                                                   \
    "  - name: hcm\n"                                                                              \
    "    typed_config:\n"                                                                          \
    "      \"@type\": type.googleapis.com/envoy.extensions.filters.network."                       \
    "http_connection_manager.v3.HttpConnectionManager\n"                                           \
    "      stat_prefix: public_http\n"
#define RDS "      rds: {route_config_name: public, config_source: {ads: {}}}\n"
#define ROUTER                                                                                     \
    "      - name: envoy.filters.http.router\n"                                                    \
    "        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router."  \
    "v3.Router}\n"
#define FILTERS "      http_filters:\n" ROUTER
#define WHOLE HEAD CHAIN HCM RDS FILTERS

static struct listener_config *decode(const char *yaml)
{
    struct errmsg msg = {.text = ""};
    struct listener_config *listener = NULL;
    int err = decode_listener(&rig.decode, STR("public/http"),
                              xds_rig_encode(&rig, XDS_LISTENER, yaml), &listener, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    return listener;
}

static void expect_refused(const char *yaml, const char *sentence)
{
    struct errmsg msg = {.text = ""};
    struct listener_config *listener = NULL;
    int err = decode_listener(&rig.decode, STR("public/http"),
                              xds_rig_encode(&rig, XDS_LISTENER, yaml), &listener, &msg);
    ck_assert_int_ne(err, 0);
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(a_plain_listener_has_the_defaults_of_envoy)
{
    xds_rig_init(&rig);
    struct listener_config *listener = decode(WHOLE);
    ck_assert_str_eq_len(listener->name, "public/http");
    ck_assert_str_eq_len(listener->address.text, "127.0.0.1:8080");
    ck_assert_str_eq_len(listener->stat_prefix, "public_http");
    ck_assert_str_eq_len(listener->route_config_name, "public");
    ck_assert_uint_eq(listener->routes_fetch_timeout_ms, 15000);
    ck_assert_uint_eq(listener->filter_count, 1);
    ck_assert_ptr_eq(listener->filters[0].type, &router_filter);
    ck_assert_uint_eq(listener->request_head_bytes_max, 60 * 1024);
    ck_assert_uint_eq(listener->request_headers_max, 100);
    ck_assert_uint_eq(listener->idle_timeout_ms, 3600000);
    ck_assert_uint_eq(listener->stream_idle_timeout_ms, 300000);
    ck_assert_uint_eq(listener->request_timeout_ms, 0);
    ck_assert_uint_eq(listener->request_headers_timeout_ms, 0);
    ck_assert_uint_eq(listener->drain_timeout_ms, 5000);
    ck_assert(listener->generate_request_id);
    ck_assert(!listener->use_remote_address);
    ck_assert(!listener->path.normalizes);
    ck_assert_int_eq(listener->path.escaped_slashes, PATH_ESCAPED_SLASHES_KEEP_UNCHANGED);
    ck_assert_int_eq(listener->underscores, UNDERSCORE_ALLOW);
    ck_assert_int_eq(listener->server_header, SERVER_HEADER_OVERWRITE);
    ck_assert_str_eq_len(listener->server_name, "weir");
    ck_assert_ptr_null(listener->local_reply);
    ck_assert_ptr_null(listener->early_header_mutations);
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 0);
    listener_config_unref(listener);
    ck_assert_uint_eq(name_slots_find(rig.decode.filter_slots, STR("envoy.filters.http.router")),
                      NAME_SLOT_NONE);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(every_setting_is_read)
{
    xds_rig_init(&rig);
    struct listener_config *listener = decode(
        HEAD "per_connection_buffer_limit_bytes: 32768\n"
             "tcp_backlog_size: 100\n" CHAIN HCM RDS FILTERS "      codec_type: HTTP1\n"
             "      use_remote_address: true\n"
             "      xff_num_trusted_hops: 2\n"
             "      skip_xff_append: true\n"
             "      normalize_path: true\n"
             "      merge_slashes: true\n"
             "      path_with_escaped_slashes_action: REJECT_REQUEST\n"
             "      max_request_headers_kb: 8\n"
             "      request_headers_timeout: 10s\n"
             "      request_timeout: 20s\n"
             "      stream_idle_timeout: 30s\n"
             "      drain_timeout: 0.5s\n"
             "      server_name: edge\n"
             "      server_header_transformation: PASS_THROUGH\n"
             "      via: \"1.1 weir\"\n"
             "      generate_request_id: false\n"
             "      preserve_external_request_id: true\n"
             "      always_set_request_id_in_response: true\n"
             "      strip_any_host_port: true\n"
             "      strip_trailing_host_dot: true\n"
             "      http_protocol_options: {accept_http_10: true}\n"
             "      common_http_protocol_options: {idle_timeout: 60s, max_headers_count: 50, "
             "headers_with_underscores_action: DROP_HEADER, max_requests_per_connection: 9}\n"
             "      early_header_mutation_extensions:\n"
             "      - name: early\n"
             "        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.http."
             "early_header_mutation.header_mutation.v3.HeaderMutation, mutations: [{remove: "
             "x-weir-consumer}]}\n"
             "      local_reply_config: {body_format: {text_format_source: {inline_string: "
             "\"%LOCAL_REPLY_BODY%\"}}}\n"
             "      access_log:\n"
             "      - name: out\n"
             "        typed_config: {\"@type\": type.googleapis.com/envoy.extensions."
             "access_loggers.stream.v3.StdoutAccessLog}\n");
    ck_assert_uint_eq(listener->connection_buffer_bytes, 32768);
    ck_assert_uint_eq(listener->tcp_backlog, 100);
    ck_assert(listener->use_remote_address && listener->skip_xff_append);
    ck_assert_uint_eq(listener->xff_trusted_hops, 2);
    ck_assert(listener->path.normalizes && listener->path.merges_slashes);
    ck_assert_int_eq(listener->path.escaped_slashes, PATH_ESCAPED_SLASHES_REJECT_REQUEST);
    ck_assert_uint_eq(listener->request_head_bytes_max, 8192);
    ck_assert_uint_eq(listener->request_headers_timeout_ms, 10000);
    ck_assert_uint_eq(listener->request_timeout_ms, 20000);
    ck_assert_uint_eq(listener->stream_idle_timeout_ms, 30000);
    ck_assert_uint_eq(listener->drain_timeout_ms, 500);
    ck_assert_str_eq_len(listener->server_name, "edge");
    ck_assert_int_eq(listener->server_header, SERVER_HEADER_PASS_THROUGH);
    ck_assert_str_eq_len(listener->via, "1.1 weir");
    ck_assert(!listener->generate_request_id && listener->preserve_external_request_id);
    ck_assert(listener->always_set_request_id_in_response);
    ck_assert(listener->strip_any_host_port && listener->strip_trailing_host_dot);
    ck_assert(listener->accept_http_10);
    ck_assert_uint_eq(listener->idle_timeout_ms, 60000);
    ck_assert_uint_eq(listener->request_headers_max, 50);
    ck_assert_uint_eq(listener->connection_requests_max, 9);
    ck_assert_int_eq(listener->underscores, UNDERSCORE_DROP);
    ck_assert_ptr_nonnull(listener->early_header_mutations);
    ck_assert_ptr_nonnull(listener->local_reply);
    ck_assert_uint_eq(listener->access_log_count, 1);
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 0);
    listener_config_unref(listener);
    xds_rig_done(&rig);
}
END_TEST

/* What is made of a message is not out of proportion to it. */
START_TEST(many_early_mutation_extensions_cost_what_they_have)
{
    xds_rig_init(&rig);
    struct buf yaml;
    buf_init(&yaml, 1024 * 1024);
    buf_append_str(&yaml, STR(WHOLE "      early_header_mutation_extensions:\n"));
    for (int i = 0; i < 1000; i++) {
        buf_append_str(&yaml, STR("      - {name: e, typed_config: {\"@type\": type.googleapis.com/"
                                  "envoy.extensions.http.early_header_mutation.header_mutation.v3."
                                  "HeaderMutation, mutations: ["));
        for (int j = 0; i == 0 && j < 4000; j++)
            buf_append_str(&yaml, STR("{remove: x},"));
        buf_append_str(&yaml, STR("]}}\n"));
    }
    buf_append_char(&yaml, '\0');
    struct listener_config *listener = decode(yaml.data);
    ck_assert_uint_lt(arena_bytes(&listener->arena), 4 * 1024 * 1024);
    listener_config_unref(listener);
    buf_done(&yaml);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(all_of_ipv6_may_take_ipv4_too)
{
    xds_rig_init(&rig);
#define ALL_OF_IPV6(compat)                                                                        \
    "name: public/http\n"                                                                          \
    "address: {socket_address: {address: \"::\", port_value: 8080, ipv4_compat: " compat           \
    "}}\n" CHAIN HCM RDS FILTERS
    for (int takes = 0; takes < 2; takes++) {
        struct listener_config *listener =
            decode(takes ? ALL_OF_IPV6("true") : ALL_OF_IPV6("false"));
        ck_assert_str_eq_len(listener->address.text, "[::]:8080");
        ck_assert_int_eq(listener->address.takes_ipv4, takes);
        listener_config_unref(listener);
    }
    xds_rig_done(&rig);
}
END_TEST

START_TEST(routes_can_be_inline)
{
    xds_rig_init(&rig);
    struct listener_config *listener = decode(
        HEAD CHAIN HCM FILTERS
        "      route_config: {name: local, virtual_hosts: [{name: all, domains: [\"*\"], routes: "
        "[{match: {prefix: /}, route: {cluster: users}}]}]}\n");
    ck_assert_uint_eq(listener->route_config_name.len, 0);
    ck_assert_ptr_nonnull(listener->inline_routes);
    listener_config_unref(listener);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(an_unknown_filter_is_refused_unless_it_is_optional)
{
    xds_rig_init(&rig);
#define UNKNOWN                                                                                    \
    "      http_filters:\n"                                                                        \
    "      - name: waf\n"                                                                          \
    "        typed_config: {\"@type\": type.googleapis.com/example.Waf, value: \"\"}\n"
    struct listener_config *listener =
        decode(HEAD CHAIN HCM RDS UNKNOWN "        is_optional: true\n" ROUTER);
    ck_assert_uint_eq(listener->filter_count, 1);
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 1);
    listener_config_unref(listener);
    struct errmsg msg = {.text = ""};
    ck_assert_int_ne(
        decode_listener(&rig.decode, STR("public/http"),
                        xds_rig_encode(&rig, XDS_LISTENER, HEAD CHAIN HCM RDS UNKNOWN ROUTER),
                        &listener, &msg),
        0);
    ck_assert_ptr_nonnull(strstr(
        msg.text,
        "listener public/http: filter_chains[0].filters[0].typed_config.http_filters[0] waf: "));
    ck_assert_ptr_nonnull(strstr(msg.text, "example.Waf"));
    xds_rig_done(&rig);
}
END_TEST

#define CHAIN_0 "listener public/http: filter_chains[0]"
#define MANAGER CHAIN_0 ".filters[0].typed_config."

START_TEST(what_cannot_be_run_is_refused_by_name)
{
    static const char *const cases[][2] = {
        {WHOLE "      common_http_protocol_options: {headers_with_underscores_action: 7}\n",
         "listener public/http: filter_chains[0].filters[0].typed_config."
         "common_http_protocol_options.headers_with_underscores_action: has an unknown value"},
        {"name: public/http\n" CHAIN HCM RDS FILTERS,
         "listener public/http: address: must be a socket_address or a pipe"},
        {"name: other\n", "listener public/http: name: is \"other\""},
        {HEAD, "listener public/http: filter_chains: must have one"},
        {HEAD "filter_chains: [{}, {}]\n",
         "listener public/http: filter_chains: more than one (default_filter_chain included) is "
         "not supported"},
        {HEAD "filter_chains: [{}]\n", CHAIN_0 ".filters: must have an HttpConnectionManager"},
        {HEAD "api_listener: {}\n", "listener public/http: api_listener: not supported"},
        {HEAD "bind_to_port: false\n", "listener public/http: bind_to_port: false: not supported"},
        {HEAD "use_original_dst: true\n", "listener public/http: use_original_dst: not supported"},
        {HEAD "listener_filters: [{name: p, typed_config: {\"@type\": type.googleapis.com/"
              "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol, value: "
              "\"\"}}]\n",
         "listener public/http: listener_filters[0]: type "
         "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol is not supported"},
        {HEAD "filter_chains: [{filter_chain_match: {server_names: [a]}}]\n",
         CHAIN_0 ".filter_chain_match: not supported; leave it out"},
        {HEAD "filter_chains: [{use_proxy_proto: true}]\n",
         CHAIN_0 ".use_proxy_proto: not supported"},
        {HEAD "filter_chains: [{transport_socket: {name: tls, typed_config: {\"@type\": "
              "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
              "DownstreamTlsContext}}}]\n",
         CHAIN_0 ".transport_socket: type envoy.extensions.transport_sockets.tls.v3."
                 "DownstreamTlsContext is not supported; supported: raw_buffer"},
        {HEAD "filter_chains: [{filters: [{name: tcp, typed_config: {\"@type\": "
              "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: "
              "\"\"}}]}]\n",
         CHAIN_0 ".filters[0].typed_config: type envoy.extensions.filters.network.tcp_proxy.v3."
                 "TcpProxy is not supported; supported: HttpConnectionManager"},
        {HEAD CHAIN HCM RDS FILTERS "      codec_type: HTTP2\n",
         MANAGER "codec_type: only AUTO and HTTP1 are supported"},
        {HEAD CHAIN HCM FILTERS, MANAGER "rds or route_config: must be set"},
        {HEAD CHAIN HCM FILTERS "      rds: {route_config_name: x, config_source: "
                                "{path_config_source: {path: /x}}}\n",
         MANAGER "rds.config_source: must be ads (or self); others are not supported"},
        {HEAD CHAIN HCM RDS, MANAGER "http_filters: must have 1 to 64"},
        {HEAD CHAIN HCM RDS FILTERS ROUTER,
         MANAGER "http_filters: the last one, and no other, must be the router"},
        {HEAD CHAIN HCM RDS FILTERS "        disabled: true\n",
         MANAGER "http_filters: the router cannot be disabled"},
        {HEAD CHAIN HCM RDS "      http_filters: [{name: x}]\n",
         MANAGER "http_filters[0] x: must have a typed_config; config_discovery is not "
                 "supported"},
        {HEAD CHAIN HCM RDS FILTERS "      max_request_headers_kb: 0\n",
         MANAGER "max_request_headers_kb: must be between 1 and 8192"},
        {HEAD CHAIN HCM RDS FILTERS "      via: \"a\\r\\nb: c\"\n",
         MANAGER "via: has a control character"},
        {HEAD CHAIN HCM RDS FILTERS
         "      original_ip_detection_extensions: [{name: x, typed_config: {\"@type\": "
         "type.googleapis.com/a.B, value: \"\"}}]\n",
         MANAGER "original_ip_detection_extensions: not supported"},
        {HEAD CHAIN HCM RDS FILTERS "      local_reply_config: {body_format: {}}\n",
         MANAGER "local_reply_config: body_format: format: nothing is set"},
    };
    xds_rig_init(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i][0], cases[i][1]);
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("decode_listener", a_plain_listener_has_the_defaults_of_envoy, every_setting_is_read,
          many_early_mutation_extensions_cost_what_they_have, all_of_ipv6_may_take_ipv4_too,
          routes_can_be_inline, an_unknown_filter_is_refused_unless_it_is_optional,
          what_cannot_be_run_is_refused_by_name)
