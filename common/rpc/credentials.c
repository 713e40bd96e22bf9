/* Credentials. PEM texts are checked here, because libgrpc says what is wrong with them to its log
 * only, and for servers not before a client connects. */
#include "common/base/mem.h"
#include "common/rpc/rpc_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdatomic.h>

static void pems_free(struct rpc_pems *pems)
{
    mem_free(pems->ca);
    mem_free(pems->cert);
    if (pems->key)
        OPENSSL_cleanse(pems->key, strlen(pems->key));
    mem_free(pems->key);
}

static char *copy_or_null(struct str pem)
{
    return pem.len ? mem_copy_string(pem.data, pem.len) : NULL;
}

static struct rpc_pems pems_of(const struct rpc_tls_config *config)
{
    return (struct rpc_pems){.ca = copy_or_null(config->ca_pem),
                             .cert = copy_or_null(config->cert_pem),
                             .key = copy_or_null(config->key_pem)};
}

static X509 *read_certificate(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *read_key(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (char *)(uintptr_t) "");
    BIO_free(bio);
    return key;
}

static int check_pair(const struct rpc_tls_config *config, struct errmsg *msg)
{
    int err = 0;
    X509 *certificate = read_certificate(config->cert_pem);
    EVP_PKEY *key = read_key(config->key_pem);
    if (!certificate)
        err = errmsg_set(msg, ERR_INVALID, "the certificate is not a PEM certificate");
    else if (!key)
        err = errmsg_set(msg, ERR_INVALID, "the key is not an unencrypted PEM private key");
    else if (X509_check_private_key(certificate, key) != 1)
        err = errmsg_set(msg, ERR_INVALID, "the private key does not belong to the certificate");
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return err;
}

static int check(const struct rpc_tls_config *config, bool needs_pair, struct errmsg *msg)
{
    size_t size_max = 1024 * 1024; /* a CA bundle is a quarter of that */
    if (config->ca_pem.len > size_max || config->cert_pem.len > size_max ||
        config->key_pem.len > size_max)
        return errmsg_set(msg, ERR_TOO_LARGE, "a PEM text is over %zu bytes", size_max);
    if (config->ca_pem.len) {
        X509 *certificate = read_certificate(config->ca_pem);
        X509_free(certificate);
        ERR_clear_error();
        if (!certificate)
            return errmsg_set(msg, ERR_INVALID, "the CA is not a PEM certificate");
    }
    if (!config->cert_pem.len != !config->key_pem.len)
        return errmsg_set(msg, ERR_INVALID, "certificate and key must be given together");
    if (needs_pair && !config->cert_pem.len)
        return errmsg_set(msg, ERR_INVALID, "a server needs a certificate and a key");
    return config->cert_pem.len ? check_pair(config, msg) : 0;
}

static struct rpc_credentials *credentials_new(void)
{
    struct rpc_credentials *credentials = MEM_NEW(struct rpc_credentials);
    atomic_init(&credentials->refs, 1);
    pthread_mutex_init(&credentials->mutex, NULL);
    return credentials;
}

struct rpc_credentials *rpc_credentials_new_insecure(void)
{
    struct rpc_credentials *credentials = credentials_new();
    credentials->channel = grpc_insecure_credentials_create();
    credentials->is_for_servers = true;
    return credentials;
}

struct rpc_credentials *rpc_credentials_new_client_tls(const struct rpc_tls_config *config,
                                                       struct errmsg *msg)
{
    if (check(config, false, msg))
        return NULL;
    struct rpc_pems pems = pems_of(config);
    grpc_ssl_pem_key_cert_pair pair = {.private_key = pems.key, .cert_chain = pems.cert};
    struct rpc_credentials *credentials = credentials_new();
    credentials->channel =
        grpc_ssl_credentials_create(pems.ca, pems.cert ? &pair : NULL, NULL, NULL);
    pems_free(&pems);
    return credentials;
}

struct rpc_credentials *rpc_credentials_new_server_tls(const struct rpc_tls_config *config,
                                                       struct errmsg *msg)
{
    if (check(config, true, msg))
        return NULL;
    struct rpc_credentials *credentials = credentials_new();
    credentials->is_for_servers = true;
    credentials->requires_client_certificate = config->ca_pem.len > 0;
    credentials->pems = pems_of(config);
    credentials->generation = 1;
    return credentials;
}

int rpc_credentials_update_server_tls(struct rpc_credentials *credentials,
                                      const struct rpc_tls_config *config, struct errmsg *msg)
{
    ASSERT(credentials->pems.cert);
    int err = check(config, true, msg);
    if (err)
        return err;
    if (credentials->requires_client_certificate != (config->ca_pem.len > 0))
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "whether clients need a certificate changes with a restart only");
    struct rpc_pems pems = pems_of(config);
    pthread_mutex_lock(&credentials->mutex);
    struct rpc_pems old = credentials->pems;
    credentials->pems = pems;
    credentials->generation++;
    pthread_mutex_unlock(&credentials->mutex);
    pems_free(&old);
    return 0;
}

static struct rpc_credentials *credentials_ref(struct rpc_credentials *credentials)
{
    atomic_fetch_add_explicit(&credentials->refs, 1, memory_order_relaxed);
    return credentials;
}

void rpc_credentials_unref(struct rpc_credentials *credentials)
{
    if (!credentials || atomic_fetch_sub_explicit(&credentials->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (credentials->channel)
        grpc_channel_credentials_release(credentials->channel);
    pems_free(&credentials->pems);
    pthread_mutex_destroy(&credentials->mutex);
    mem_free(credentials);
}

/* libgrpc asks once at the start and then, on a thread of its own, for each new connection. */
static grpc_ssl_certificate_config_reload_status
on_fetch(void *arg, grpc_ssl_server_certificate_config **ret_config)
{
    struct rpc_listener *listener = arg;
    RPC_TSAN_ACQUIRE(listener);
    struct rpc_credentials *credentials = listener->credentials;
    pthread_mutex_lock(&credentials->mutex);
    bool is_new = listener->generation != credentials->generation;
    listener->generation = credentials->generation;
    if (is_new) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = credentials->pems.key,
                                           .cert_chain = credentials->pems.cert};
        /* libgrpc 1.51 asserts that there is a CA, also where no client is asked for anything. */
        const char *ca = credentials->pems.ca ? credentials->pems.ca : credentials->pems.cert;
        *ret_config = grpc_ssl_server_certificate_config_create(ca, &pair, 1);
    }
    pthread_mutex_unlock(&credentials->mutex);
    return is_new ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
                  : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}

grpc_server_credentials *rpc_listener_init(struct rpc_listener *listener,
                                           struct rpc_credentials *credentials)
{
    listener->credentials = credentials_ref(credentials);
    listener->generation = 0;
    RPC_TSAN_RELEASE(listener);
    if (!credentials->pems.cert)
        return grpc_insecure_server_credentials_create();
    grpc_ssl_client_certificate_request_type request =
        credentials->requires_client_certificate
            ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
            : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(request, on_fetch,
                                                                        listener));
}
