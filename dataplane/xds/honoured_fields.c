#include "dataplane/xds/honoured_fields.h"

#include <envoy/config/bootstrap/v3/bootstrap.pb-c.h>
#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>
#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h>
#include <envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h>
#include <envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h>
#include <envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h>
#include <envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h>

#define HCM(name)                                                                                  \
    envoy__extensions__filters__network__http_connection_manager__v3__##name##__descriptor

#define TLS(name) envoy__extensions__transport_sockets__tls__v3__##name##__descriptor

const struct honoured_row honoured_rows[] = {
    {&envoy__config__bootstrap__v3__bootstrap__descriptor,
     "node static_resources dynamic_resources admin"},
    {&envoy__config__bootstrap__v3__bootstrap__dynamic_resources__descriptor,
     "lds_config cds_config ads_config lds_resources_locator cds_resources_locator"},
    {&envoy__config__bootstrap__v3__admin__descriptor, "address"},
    {&envoy__config__core__v3__api_config_source__descriptor,
     "api_type grpc_services set_node_on_first_message_only transport_api_version"},
    {&envoy__config__core__v3__grpc_service__descriptor, "envoy_grpc google_grpc initial_metadata"},
    {&envoy__config__listener__v3__listener__descriptor,
     "name address filter_chains use_original_dst per_connection_buffer_limit_bytes metadata "
     "drain_type listener_filters transparent listener_filters_timeout traffic_direction "
     "continue_on_listener_filters_timeout api_listener tcp_backlog_size default_filter_chain "
     "bind_to_port internal_listener stat_prefix enable_reuse_port ignore_global_conn_limit "
     "additional_addresses"},
    {&envoy__config__listener__v3__filter_chain__descriptor,
     "filter_chain_match filters metadata transport_socket name transport_socket_connect_timeout"},
    {&envoy__config__listener__v3__filter__descriptor, "name typed_config config_discovery"},
    {&HCM(http_connection_manager),
     "codec_type stat_prefix rds route_config http_filters http_protocol_options server_name "
     "drain_timeout access_log use_remote_address generate_request_id xff_num_trusted_hops "
     "skip_xff_append via stream_idle_timeout request_timeout max_request_headers_kb "
     "normalize_path preserve_external_request_id merge_slashes server_header_transformation "
     "common_http_protocol_options request_id_extension always_set_request_id_in_response "
     "local_reply_config strip_matching_host_port request_headers_timeout strip_any_host_port "
     "path_normalization_options path_with_escaped_slashes_action "
     "original_ip_detection_extensions strip_trailing_host_dot typed_header_validation_config "
     "early_header_mutation_extensions"},
    {&HCM(http_filter), "name typed_config config_discovery is_optional disabled"},
    {&HCM(rds), "config_source route_config_name"},
    {&envoy__config__core__v3__http_protocol_options__descriptor,
     "idle_timeout max_headers_count headers_with_underscores_action max_requests_per_connection"},
    {&envoy__config__core__v3__http1_protocol_options__descriptor,
     "allow_absolute_url accept_http_10"},
    {&envoy__config__cluster__v3__cluster__descriptor,
     "name type cluster_type eds_cluster_config connect_timeout per_connection_buffer_limit_bytes "
     "lb_policy circuit_breakers http2_protocol_options dns_refresh_rate dns_lookup_family "
     "outlier_detection transport_socket transport_socket_matches metadata common_lb_config "
     "common_http_protocol_options load_assignment typed_extension_protocol_options "
     "load_balancing_policy max_requests_per_connection least_request_lb_config"},
    {&envoy__config__cluster__v3__cluster__eds_cluster_config__descriptor,
     "eds_config service_name"},
    {&envoy__config__cluster__v3__cluster__common_lb_config__descriptor, "healthy_panic_threshold"},
    {&envoy__config__cluster__v3__cluster__least_request_lb_config__descriptor, "choice_count"},
    {&envoy__config__cluster__v3__circuit_breakers__descriptor, "thresholds per_host_thresholds"},
    {&envoy__config__cluster__v3__circuit_breakers__thresholds__descriptor,
     "priority max_connections max_pending_requests max_requests max_retries"},
    {&envoy__config__cluster__v3__outlier_detection__descriptor,
     "consecutive_5xx interval base_ejection_time max_ejection_percent enforcing_consecutive_5xx "
     "consecutive_gateway_failure enforcing_consecutive_gateway_failure max_ejection_time "
     "always_eject_one_host enforcing_success_rate=0 enforcing_failure_percentage=0 "
     "enforcing_local_origin_success_rate=0 enforcing_failure_percentage_local_origin=0"},
    {&TLS(upstream_tls_context), "common_tls_context sni"},
    {&TLS(common_tls_context),
     "tls_params tls_certificates validation_context alpn_protocols "
     "tls_certificate_sds_secret_configs validation_context_sds_secret_config "
     "combined_validation_context validation_context_certificate_provider "
     "validation_context_certificate_provider_instance custom_handshaker "
     "tls_certificate_provider_instance custom_tls_certificate_selector"},
    {&TLS(tls_certificate), "certificate_chain private_key"},
    {&TLS(certificate_validation_context),
     "trusted_ca verify_certificate_hash verify_certificate_spki "
     "require_signed_certificate_timestamp crl custom_validator_config "
     "ca_certificate_provider_instance match_typed_subject_alt_names max_verify_depth "
     "system_root_certs suppress_client_ca_list"},
    {&envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
     "common_http_protocol_options explicit_http_config use_downstream_protocol_config "
     "auto_config http_filters"},
    {&envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
     "cluster_name endpoints policy"},
    {&envoy__config__endpoint__v3__cluster_load_assignment__policy__descriptor, "drop_overloads"},
    {&envoy__config__endpoint__v3__locality_lb_endpoints__descriptor,
     "locality lb_endpoints load_balancing_weight priority load_balancer_endpoints "
     "leds_cluster_locality_config metadata"},
    {&envoy__config__endpoint__v3__lb_endpoint__descriptor,
     "endpoint endpoint_name health_status metadata load_balancing_weight"},
    {&envoy__config__endpoint__v3__endpoint__descriptor, "address health_check_config"},
    {&envoy__config__route__v3__route_configuration__descriptor,
     "name virtual_hosts internal_only_headers response_headers_to_add response_headers_to_remove "
     "request_headers_to_add request_headers_to_remove validate_clusters vhds "
     "most_specific_header_mutations_wins max_direct_response_body_size_bytes "
     "ignore_port_in_host_matching ignore_path_parameters_in_path_matching "
     "typed_per_filter_config metadata vhost_header"},
    {&envoy__config__route__v3__virtual_host__descriptor,
     "name domains routes require_tls rate_limits request_headers_to_add request_headers_to_remove "
     "response_headers_to_add response_headers_to_remove typed_per_filter_config metadata"},
    {&envoy__config__route__v3__route__descriptor,
     "match route redirect direct_response filter_action non_forwarding_action metadata "
     "request_headers_to_add request_headers_to_remove response_headers_to_add "
     "response_headers_to_remove typed_per_filter_config name"},
    {&envoy__config__route__v3__filter_config__descriptor, "config is_optional disabled"},
    {&envoy__config__route__v3__route_action__descriptor,
     "cluster cluster_header weighted_clusters cluster_specifier_plugin metadata_match "
     "prefix_rewrite host_rewrite_literal host_rewrite_header "
     "host_rewrite_path_regex host_rewrite timeout rate_limits cluster_not_found_response_code "
     "idle_timeout regex_rewrite path_rewrite_policy path_rewrite"},
    {&envoy__config__route__v3__weighted_cluster__descriptor, "clusters"},
    {&envoy__config__route__v3__weighted_cluster__cluster_weight__descriptor,
     "name cluster_header weight metadata_match request_headers_to_add request_headers_to_remove "
     "response_headers_to_add response_headers_to_remove typed_per_filter_config "
     "host_rewrite_literal"},
    {&envoy__extensions__filters__http__router__v3__router__descriptor,
     "dynamic_stats suppress_envoy_headers"},
    {&envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor,
     "mutations most_specific_header_mutations_wins"},
    {&envoy__extensions__load_balancing_policies__least_request__v3__least_request__descriptor,
     "choice_count"},
    {&envoy__extensions__load_balancing_policies__random__v3__random__descriptor, ""},
    {&envoy__extensions__load_balancing_policies__round_robin__v3__round_robin__descriptor, ""},
};

const size_t honoured_row_count = sizeof honoured_rows / sizeof *honoured_rows;
