#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

#include <stdio.h>

static struct xds_rig rig;

static int decode(struct str bytes, struct errmsg *msg)
{
    struct route_table *routes = NULL;
    int err = decode_routes(&rig.decode, STR("public"), bytes, &routes, msg);
    route_table_unref(routes);
    return err;
}

static void expect_refused(const char *yaml, const char *beginning)
{
    struct errmsg msg = {.text = ""};
    ck_assert_int_ne(decode(xds_rig_encode(&rig, XDS_ROUTES, yaml), &msg), 0);
    ck_assert_msg(strncmp(msg.text, beginning, strlen(beginning)) == 0, "%s", msg.text);
}

START_TEST(a_refusal_names_table_virtual_host_and_route)
{
    xds_rig_init(&rig);
    expect_refused("name: other\n", "routes public: name: is \"other\"");
    expect_refused("name: public\nvirtual_hosts: [{name: all, domains: [\"*\"], routes: [{name: "
                   "r, match: {safe_regex: {regex: \"(\"}}, route: {cluster: users}}]}]\n",
                   "routes public: virtual host all: route r: ");
    xds_rig_done(&rig);
}
END_TEST

#define PER_ROUTE(settings)                                                                        \
    "name: public\n"                                                                               \
    "virtual_hosts: [{name: all, domains: [\"*\"], routes: [{name: r, match: {prefix: /}, route: " \
    "{cluster: users}, typed_per_filter_config: {x: " settings "}}]}]\n"
#define UNKNOWN "{\"@type\": type.googleapis.com/example.Settings, value: \"\"}"

START_TEST(unknown_filter_settings_are_refused_unless_they_are_optional)
{
    struct errmsg msg;
    xds_rig_init(&rig);
    expect_refused(PER_ROUTE(UNKNOWN), "routes public: virtual host all: route r: ");
    ck_assert_int_eq(
        decode(xds_rig_encode(
                   &rig, XDS_ROUTES,
                   PER_ROUTE("{\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, "
                             "is_optional: true, config: " UNKNOWN "}")),
               &msg),
        0);
    xds_rig_done(&rig);
}
END_TEST

static void remember(const char *what, uint64_t count, const char *first_label, void *arg)
{
    (void)count, (void)first_label;
    snprintf(arg, 256, "%s", what);
}

START_TEST(a_field_without_effect_in_the_settings_of_a_route_is_reported)
{
    struct errmsg msg;
    char what[256] = "";
    xds_rig_init(&rig);
    const char *yaml =
        PER_ROUTE("{\"@type\": type.googleapis.com/envoy.extensions.filters.http.header_mutation."
                  "v3.HeaderMutationPerRoute}") "request_mirror_policies: [{cluster: mirror}]\n";
    ck_assert_int_eq(decode(xds_rig_encode(&rig, XDS_ROUTES, yaml), &msg), 0);
    ignored_fields_visit(rig.decode.ignored, remember, what);
    ck_assert_str_eq(what, "envoy.config.route.v3.RouteConfiguration: request_mirror_policies");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_nul_inside_the_settings_of_a_route_is_refused)
{
    struct errmsg msg = {.text = ""};
    xds_rig_init(&rig);
    struct str bytes = xds_rig_encode(
        &rig, XDS_ROUTES,
        PER_ROUTE("{\"@type\": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3."
                  "ApiKeyAuthPerRoute, allowed_clients: [aliceXbob]}"));
    size_t at = str_find(bytes, STR("aliceXbob"));
    ck_assert_uint_lt(at, bytes.len);
    ((char *)bytes.data)[at + 5] = '\0';
    ck_assert_int_ne(decode(bytes, &msg), 0);
    ck_assert_str_eq(msg.text, "routes public: virtual_hosts.routes.typed_per_filter_config.value."
                               "allowed_clients: has a NUL byte");
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("decode_routes", a_refusal_names_table_virtual_host_and_route,
          unknown_filter_settings_are_refused_unless_they_are_optional,
          a_field_without_effect_in_the_settings_of_a_route_is_reported,
          a_nul_inside_the_settings_of_a_route_is_refused)
