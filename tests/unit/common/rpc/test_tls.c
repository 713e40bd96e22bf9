/* TLS and mutual TLS with certificates made here. */
#include "common/rpc/rpc.h"
#include "tests/support/loop_until.h"
#include "tests/support/pki.h"
#include "tests/support/rpc_rig.h"
#include "tests/support/test.h"

static bool has_message(void *arg)
{
    const struct rpc_client *client = arg;
    return client->messages > 0 || client->is_closed;
}

static struct rpc_credentials *server_credentials(const struct pki_pair *ca,
                                                  const struct pki_pair *own)
{
    struct errmsg msg = {""};
    struct rpc_tls_config config = {.cert_pem = str_from(own->cert_pem),
                                    .key_pem = str_from(own->key_pem)};
    if (ca)
        config.ca_pem = str_from(ca->cert_pem);
    struct rpc_credentials *credentials = rpc_credentials_new_server_tls(&config, &msg);
    ck_assert_msg(credentials != NULL, "%s", msg.text);
    return credentials;
}

static struct rpc_credentials *client_credentials(const struct pki_pair *ca,
                                                  const struct pki_pair *own)
{
    struct errmsg msg = {""};
    struct rpc_tls_config config = {.ca_pem = str_from(ca->cert_pem)};
    if (own) {
        config.cert_pem = str_from(own->cert_pem);
        config.key_pem = str_from(own->key_pem);
    }
    struct rpc_credentials *credentials = rpc_credentials_new_client_tls(&config, &msg);
    ck_assert_msg(credentials != NULL, "%s", msg.text);
    return credentials;
}

/* Connects with credentials, sends one message and returns whether it came back. */
static bool can_talk(struct rpc_rig *rig, struct rpc_credentials *credentials)
{
    rig->channel_options.tls_server_name = "control.test";
    rig->channel_options.has_own_connection = true;
    rpc_rig_connect(rig, credentials);
    struct rpc_client client;
    rpc_client_open(&client, rig->channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "hello");
    ck_assert(loop_until(rig->loop, 10000, has_message, &client));
    bool is_fine = client.messages > 0;
    if (!is_fine)
        ck_assert_int_eq(client.status, RPC_STATUS_UNAVAILABLE);
    if (client.stream)
        rpc_stream_abandon(client.stream);
    rpc_channel_free(rig->channel);
    rig->channel = NULL;
    return is_fine;
}

struct world {
    struct rpc_rig rig;
    struct pki_pair ca, other_ca, server, client, stranger;
};

static void world_init(struct world *world)
{
    pki_make_ca(&world->ca, "Test CA");
    pki_make_ca(&world->other_ca, "Other CA");
    pki_make_leaf(&world->server, &world->ca, "server", "DNS:control.test");
    pki_make_leaf(&world->client, &world->ca, "proxy-1",
                  "DNS:proxy-1.test,URI:spiffe://test/proxy");
    pki_make_leaf(&world->stranger, &world->other_ca, "proxy-1", "DNS:proxy-1.test");
    rpc_rig_init(&world->rig);
}

static void world_done(struct world *world)
{
    rpc_rig_done(&world->rig);
    pki_done(&world->ca);
    pki_done(&world->other_ca);
    pki_done(&world->server);
    pki_done(&world->client);
    pki_done(&world->stranger);
}

START_TEST(a_client_that_trusts_the_ca_can_talk_and_another_cannot)
{
    struct world world;
    world_init(&world);
    struct rpc_credentials *server = server_credentials(NULL, &world.server);
    struct rpc_credentials *good = client_credentials(&world.ca, NULL);
    struct rpc_credentials *bad = client_credentials(&world.other_ca, NULL);
    rpc_rig_serve(&world.rig, 0, server);
    ck_assert(can_talk(&world.rig, good));
    ck_assert(!can_talk(&world.rig, bad));
    ck_assert(!can_talk(&world.rig, world.rig.insecure));
    rpc_credentials_unref(good);
    rpc_credentials_unref(bad);
    rpc_credentials_unref(server);
    world_done(&world);
}
END_TEST

START_TEST(a_server_with_a_client_ca_refuses_clients_without_its_certificates)
{
    struct world world;
    world_init(&world);
    struct rpc_credentials *server = server_credentials(&world.ca, &world.server);
    struct rpc_credentials *known = client_credentials(&world.ca, &world.client);
    struct rpc_credentials *unknown = client_credentials(&world.ca, &world.stranger);
    struct rpc_credentials *anonymous = client_credentials(&world.ca, NULL);
    rpc_rig_serve(&world.rig, 0, server);
    ck_assert(can_talk(&world.rig, known));
    ck_assert_uint_eq(world.rig.accepted_count, 1);
    ck_assert(!can_talk(&world.rig, unknown));
    ck_assert(!can_talk(&world.rig, anonymous));
    ck_assert_uint_eq(world.rig.accepted_count, 1);
    rpc_credentials_unref(known);
    rpc_credentials_unref(unknown);
    rpc_credentials_unref(anonymous);
    rpc_credentials_unref(server);
    world_done(&world);
}
END_TEST

START_TEST(the_peer_of_a_stream_is_who_its_certificate_says)
{
    struct world world;
    world_init(&world);
    struct rpc_credentials *server = server_credentials(&world.ca, &world.server);
    struct rpc_credentials *known = client_credentials(&world.ca, &world.client);
    rpc_rig_serve(&world.rig, 0, server);
    world.rig.channel_options.tls_server_name = "control.test";
    rpc_rig_connect(&world.rig, known);
    struct rpc_client client;
    rpc_client_open(&client, world.rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "hello");
    ck_assert(loop_until(world.rig.loop, 10000, has_message, &client));
    const struct rpc_peer *peer = rpc_stream_peer(world.rig.accepted);
    ck_assert(peer->is_authenticated);
    ck_assert_str_eq_len(peer->common_name, "proxy-1");
    ck_assert_uint_eq(peer->name_count, 2);
    ck_assert_str_eq_len(peer->names[0], "proxy-1.test");
    ck_assert_str_eq_len(peer->names[1], "spiffe://test/proxy");
    rpc_credentials_unref(known);
    rpc_credentials_unref(server);
    world_done(&world);
}
END_TEST

START_TEST(a_new_server_certificate_is_used_for_new_connections)
{
    struct world world;
    world_init(&world);
    struct rpc_credentials *server = server_credentials(NULL, &world.server);
    struct rpc_credentials *old = client_credentials(&world.ca, NULL);
    struct rpc_credentials *new = client_credentials(&world.other_ca, NULL);
    rpc_rig_serve(&world.rig, 0, server);
    ck_assert(can_talk(&world.rig, old));
    ck_assert(!can_talk(&world.rig, new));

    struct pki_pair renewed;
    pki_make_leaf(&renewed, &world.other_ca, "server", "DNS:control.test");
    struct rpc_tls_config config = {.cert_pem = str_from(renewed.cert_pem),
                                    .key_pem = str_from(world.server.key_pem)};
    struct errmsg msg;
    ck_assert_int_eq(rpc_credentials_update_server_tls(server, &config, &msg), ERR_INVALID);
    ck_assert(strstr(msg.text, "does not belong"));
    ck_assert(can_talk(&world.rig, old));

    config.key_pem = str_from(renewed.key_pem);
    ck_assert_int_eq(rpc_credentials_update_server_tls(server, &config, &msg), 0);
    ck_assert(can_talk(&world.rig, new));
    ck_assert(!can_talk(&world.rig, old));

    config.ca_pem = str_from(world.ca.cert_pem);
    ck_assert_int_eq(rpc_credentials_update_server_tls(server, &config, &msg), ERR_UNSUPPORTED);
    pki_done(&renewed);
    rpc_credentials_unref(old);
    rpc_credentials_unref(new);
    rpc_credentials_unref(server);
    world_done(&world);
}
END_TEST

START_TEST(wrong_pem_texts_are_refused_with_a_sentence)
{
    struct world world;
    world_init(&world);
    struct errmsg msg;
    struct rpc_tls_config config = {0};
    ck_assert(!rpc_credentials_new_server_tls(&config, &msg));
    ck_assert(strstr(msg.text, "needs a certificate"));
    config.cert_pem = str_from(world.server.cert_pem);
    ck_assert(!rpc_credentials_new_client_tls(&config, &msg));
    ck_assert(strstr(msg.text, "together"));
    config.key_pem = STR("nonsense");
    ck_assert(!rpc_credentials_new_client_tls(&config, &msg));
    ck_assert(strstr(msg.text, "private key"));
    config.key_pem = str_from(world.client.key_pem);
    ck_assert(!rpc_credentials_new_server_tls(&config, &msg));
    ck_assert(strstr(msg.text, "does not belong"));
    config = (struct rpc_tls_config){.ca_pem = STR("nonsense")};
    ck_assert(!rpc_credentials_new_client_tls(&config, &msg));
    ck_assert(strstr(msg.text, "CA"));
    world_done(&world);
}
END_TEST

TEST_MAIN("rpc tls", a_client_that_trusts_the_ca_can_talk_and_another_cannot,
          a_server_with_a_client_ca_refuses_clients_without_its_certificates,
          the_peer_of_a_stream_is_who_its_certificate_says,
          a_new_server_certificate_is_used_for_new_connections,
          wrong_pem_texts_are_refused_with_a_sentence)
