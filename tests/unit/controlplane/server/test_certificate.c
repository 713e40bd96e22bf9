/* The xDS port's certificate: from files, renewed while it is in use. */
#include "controlplane/server/certificate.h"
#include "tests/support/loop_until.h"
#include "tests/support/pki.h"
#include "tests/support/rpc_rig.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <unistd.h>

static struct rpc_rig rig;
static struct pki_pair ca, other_ca, first, second;
static char cert_path[96], key_path[96], ca_path[96];
static struct certificate_files files = {cert_path, key_path, NULL};
static struct errmsg msg;

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_pair(const struct pki_pair *cert, const struct pki_pair *key)
{
    write_text(cert_path, cert->cert_pem);
    write_text(key_path, key->key_pem);
}

static void begin(void)
{
    const char *folder = temp_folder();
    snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    snprintf(ca_path, sizeof ca_path, "%s/ca.pem", folder);
    pki_make_ca(&ca, "CA");
    pki_make_ca(&other_ca, "Other CA");
    pki_make_leaf(&first, &ca, "first", "DNS:control.test");
    pki_make_leaf(&second, &other_ca, "second", "DNS:control.test");
    write_pair(&first, &first);
    write_text(ca_path, ca.cert_pem);
    rpc_rig_init(&rig);
}

static void end(void)
{
    rpc_rig_done(&rig);
    pki_done(&ca);
    pki_done(&other_ca);
    pki_done(&first);
    pki_done(&second);
}

static bool is_decided(void *arg)
{
    const struct rpc_client *client = arg;
    return client->messages > 0 || client->is_closed;
}

/* Whether a client that trusts this CA, and has no certificate, gets an answer. */
static bool is_trusted_by(const struct pki_pair *trusted)
{
    struct rpc_tls_config config = {.ca_pem = str_from(trusted->cert_pem)};
    struct rpc_credentials *credentials = rpc_credentials_new_client_tls(&config, &msg);
    ck_assert_ptr_nonnull(credentials);
    rig.channel_options.tls_server_name = "control.test";
    rig.channel_options.has_own_connection = true;
    rpc_rig_connect(&rig, credentials);
    rpc_credentials_unref(credentials);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "hello");
    ck_assert(loop_until(rig.loop, 30000, is_decided, &client));
    bool is_answered = client.messages > 0;
    if (client.stream)
        rpc_stream_abandon(client.stream);
    rpc_channel_free(rig.channel);
    rig.channel = NULL;
    return is_answered;
}

START_TEST(a_renewed_certificate_needs_no_restart_and_half_of_one_changes_nothing)
{
    begin();
    struct certificate *certificate = certificate_new(rig.loop, &files, &msg);
    ck_assert_msg(certificate != NULL, "%s", msg.text);
    rpc_rig_serve(&rig, 0, certificate_credentials(certificate));
    ck_assert(is_trusted_by(&ca));

    write_pair(&second, &first);
    certificate_look(certificate);
    ck_assert(is_trusted_by(&ca));
    unlink(cert_path);
    certificate_look(certificate);
    ck_assert(is_trusted_by(&ca));

    write_pair(&second, &second);
    certificate_look(certificate);
    ck_assert(is_trusted_by(&other_ca));
    ck_assert(!is_trusted_by(&ca));
    certificate_free(certificate);
    end();
}
END_TEST

START_TEST(with_a_client_ca_nobody_gets_in_without_a_certificate)
{
    begin();
    files.client_ca = ca_path;
    struct certificate *certificate = certificate_new(rig.loop, &files, &msg);
    ck_assert_msg(certificate != NULL, "%s", msg.text);
    rpc_rig_serve(&rig, 0, certificate_credentials(certificate));
    ck_assert(!is_trusted_by(&ca));

    /* A file that is empty for a moment does not open the port. */
    write_text(ca_path, "");
    certificate_look(certificate);
    ck_assert(!is_trusted_by(&ca));
    certificate_free(certificate);
    end();
}
END_TEST

static void expect_refused(const char *flag, const char *path, const char *what)
{
    ck_assert(!certificate_new(rig.loop, &files, &msg));
    ck_assert_msg(strstr(msg.text, flag) && strstr(msg.text, path) && strstr(msg.text, what), "%s",
                  msg.text);
}

START_TEST(what_is_wrong_names_flag_and_file)
{
    begin();
    files.client_ca = ca_path;
    write_text(ca_path, "");
    expect_refused("--xds-client-ca", ca_path, "is empty");
    write_text(ca_path, "no PEM");
    expect_refused("--xds-client-ca", ca_path, "the CA is not a PEM certificate");
    files.client_ca = NULL;
    write_pair(&first, &second);
    expect_refused("--xds-key", key_path, "does not belong to the certificate");
    unlink(key_path);
    expect_refused("--xds-key: ", key_path, "cannot be opened");
    unlink(cert_path);
    expect_refused("--xds-cert: ", cert_path, "cannot be opened");
    end();
}
END_TEST

TEST_MAIN("certificate", a_renewed_certificate_needs_no_restart_and_half_of_one_changes_nothing,
          with_a_client_ca_nobody_gets_in_without_a_certificate, what_is_wrong_names_flag_and_file)
