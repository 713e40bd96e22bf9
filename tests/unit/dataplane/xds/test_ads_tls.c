/* The ADS stream over TLS, from the bootstrap to the handshake: who is trusted, by which name, and
 * what the operator reads where somebody is not. */
#include "dataplane/xds/ads_client.h"

#include "dataplane/xds/bootstrap.h"
#include "tests/support/ads_server.h"
#include "tests/support/loop_until.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

struct scene {
    struct xds_rig rig;
    struct pki_pair ca, other_ca, server_pair, client_pair, stranger_pair;
    struct rpc_runtime *runtime;
    struct ads_server server;
    struct bootstrap *bootstrap;
    struct rpc_credentials *credentials;
    struct ads_client *client;
};

static struct scene scene;

/* The server has a certificate for "control.test"; with client_ca it wants one of its clients. */
static void set_up(const char *server_names, bool wants_certificates)
{
    pki_make_ca(&scene.ca, "Test CA");
    pki_make_ca(&scene.other_ca, "Other CA");
    pki_make_leaf(&scene.server_pair, &scene.ca, "server", server_names);
    pki_make_leaf(&scene.client_pair, &scene.ca, "proxy", "DNS:proxy.test");
    pki_make_leaf(&scene.stranger_pair, &scene.other_ca, "proxy", "DNS:proxy.test");
    xds_rig_init(&scene.rig);
    xds_rig_open(&scene.rig, true, 0);
    scene.runtime = rpc_runtime_new(scene.rig.loop);
    struct rpc_tls_config tls = {.cert_pem = str_from(scene.server_pair.cert_pem),
                                 .key_pem = str_from(scene.server_pair.key_pem)};
    if (wants_certificates)
        tls.ca_pem = str_from(scene.ca.cert_pem);
    struct errmsg msg = {.text = ""};
    struct rpc_credentials *credentials = rpc_credentials_new_server_tls(&tls, &msg);
    ck_assert_msg(credentials != NULL, "%s", msg.text);
    ads_server_start_with(&scene.server, scene.runtime, 0, credentials);
}

static void tear_down(void)
{
    ads_client_free(scene.client);
    rpc_credentials_unref(scene.credentials);
    bootstrap_free(scene.bootstrap);
    ads_server_stop(&scene.server);
    rpc_runtime_free(scene.runtime);
    xds_rig_done(&scene.rig);
    pki_done(&scene.ca);
    pki_done(&scene.other_ca);
    pki_done(&scene.server_pair);
    pki_done(&scene.client_pair);
    pki_done(&scene.stranger_pair);
}

/* text as a YAML string on one line. */
static const char *quoted(const char *text)
{
    struct buf buf;
    buf_init(&buf, 64 * 1024);
    buf_append_json_string(&buf, str_from(text));
    const char *copy = arena_copy_str(&scene.rig.arena, buf_str(&buf)).data;
    buf_done(&buf);
    return copy;
}

static const char *own_certificate(const struct pki_pair *pair)
{
    return pair ? arena_printf(&scene.rig.arena,
                               "          tls_certificates: [{certificate_chain: {inline_string: "
                               "%s}, private_key: {inline_string: %s}}]\n",
                               quoted(pair->cert_pem), quoted(pair->key_pem))
                : "";
}

/* Connects as a bootstrap with this says; sni "": none. */
static void connect_with(const struct pki_pair *ca, const struct pki_pair *own, const char *sni)
{
    const char *yaml = arena_printf(
        &scene.rig.arena,
        "node: {id: n1, cluster: public}\n"
        "dynamic_resources:\n"
        "  lds_config: {ads: {}}\n"
        "  cds_config: {ads: {}}\n"
        "  ads_config:\n"
        "    api_type: DELTA_GRPC\n"
        "    transport_api_version: V3\n"
        "    grpc_services: [{envoy_grpc: {cluster_name: xds}}]\n"
        "static_resources:\n"
        "  clusters:\n"
        "  - name: xds\n"
        "    load_assignment:\n"
        "      cluster_name: xds\n"
        "      endpoints:\n"
        "      - lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, "
        "port_value: %u}}}}]\n"
        "    transport_socket:\n"
        "      name: tls\n"
        "      typed_config:\n"
        "        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
        "UpstreamTlsContext\n"
        "        sni: \"%s\"\n"
        "        common_tls_context:\n"
        "          validation_context: {trusted_ca: {inline_string: %s}}\n"
        "%s",
        scene.server.port, sni, quoted(ca->cert_pem), own_certificate(own));
    struct errmsg msg = {.text = ""};
    int err = bootstrap_new(str_from(yaml), scene.rig.types, &scene.bootstrap, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    const struct bootstrap_ads *ads = &scene.bootstrap->ads;
    ck_assert(ads->has_tls);
    scene.credentials = rpc_credentials_new_client_tls(&ads->tls, &msg);
    ck_assert_msg(scene.credentials != NULL, "%s", msg.text);
    struct ads_client_options options = {.runtime = scene.runtime,
                                         .store = scene.rig.store,
                                         .target = ads->target,
                                         .credentials = scene.credentials,
                                         .tls_server_name = ads->tls_server_name,
                                         .node = scene.bootstrap->message->node};
    scene.client = ads_client_new(&options);
    store_begin(scene.rig.store);
}

static bool has_ended(void *arg)
{
    (void)arg;
    return scene.server.request_count > 0 || ads_client_status(scene.client).last_error[0];
}

static void expect_stream(void)
{
    ck_assert(loop_until(scene.rig.loop, 20000, has_ended, NULL));
    ck_assert_msg(scene.server.request_count > 0, "%s", ads_client_status(scene.client).last_error);
    ck_assert_str_eq(scene.server.requests[0]->node->id, "n1");
}

static void expect_refusal(const char *sentence)
{
    ck_assert(loop_until(scene.rig.loop, 20000, has_ended, NULL));
    ck_assert_uint_eq(scene.server.request_count, 0);
    const char *error = ads_client_status(scene.client).last_error;
    ck_assert_msg(strstr(error, sentence) != NULL, "no \"%s\" in: %s", sentence, error);
    ck_assert(!ads_client_status(scene.client).is_connected);
}

START_TEST(a_server_of_the_trusted_ca_is_talked_to_by_its_sni)
{
    set_up("DNS:control.test", false);
    connect_with(&scene.ca, NULL, "control.test");
    expect_stream();
    tear_down();
}
END_TEST

START_TEST(without_sni_the_certificate_must_have_the_address)
{
    set_up("IP:127.0.0.1", false);
    connect_with(&scene.ca, NULL, "");
    expect_stream();
    tear_down();
}
END_TEST

START_TEST(a_server_of_another_ca_is_refused)
{
    set_up("DNS:control.test", false);
    connect_with(&scene.other_ca, NULL, "control.test");
    expect_refusal("certificate verify failed");
    tear_down();
}
END_TEST

START_TEST(a_server_with_another_name_is_refused)
{
    set_up("DNS:other.test", false);
    connect_with(&scene.ca, NULL, "control.test");
    expect_refusal("Peer name control.test is not in peer certificate");
    tear_down();
}
END_TEST

START_TEST(a_server_without_the_address_in_its_certificate_is_refused)
{
    set_up("DNS:control.test", false);
    connect_with(&scene.ca, NULL, "");
    expect_refusal("Peer name 127.0.0.1 is not in peer certificate");
    tear_down();
}
END_TEST

START_TEST(our_certificate_is_shown_to_a_server_that_wants_one)
{
    set_up("DNS:control.test", true);
    connect_with(&scene.ca, &scene.client_pair, "control.test");
    expect_stream();
    tear_down();
}
END_TEST

START_TEST(a_server_that_wants_a_certificate_refuses_us_without_one)
{
    set_up("DNS:control.test", true);
    connect_with(&scene.ca, NULL, "control.test");
    expect_refusal("UNAVAILABLE");
    tear_down();
}
END_TEST

START_TEST(a_server_that_wants_a_certificate_refuses_one_of_another_ca)
{
    set_up("DNS:control.test", true);
    connect_with(&scene.ca, &scene.stranger_pair, "control.test");
    expect_refusal("UNAVAILABLE");
    tear_down();
}
END_TEST

TEST_MAIN("ads_tls", a_server_of_the_trusted_ca_is_talked_to_by_its_sni,
          without_sni_the_certificate_must_have_the_address, a_server_of_another_ca_is_refused,
          a_server_with_another_name_is_refused,
          a_server_without_the_address_in_its_certificate_is_refused,
          our_certificate_is_shown_to_a_server_that_wants_one,
          a_server_that_wants_a_certificate_refuses_us_without_one,
          a_server_that_wants_a_certificate_refuses_one_of_another_ca)
