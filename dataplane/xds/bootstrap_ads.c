#include "dataplane/xds/bootstrap_ads.h"

#include "common/base/log.h"
#include "common/pbjson/wire.h"
#include "dataplane/xds/decode_internal.h"

#include <envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef Envoy__Config__Core__V3__ApiConfigSource api_source;
typedef Envoy__Config__Core__V3__GrpcService grpc_service;
typedef Envoy__Config__Cluster__V3__Cluster cluster_message;
typedef Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext tls_message;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext common_tls;
typedef Envoy__Extensions__TransportSockets__Tls__V3__TlsParameters tls_parameters;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CertificateValidationContext
    validation_message;

#define SERVICE "dynamic_resources.ads_config.grpc_services[0]"

int bootstrap_read_file(const char *path, struct buf *out, struct errmsg *msg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errmsg_set(msg, ERR_IO, "%s: %s", path, strerror(errno));
    ssize_t got;
    char piece[16 * 1024];
    while ((got = read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0)
            buf_append(out, piece, (size_t)got);
    int error = errno;
    close(fd);
    if (got < 0)
        return errmsg_set(msg, ERR_IO, "%s: %s", path, strerror(error));
    if (out->is_overflown)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s: has more than %zu bytes", path, out->max);
    return 0;
}

static int read_data_source(struct bootstrap *bootstrap,
                            const Envoy__Config__Core__V3__DataSource *source, const char *field,
                            struct str *ret_text, struct errmsg *msg)
{
    struct arena *arena = &bootstrap->arena;
    if (!source)
        return 0;
    switch (source->specifier_case) {
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
        *ret_text = str_from(source->inline_string);
        return 0;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
        *ret_text = (struct str){.data = (const char *)source->inline_bytes.data,
                                 .len = source->inline_bytes.len};
        return 0;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE: {
        const char *value = getenv(source->environment_variable);
        if (!value)
            return errmsg_set(msg, ERR_INVALID, "%s: environment variable %s is not set", field,
                              source->environment_variable);
        *ret_text = arena_copy_str(arena, str_from(value));
        return 0;
    }
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME: {
        struct buf text;
        buf_init(&text, BOOTSTRAP_FILE_BYTES_MAX);
        int err = bootstrap_read_file(source->filename, &text, msg);
        if (err)
            errmsg_prefix(msg, "%s: ", field);
        else
            *ret_text = arena_copy_str(arena, buf_str(&text));
        buf_done(&text);
        return err;
    }
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__NOT_SET:
    default:
        return errmsg_set(msg, ERR_INVALID, "%s: says nothing", field);
    }
}

/* --- through a static cluster ----------------------------------------------------------------- */

/* The field of validation that is set, not supported, and a protection; or NULL. */
static const char *unsupported_check(const validation_message *validation)
{
    if (validation->n_match_typed_subject_alt_names)
        return "match_typed_subject_alt_names";
    if (validation->n_verify_certificate_spki)
        return "verify_certificate_spki";
    if (validation->n_verify_certificate_hash)
        return "verify_certificate_hash";
    if (read_bool(validation->require_signed_certificate_timestamp, false))
        return "require_signed_certificate_timestamp";
    if (validation->crl)
        return "crl";
    if (validation->custom_validator_config)
        return "custom_validator_config";
    if (validation->ca_certificate_provider_instance)
        return "ca_certificate_provider_instance";
    return validation->max_verify_depth ? "max_verify_depth" : NULL;
}

static int read_validation(struct bootstrap *bootstrap, const validation_message *validation,
                           struct errmsg *msg)
{
    const char *field = unsupported_check(validation);
    if (field)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "common_tls_context.validation_context.%s: is not supported; only "
                          "trusted_ca is (the name in the certificate must be sni, or the server's "
                          "host)",
                          field);
    return read_data_source(bootstrap, validation->trusted_ca, "trusted_ca",
                            &bootstrap->ads.tls.ca_pem, msg);
}

/* Whether the TLS library's own choices, TLS 1.2 and 1.3, are as strict. */
static bool are_met(const tls_parameters *params)
{
    return params->tls_minimum_protocol_version <=
               ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_2 &&
           !params->n_cipher_suites && !params->n_ecdh_curves && !params->n_signature_algorithms &&
           !params->n_compliance_policies;
}

static int read_common_tls(struct bootstrap *bootstrap, const common_tls *common,
                           struct errmsg *msg)
{
    struct rpc_tls_config *tls = &bootstrap->ads.tls;
    if (common->tls_params && !are_met(common->tls_params))
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "common_tls_context.tls_params: TLS 1.2 and 1.3 with the library's "
                          "ciphers, curves and signatures are all there is");
    if (common->custom_handshaker || common->tls_certificate_provider_instance ||
        common->custom_tls_certificate_selector)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "common_tls_context: providers and handshakers are not supported");
    if (common->n_tls_certificates > 1 || common->n_tls_certificate_sds_secret_configs)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "common_tls_context: only one certificate in tls_certificates is "
                          "supported");
    int err = 0;
    if (common->n_tls_certificates) {
        const Envoy__Extensions__TransportSockets__Tls__V3__TlsCertificate *certificate =
            common->tls_certificates[0];
        err = read_data_source(bootstrap, certificate->certificate_chain, "certificate_chain",
                               &tls->cert_pem, msg);
        if (!err)
            err = read_data_source(bootstrap, certificate->private_key, "private_key",
                                   &tls->key_pem, msg);
    }
    if (err ||
        common->validation_context_type_case ==
            ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE__NOT_SET)
        return err;
    if (common->validation_context_type_case !=
        ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_VALIDATION_CONTEXT)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "common_tls_context: only validation_context is supported");
    return read_validation(bootstrap, common->validation_context, msg);
}

static int read_tls(struct bootstrap *bootstrap, const cluster_message *cluster, struct errmsg *msg)
{
    const ProtobufCMessageDescriptor *descriptor =
        &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor;
    if (is_plaintext(cluster->transport_socket))
        return 0;
    const Google__Protobuf__Any *any = cluster->transport_socket->typed_config;
    if (!any_is(any, descriptor))
        return errmsg_set(msg, ERR_UNSUPPORTED, "transport_socket: type %s is not supported",
                          any_type(any));
    ProtobufCMessage *unpacked;
    int err = any_unpack(any, descriptor, "transport_socket", &bootstrap->arena, &unpacked, msg);
    if (err)
        return err;
    const tls_message *message = (const tls_message *)unpacked;
    bootstrap->ads.has_tls = true;
    if (message->sni[0])
        bootstrap->ads.tls_server_name = message->sni;
    return message->common_tls_context
               ? read_common_tls(bootstrap, message->common_tls_context, msg)
               : 0;
}

/* gRPC's way to write an address; NULL where it is another kind than those before (a list can only
 * be of IPv4 addresses). */
static const char *add_target(struct bootstrap *bootstrap, const char *before,
                              const struct read_address *address)
{
    struct arena *arena = &bootstrap->arena;
    if (address->address.len && address->address.any.sa_family == AF_INET)
        return before ? arena_printf(arena, "%s,%.*s", before, STR_ARGS(address->address.text))
                      : arena_printf(arena, "ipv4:%.*s", STR_ARGS(address->address.text));
    if (before)
        return before;
    if (address->address.len == 0)
        return arena_printf(arena, "dns:///%.*s:%u", STR_ARGS(address->host), address->port);
    if (address->address.any.sa_family == AF_UNIX)
        return arena_printf(arena, "unix:%.*s", STR_ARGS(address->address.text));
    return arena_printf(arena, "ipv6:%.*s", STR_ARGS(address->address.text));
}

static int read_cluster_target(struct bootstrap *bootstrap, const cluster_message *cluster,
                               struct errmsg *msg)
{
    const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *assignment = cluster->load_assignment;
    const char *target = NULL;
    for (size_t i = 0; assignment && i < assignment->n_endpoints; i++) {
        const Envoy__Config__Endpoint__V3__LocalityLbEndpoints *locality = assignment->endpoints[i];
        for (size_t j = 0; j < locality->n_lb_endpoints; j++) {
            const Envoy__Config__Endpoint__V3__LbEndpoint *endpoint = locality->lb_endpoints[j];
            if (endpoint->host_identifier_case !=
                ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT)
                continue;
            struct read_address address;
            int err = read_address(endpoint->endpoint->address, "load_assignment: address",
                                   &bootstrap->arena, &address, msg);
            if (err)
                return err;
            if (!target || str_starts_with(str_from(target), STR("ipv4:")))
                target = add_target(bootstrap, target, &address);
        }
    }
    if (!target)
        return errmsg_set(msg, ERR_INVALID, "load_assignment: has no endpoint");
    bootstrap->ads.target = target;
    return 0;
}

static int read_envoy_grpc(struct bootstrap *bootstrap, const char *name, struct errmsg *msg)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *resources =
        bootstrap->message->static_resources;
    for (size_t i = 0; resources && i < resources->n_clusters; i++) {
        const cluster_message *cluster = resources->clusters[i];
        if (strcmp(cluster->name, name) != 0)
            continue;
        bootstrap->ads_cluster = str_from(cluster->name);
        int err = read_cluster_target(bootstrap, cluster, msg);
        if (!err)
            err = read_tls(bootstrap, cluster, msg);
        if (err)
            errmsg_prefix(msg, "cluster %s: ", name);
        return err;
    }
    return errmsg_set(msg, ERR_INVALID,
                      SERVICE ".envoy_grpc.cluster_name: static_resources has no cluster \"%s\"",
                      name);
}

/* --- through the gRPC library ----------------------------------------------------------------- */

static int read_google_grpc(struct bootstrap *bootstrap,
                            const Envoy__Config__Core__V3__GrpcService__GoogleGrpc *google,
                            struct errmsg *msg)
{
    const Envoy__Config__Core__V3__GrpcService__GoogleGrpc__ChannelCredentials *credentials =
        google->channel_credentials;
    if (!google->target_uri[0])
        return errmsg_set(msg, ERR_INVALID, SERVICE ".google_grpc.target_uri: must be set");
    if (google->n_call_credentials_plugin || google->n_channel_credentials_plugin)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          SERVICE ".google_grpc: credentials plugins are not supported");
    bootstrap->ads.target = google->target_uri;
    if (!credentials ||
        credentials->credential_specifier_case ==
            ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__GOOGLE_GRPC__CHANNEL_CREDENTIALS__CREDENTIAL_SPECIFIER__NOT_SET ||
        credentials->credential_specifier_case ==
            ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__GOOGLE_GRPC__CHANNEL_CREDENTIALS__CREDENTIAL_SPECIFIER_LOCAL_CREDENTIALS)
        return 0;
    if (credentials->credential_specifier_case !=
        ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__GOOGLE_GRPC__CHANNEL_CREDENTIALS__CREDENTIAL_SPECIFIER_SSL_CREDENTIALS)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          SERVICE ".google_grpc.channel_credentials: only ssl_credentials and "
                                  "local_credentials are supported");
    const Envoy__Config__Core__V3__GrpcService__GoogleGrpc__SslCredentials *ssl =
        credentials->ssl_credentials;
    struct rpc_tls_config *tls = &bootstrap->ads.tls;
    bootstrap->ads.has_tls = true;
    int err = read_data_source(bootstrap, ssl->root_certs, "root_certs", &tls->ca_pem, msg);
    if (!err)
        err = read_data_source(bootstrap, ssl->private_key, "private_key", &tls->key_pem, msg);
    if (!err)
        err = read_data_source(bootstrap, ssl->cert_chain, "cert_chain", &tls->cert_pem, msg);
    if (err)
        errmsg_prefix(msg, SERVICE ".google_grpc.channel_credentials.ssl_credentials: ");
    return err;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int read_metadata(struct bootstrap *bootstrap, const grpc_service *service,
                         struct errmsg *msg)
{
    struct bootstrap_ads *ads = &bootstrap->ads;
    size_t count = service->n_initial_metadata;
    ads->metadata = arena_alloc_array(&bootstrap->arena, count, sizeof *ads->metadata);
    for (size_t i = 0; i < count; i++) {
        const Envoy__Config__Core__V3__HeaderValue *header = service->initial_metadata[i];
        char *key = arena_copy_string(&bootstrap->arena, header->key);
        for (char *c = key; *c; c++)
            *c = ascii_lower(*c);
        if (!key[0])
            return errmsg_set(msg, ERR_INVALID, SERVICE ".initial_metadata[%zu].key: must be set",
                              i);
        ads->metadata[i] = (struct rpc_metadata){.key = key, .value = str_from(header->value)};
    }
    ads->metadata_count = count;
    return 0;
}

static int read_service(struct bootstrap *bootstrap, const api_source *source, struct errmsg *msg)
{
    if (source->n_grpc_services == 0)
        return errmsg_set(msg, ERR_INVALID,
                          "dynamic_resources.ads_config.grpc_services: must have one");
    const grpc_service *service = source->grpc_services[0];
    bootstrap->ads.is_set = true;
    int err;
    switch (service->target_specifier_case) {
    case ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__TARGET_SPECIFIER_ENVOY_GRPC:
        err = read_envoy_grpc(bootstrap, service->envoy_grpc->cluster_name, msg);
        break;
    case ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__TARGET_SPECIFIER_GOOGLE_GRPC:
        err = read_google_grpc(bootstrap, service->google_grpc, msg);
        break;
    case ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__TARGET_SPECIFIER__NOT_SET:
    default:
        err = errmsg_set(msg, ERR_INVALID, SERVICE ": must be envoy_grpc or google_grpc");
        break;
    }
    return err ? err : read_metadata(bootstrap, service, msg);
}

static int check_api(const api_source *source, struct errmsg *msg)
{
    if (source->transport_api_version == ENVOY__CONFIG__CORE__V3__API_VERSION__V2)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "dynamic_resources.ads_config.transport_api_version: V2 is not "
                          "supported; use V3");
    if (source->api_type == ENVOY__CONFIG__CORE__V3__API_CONFIG_SOURCE__API_TYPE__REST)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "dynamic_resources.ads_config.api_type: REST is not supported; use "
                          "DELTA_GRPC");
    if (source->api_type == ENVOY__CONFIG__CORE__V3__API_CONFIG_SOURCE__API_TYPE__GRPC)
        log_warning("bootstrap_note field=dynamic_resources.ads_config.api_type "
                    "reason=\"GRPC asks for whole states; weir-proxy asks for changes "
                    "(DELTA_GRPC) all the same\"");
    return 0;
}

int bootstrap_read_ads(struct bootstrap *bootstrap, struct errmsg *msg)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__DynamicResources *dynamic =
        bootstrap->message->dynamic_resources;
    if (!dynamic)
        return 0;
    struct bootstrap_ads *ads = &bootstrap->ads;
    uint64_t unused_ms;
    int err = 0;
    if (dynamic->lds_resources_locator[0] || dynamic->cds_resources_locator[0])
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "dynamic_resources: resource locators (xdstp) are not supported");
    ads->wants_listeners = dynamic->lds_config != NULL;
    ads->wants_clusters = dynamic->cds_config != NULL;
    if (dynamic->lds_config)
        err = read_ads_source(dynamic->lds_config, "dynamic_resources.lds_config", &unused_ms, msg);
    if (!err && dynamic->cds_config)
        err = read_ads_source(dynamic->cds_config, "dynamic_resources.cds_config", &unused_ms, msg);
    if (err)
        return err;
    if (!dynamic->ads_config) {
        if (ads->wants_listeners || ads->wants_clusters)
            return errmsg_set(msg, ERR_INVALID, "dynamic_resources.ads_config: must be set");
        return 0;
    }
    err = check_api(dynamic->ads_config, msg);
    return err ? err : read_service(bootstrap, dynamic->ads_config, msg);
}
