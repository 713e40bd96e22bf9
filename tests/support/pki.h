/* Certificate authorities and certificates for tests, made on the spot (P-256, valid for a day). */
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

/* NUL-terminated PEM texts; freed by pki_done. */
struct pki_pair {
    char *cert_pem;
    char *key_pem;
};

void pki_make_ca(struct pki_pair *pair, const char *common_name);
/* Signed by ca. alternative_names as in OpenSSL's configuration: "DNS:a.test,IP:127.0.0.1". */
void pki_make_leaf(struct pki_pair *pair, const struct pki_pair *ca, const char *common_name,
                   const char *alternative_names);
void pki_done(struct pki_pair *pair);

#endif
