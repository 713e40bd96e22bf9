#include "controlplane/server/certificate.h"

#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/file.h"

enum { PEM_BYTES_MAX = 1024 * 1024 };

struct certificate {
    struct loop_timer look;
    struct certificate_files files;
    struct rpc_credentials *credentials;
    struct content_hash seen; /* of what was taken, or refused, last */
    bool is_unreadable;       /* and that was logged */
};

/* The texts of the files, one behind the other. */
struct pems {
    struct buf text;
    struct rpc_tls_config config;
};

static int read_pem(struct buf *text, const char *flag, const char *path, struct errmsg *msg)
{
    size_t before = text->len;
    int err = file_read(path, text, msg);
    if (!err && text->len == before) /* an empty client CA must not mean that none is asked for */
        err = errmsg_set(msg, ERR_INVALID, "%s is empty", path);
    if (err)
        errmsg_prefix(msg, "--%s: ", flag);
    return err;
}

static int read_pems(const struct certificate_files *files, struct pems *pems, struct errmsg *msg)
{
    buf_init(&pems->text, 3 * PEM_BYTES_MAX);
    int err = read_pem(&pems->text, "xds-cert", files->cert, msg);
    size_t cert_end = pems->text.len;
    if (!err)
        err = read_pem(&pems->text, "xds-key", files->key, msg);
    size_t key_end = pems->text.len;
    if (!err && files->client_ca)
        err = read_pem(&pems->text, "xds-client-ca", files->client_ca, msg);
    struct str text = buf_str(&pems->text);
    pems->config = (struct rpc_tls_config){
        .cert_pem = str_slice(text, 0, cert_end),
        .key_pem = str_slice(text, cert_end, key_end),
        .ca_pem = str_slice(text, key_end, text.len),
    };
    return err;
}

static void name_files(const struct certificate_files *files, struct errmsg *msg)
{
    errmsg_prefix(msg, "--xds-cert %s, --xds-key %s%s%s: ", files->cert, files->key,
                  files->client_ca ? ", --xds-client-ca " : "",
                  files->client_ca ? files->client_ca : "");
}

static int take(struct certificate *certificate, const struct pems *pems, struct errmsg *msg)
{
    int err = 0;
    certificate->seen = content_hash_of(buf_str(&pems->text));
    if (certificate->credentials)
        err = rpc_credentials_update_server_tls(certificate->credentials, &pems->config, msg);
    else if (!(certificate->credentials = rpc_credentials_new_server_tls(&pems->config, msg)))
        err = ERR_INVALID;
    if (err)
        name_files(&certificate->files, msg);
    return err;
}

void certificate_look(struct certificate *certificate)
{
    struct pems pems;
    struct errmsg msg;
    int err = read_pems(&certificate->files, &pems, &msg);
    bool is_known = err && certificate->is_unreadable;
    certificate->is_unreadable = err != 0;
    if (!err) {
        struct content_hash found = content_hash_of(buf_str(&pems.text));
        is_known = strcmp(found.hex, certificate->seen.hex) == 0;
        err = is_known ? 0 : take(certificate, &pems, &msg);
    }
    buf_done(&pems.text);
    if (!is_known && err)
        log_error("xds_certificate_kept reason=\"%s\"", msg.text);
    else if (!is_known)
        log_info("xds_certificate_renewed file=%s", certificate->files.cert);
}

static void on_look(struct loop_timer *timer)
{
    struct certificate *certificate = CONTAINER_OF(timer, struct certificate, look);
    certificate_look(certificate);
    loop_timer_start(timer, CERTIFICATE_LOOK_MS);
}

struct certificate *certificate_new(struct loop *loop, const struct certificate_files *files,
                                    struct errmsg *ret_msg)
{
    struct certificate *certificate = MEM_NEW(struct certificate);
    struct pems pems;
    certificate->files = *files;
    loop_timer_init(&certificate->look, loop, on_look);
    int err = read_pems(files, &pems, ret_msg);
    if (!err)
        err = take(certificate, &pems, ret_msg);
    buf_done(&pems.text);
    if (err) {
        certificate_free(certificate);
        return NULL;
    }
    loop_timer_start(&certificate->look, CERTIFICATE_LOOK_MS);
    return certificate;
}

struct rpc_credentials *certificate_credentials(const struct certificate *certificate)
{
    return certificate->credentials;
}

void certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return;
    loop_timer_stop(&certificate->look);
    rpc_credentials_unref(certificate->credentials);
    mem_free(certificate);
}
