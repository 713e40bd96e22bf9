#include "controlplane/source/etcd_client.h"

#include "common/base/mem.h"
#include "common/io/file.h"

#include <etcd/rpc.pb-c.h>

/* Larger than any answer that a healthy etcd gives for a page or a watch fragment; values of 10 MB
 * and more (--max-request-bytes) still fit. */
enum { RECEIVE_BYTES_MAX = 256 * 1024 * 1024, PEM_BYTES_MAX = 1024 * 1024 };

struct endpoint {
    char *url;    /* as written */
    char *target; /* for gRPC */
    bool is_tls;
};

struct etcd_client {
    struct rpc_runtime *runtime;
    struct endpoint *endpoints;
    size_t endpoint_count;
    size_t at; /* the endpoint in use */
    char *user, *password, *token;
    char *ca_file, *cert_file, *key_file;
    int timeout_ms;
    struct rpc_channel_options channel_options;
    struct rpc_channel *channel;
};

static char *copy(const char *text)
{
    return text ? mem_copy_string(text, strlen(text)) : NULL;
}

static int parse_endpoint(const char *url, bool has_tls_files, struct endpoint *endpoint,
                          struct errmsg *msg)
{
    const char *host = url;
    endpoint->is_tls = has_tls_files;
    if (strncmp(url, "http://", 7) == 0) {
        endpoint->is_tls = false;
        host = url + 7;
    } else if (strncmp(url, "https://", 8) == 0) {
        endpoint->is_tls = true;
        host = url + 8;
    }
    size_t len = strcspn(host, "/");
    if (len == 0 || strlen(host) > len + 1 || strstr(host, "://"))
        return errmsg_set(msg, ERR_INVALID,
                          "etcd endpoint \"%s\": must look like http://host:2379, without a path",
                          url);
    endpoint->url = copy(url);
    endpoint->target = mem_copy_string(host, len);
    return 0;
}

/* Fills *ret_pem with the file's text; the buffer holds it. */
static int read_pem(const char *path, struct buf *buf, struct str *ret_pem, struct errmsg *msg)
{
    buf_init(buf, PEM_BYTES_MAX);
    int err = path ? file_read(path, buf, msg) : 0;
    if (!err)
        *ret_pem = buf_str(buf);
    return err;
}

static struct rpc_credentials *make_credentials(struct etcd_client *client, struct errmsg *msg)
{
    if (!client->endpoints[client->at].is_tls)
        return rpc_credentials_new_insecure();
    struct buf ca, cert, key;
    buf_init(&cert, 0);
    buf_init(&key, 0);
    struct rpc_tls_config config = {0};
    struct rpc_credentials *credentials = NULL;
    if (read_pem(client->ca_file, &ca, &config.ca_pem, msg) == 0 &&
        read_pem(client->cert_file, &cert, &config.cert_pem, msg) == 0 &&
        read_pem(client->key_file, &key, &config.key_pem, msg) == 0)
        credentials = rpc_credentials_new_client_tls(&config, msg);
    buf_done(&ca);
    buf_done(&cert);
    buf_done(&key);
    if (!credentials)
        errmsg_prefix(msg, "etcd TLS files: ");
    return credentials;
}

int etcd_client_connect(struct etcd_client *client, struct errmsg *msg)
{
    rpc_channel_free(client->channel);
    client->channel = NULL;
    struct rpc_credentials *credentials = make_credentials(client, msg);
    if (!credentials)
        return ERR_INVALID;
    client->channel = rpc_channel_new(client->runtime, client->endpoints[client->at].target,
                                      credentials, &client->channel_options);
    rpc_credentials_unref(credentials);
    return 0;
}

struct etcd_client *etcd_client_new(struct rpc_runtime *runtime,
                                    const struct source_etcd_options *options, struct errmsg *msg)
{
    struct etcd_client *client = MEM_NEW(struct etcd_client);
    client->runtime = runtime;
    client->user = copy(options->user);
    client->password = copy(options->password ? options->password : "");
    client->ca_file = copy(options->ca_file);
    client->cert_file = copy(options->cert_file);
    client->key_file = copy(options->key_file);
    client->timeout_ms = options->request_timeout_ms ? options->request_timeout_ms : 10000;
    client->channel_options = (struct rpc_channel_options){
        .keepalive_ms = options->keepalive_ms ? options->keepalive_ms : 10000,
        .keepalive_timeout_ms =
            options->keepalive_timeout_ms ? options->keepalive_timeout_ms : 4000,
        .receive_bytes_max = RECEIVE_BYTES_MAX,
        .has_own_connection = true, /* a new attempt starts without the old one's pauses */
    };
    client->endpoints = mem_alloc_zero(options->endpoint_count + 1, sizeof *client->endpoints);
    int err = options->endpoint_count ? 0 : errmsg_set(msg, ERR_INVALID, "no etcd endpoint given");
    for (size_t i = 0; i < options->endpoint_count && !err; i++) {
        bool has_tls_files = options->ca_file || options->cert_file;
        err = parse_endpoint(options->endpoints[i], has_tls_files, &client->endpoints[i], msg);
        client->endpoint_count += !err;
    }
    if (!err)
        err = etcd_client_connect(client, msg);
    if (!err)
        return client;
    etcd_client_free(client);
    return NULL;
}

void etcd_client_free(struct etcd_client *client)
{
    if (!client)
        return;
    rpc_channel_free(client->channel);
    for (size_t i = 0; i < client->endpoint_count; i++) {
        mem_free(client->endpoints[i].url);
        mem_free(client->endpoints[i].target);
    }
    mem_free(client->endpoints);
    mem_free(client->user);
    mem_free(client->password);
    mem_free(client->token);
    mem_free(client->ca_file);
    mem_free(client->cert_file);
    mem_free(client->key_file);
    mem_free(client);
}

const char *etcd_client_endpoint(const struct etcd_client *client)
{
    return client->endpoints[client->at].url;
}

size_t etcd_client_endpoint_count(const struct etcd_client *client)
{
    return client->endpoint_count;
}

void etcd_client_set_token(struct etcd_client *client, const char *token)
{
    mem_free(client->token);
    client->token = copy(token);
}

void etcd_client_advance(struct etcd_client *client)
{
    client->at = (client->at + 1) % client->endpoint_count;
    etcd_client_set_token(client, NULL);
}

bool etcd_client_needs_token(const struct etcd_client *client)
{
    return client->user && !client->token;
}

struct rpc_call *etcd_client_authenticate(struct etcd_client *client, rpc_call_done_fn *on_done,
                                          void *arg)
{
    Etcdserverpb__AuthenticateRequest request = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    request.name = client->user;
    request.password = client->password;
    etcd_client_set_token(client, NULL);
    return etcd_client_call(client, "/etcdserverpb.Auth/Authenticate", &request.base, on_done, arg);
}

/* Returns how many there are in metadata, which has room for two. */
static size_t call_metadata(const struct etcd_client *client, bool needs_leader,
                            struct rpc_metadata *metadata)
{
    size_t count = 0;
    if (client->token)
        metadata[count++] = (struct rpc_metadata){.key = "token", .value = str_from(client->token)};
    if (needs_leader)
        metadata[count++] = (struct rpc_metadata){.key = "hasleader", .value = STR("true")};
    return count;
}

struct rpc_call *etcd_client_call(struct etcd_client *client, const char *method,
                                  const ProtobufCMessage *request, rpc_call_done_fn *on_done,
                                  void *arg)
{
    struct rpc_metadata metadata[2];
    size_t count = call_metadata(client, false, metadata);
    struct rpc_buf *bytes = rpc_buf_pack(request);
    struct rpc_call *call = rpc_call_start(client->channel, method, bytes, metadata, count,
                                           client->timeout_ms, on_done, arg);
    rpc_buf_unref(bytes);
    return call;
}

struct rpc_stream *etcd_client_watch(struct etcd_client *client,
                                     const struct rpc_stream_events *events, void *arg)
{
    struct rpc_metadata metadata[2];
    size_t count = call_metadata(client, true, metadata);
    return rpc_stream_open(client->channel, "/etcdserverpb.Watch/Watch", metadata, count, events,
                           arg);
}
