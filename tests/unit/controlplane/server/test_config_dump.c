#include "tests/support/test.h"

#include "controlplane/server/config_dump.h"
#include "controlplane/server/histogram.h"

#include <envoy/config/route/v3/route.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <jansson.h>

/* A route configuration with an API key in it, and an extension that nobody knows. */
static struct resource *routes_with_secret(void)
{
    Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__Credential credential =
        ENVOY__EXTENSIONS__FILTERS__HTTP__API_KEY_AUTH__V3__CREDENTIAL__INIT;
    Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__Credential *credentials[] = {&credential};
    Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuthPerRoute per_route =
        ENVOY__EXTENSIONS__FILTERS__HTTP__API_KEY_AUTH__V3__API_KEY_AUTH_PER_ROUTE__INIT;
    uint8_t bytes[128];
    Google__Protobuf__Any known = GOOGLE__PROTOBUF__ANY__INIT, unknown = known;
    credential.key = (char *)"topsecret";
    credential.client = (char *)"alice";
    per_route.credentials = credentials;
    per_route.n_credentials = 1;
    known.type_url = (char *)"type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3."
                             "ApiKeyAuthPerRoute";
    known.value.data = bytes;
    known.value.len = protobuf_c_message_pack(&per_route.base, bytes);
    unknown.type_url = (char *)"type.googleapis.com/example.Secret";
    unknown.value.data = (uint8_t *)"dontshow";
    unknown.value.len = 8;

    Envoy__Config__Route__V3__RouteConfiguration__TypedPerFilterConfigEntry entries[2];
    Envoy__Config__Route__V3__RouteConfiguration__TypedPerFilterConfigEntry *list[2];
    Google__Protobuf__Any *values[] = {&known, &unknown};
    for (int i = 0; i < 2; i++) {
        envoy__config__route__v3__route_configuration__typed_per_filter_config_entry__init(
            &entries[i]);
        entries[i].key = (char *)(i ? "unknown" : "keys");
        entries[i].value = values[i];
        list[i] = &entries[i];
    }
    Envoy__Config__Route__V3__RouteConfiguration routes =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_CONFIGURATION__INIT;
    routes.name = (char *)"public";
    routes.typed_per_filter_config = list;
    routes.n_typed_per_filter_config = 2;
    return resource_new(RESOURCE_ROUTES, STR("public"), &routes.base);
}

static struct world *world_with_secret(void)
{
    struct snapshot *snapshot = snapshot_new_empty(7);
    struct resource *routes = routes_with_secret();
    resource_set_unref(snapshot->sets[RESOURCE_ROUTES]);
    snapshot->sets[RESOURCE_ROUTES] = resource_set_new(RESOURCE_ROUTES, &routes, 1);
    resource_unref(routes);
    struct world_builder *world = world_builder_new(7);
    world_builder_add(world, STR("public\"<b>"), CLIENT_GRPC, snapshot_ref(snapshot));
    world_builder_add(world, STR("public"), CLIENT_ENVOY, snapshot);
    return world_builder_finish(world);
}

static json_t *dump(const char *gateway, enum resource_type type, struct buf *text)
{
    struct world *world = world_with_secret();
    struct pbjson_registry *registry = config_dump_registry_new();
    buf_init(text, 1 << 20);
    config_dump_print(world, &(struct config_dump_filter){.gateway = gateway, .type = type},
                      registry, text);
    buf_append_char(text, '\0');
    json_t *root = json_loads(text->data, 0, NULL);
    pbjson_registry_free(registry);
    world_free(world);
    ck_assert_msg(root != NULL, "%s", text->data);
    return root;
}

START_TEST(the_dump_is_json_with_every_gateway_and_type)
{
    struct buf text;
    json_t *root = dump(NULL, RESOURCE_TYPE_COUNT, &text);
    json_t *gateways = json_object_get(root, "gateways");
    ck_assert_int_eq(json_integer_value(json_object_get(root, "revision")), 7);
    ck_assert_uint_eq(json_array_size(gateways), 2);
    json_t *first = json_array_get(gateways, 0), *second = json_array_get(gateways, 1);
    ck_assert_str_eq(json_string_value(json_object_get(first, "client")), "envoy");
    ck_assert_str_eq(json_string_value(json_object_get(second, "gateway")), "public\"<b>");
    ck_assert_str_eq(json_string_value(json_object_get(second, "client")), "grpc");
    ck_assert_ptr_nonnull(json_object_get(first, "CDS"));
    json_t *resources = json_object_get(json_object_get(first, "RDS"), "resources");
    ck_assert_uint_eq(json_array_size(resources), 1);
    json_t *resource = json_object_get(json_array_get(resources, 0), "resource");
    ck_assert_str_eq(json_string_value(json_object_get(resource, "name")), "public");
    json_decref(root);
    buf_done(&text);
}
END_TEST

START_TEST(secrets_are_not_shown)
{
    struct buf text;
    json_t *root = dump(NULL, RESOURCE_TYPE_COUNT, &text);
    ck_assert_ptr_null(strstr(text.data, "topsecret"));
    ck_assert_ptr_null(strstr(text.data, "dontshow"));
    ck_assert_ptr_null(strstr(text.data, "ZG9udHNob3c")); /* its base64 */
    ck_assert_ptr_nonnull(strstr(text.data, "[redacted]"));
    ck_assert_ptr_nonnull(strstr(text.data, "alice"));
    json_decref(root);
    buf_done(&text);
}
END_TEST

START_TEST(the_dump_can_be_narrowed)
{
    struct buf text;
    json_t *root = dump("public", RESOURCE_CLUSTER, &text);
    json_t *gateways = json_object_get(root, "gateways");
    ck_assert_uint_eq(json_array_size(gateways), 1);
    ck_assert_ptr_nonnull(json_object_get(json_array_get(gateways, 0), "CDS"));
    ck_assert_ptr_null(json_object_get(json_array_get(gateways, 0), "RDS"));
    json_decref(root);
    buf_done(&text);
    root = dump("nobody", RESOURCE_TYPE_COUNT, &text);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "gateways")), 0);
    json_decref(root);
    buf_done(&text);
}
END_TEST

START_TEST(a_histogram_prints_cumulative_buckets)
{
    struct histogram histogram = {0};
    struct buf text;
    buf_init(&text, 4096);
    histogram_add(&histogram, 50);                    /* below the first bound */
    histogram_add(&histogram, 2000000);               /* 2 ms */
    histogram_add(&histogram, (uint64_t)60000000000); /* a minute */
    histogram_print(&histogram, "x_seconds", "Help.", &text);
    buf_append_char(&text, '\0');
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_bucket{le=\"0.0001\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_bucket{le=\"0.001\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_bucket{le=\"0.0025\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_bucket{le=\"5\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_bucket{le=\"+Inf\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_count 3\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "x_seconds_sum 60.002000050\n"));
    buf_done(&text);
}
END_TEST

TEST_MAIN("config_dump", the_dump_is_json_with_every_gateway_and_type, secrets_are_not_shown,
          the_dump_can_be_narrowed, a_histogram_prints_cumulative_buckets)
