#include "tests/support/pki.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = mem_copy_string(data, (size_t)len);
    BIO_free(bio);
    return text;
}

static char *certificate_text(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ASSERT(PEM_write_bio_X509(bio, certificate) == 1);
    return text_of(bio);
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ASSERT(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    return text_of(bio);
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    ASSERT(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(EVP_PKEY *key, const char *common_name)
{
    X509 *certificate = X509_new();
    unsigned char serial[8];
    ASSERT(RAND_bytes(serial, sizeof serial) == 1);
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600L);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    X509_set_pubkey(certificate, key);
    return certificate;
}

static void sign(struct pki_pair *pair, X509 *certificate, EVP_PKEY *key, EVP_PKEY *signer)
{
    ASSERT(X509_sign(certificate, signer, EVP_sha256()) > 0);
    pair->cert_pem = certificate_text(certificate);
    pair->key_pem = key_text(key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void pki_make_ca(struct pki_pair *pair, const char *common_name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = new_certificate(key, common_name);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(pair, certificate, key, key);
}

void pki_make_leaf(struct pki_pair *pair, const struct pki_pair *ca, const char *common_name,
                   const char *alternative_names)
{
    BIO *bio = BIO_new_mem_buf(ca->cert_pem, -1);
    X509 *issuer = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(ca->key_pem, -1);
    EVP_PKEY *signer = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ASSERT(issuer && signer);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = new_certificate(key, common_name);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    add_extension(certificate, NID_subject_alt_name, alternative_names);
    add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth");
    sign(pair, certificate, key, signer);
    X509_free(issuer);
    EVP_PKEY_free(signer);
}

void pki_done(struct pki_pair *pair)
{
    mem_free(pair->cert_pem);
    mem_free(pair->key_pem);
}
