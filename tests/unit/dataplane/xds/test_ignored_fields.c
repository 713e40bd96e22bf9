#include "dataplane/xds/ignored_fields.h"

#include "dataplane/xds/honoured_fields.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

#include <stdio.h>

struct seen {
    unsigned count;
    char what[600];
    char label[64];
    uint64_t times;
};

static void remember(const char *what, uint64_t count, const char *first_label, void *arg)
{
    struct seen *seen = arg;
    seen->count++;
    seen->times = count;
    snprintf(seen->what, sizeof seen->what, "%s", what);
    snprintf(seen->label, sizeof seen->label, "%s", first_label);
}

static struct seen scan(enum xds_type type, const char *yaml, unsigned times)
{
    struct xds_rig rig;
    struct seen seen = {.count = 0};
    xds_rig_init(&rig);
    struct str bytes = xds_rig_encode(&rig, type, yaml);
    ProtobufCMessage *message = pbjson_unpack(xds_type_descriptor(type), bytes, &rig.arena);
    for (unsigned i = 0; i < times; i++)
        ignored_fields_scan(rig.decode.ignored, STR("listener a"), message);
    ignored_fields_visit(rig.decode.ignored, remember, &seen);
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), seen.count * times);
    xds_rig_done(&rig);
    return seen;
}

START_TEST(every_name_in_the_table_is_a_field)
{
    for (size_t i = 0; i < honoured_row_count; i++) {
        struct str left = str_from(honoured_rows[i].fields);
        while (left.len) {
            size_t end = str_find_char(left, ' ', 0);
            char name[128];
            struct str entry = str_slice(left, 0, end);
            if (str_ends_with(entry, STR("=0")))
                entry.len -= 2;
            snprintf(name, sizeof name, "%.*s", STR_ARGS(entry));
            ck_assert_msg(protobuf_c_message_descriptor_get_field_by_name(honoured_rows[i].message,
                                                                          name) != NULL,
                          "%s has no field %s", honoured_rows[i].message->name, name);
            left = str_slice(left, end < left.len ? end + 1 : end, left.len);
        }
    }
}
END_TEST

START_TEST(a_field_without_effect_is_listed_once_with_how_often)
{
    struct seen seen = scan(XDS_LISTENER, "name: a\nenable_mptcp: true\n", 3);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.times, 3);
    ck_assert_str_eq(seen.what, "envoy.config.listener.v3.Listener: enable_mptcp");
    ck_assert_str_eq(seen.label, "listener a");
}
END_TEST

START_TEST(a_field_inside_an_any_has_its_whole_path)
{
    struct seen seen = scan(
        XDS_LISTENER,
        "filter_chains: [{filters: [{typed_config: {\"@type\": type.googleapis.com/envoy."
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, tracing: "
        "{}}}]}]\n",
        1);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_str_eq(seen.what, "envoy.config.listener.v3.Listener: "
                                "filter_chains.filters.typed_config.tracing");
}
END_TEST

START_TEST(defaults_and_honoured_fields_are_not_listed)
{
    struct seen seen =
        scan(XDS_LISTENER, "name: a\nenable_mptcp: false\ntraffic_direction: INBOUND\n", 1);
    ck_assert_uint_eq(seen.count, 0);
}
END_TEST

START_TEST(a_value_that_says_what_the_proxy_does_is_not_listed)
{
    struct seen seen =
        scan(XDS_CLUSTER, "name: a\noutlier_detection: {enforcing_success_rate: 0}\n", 1);
    ck_assert_uint_eq(seen.count, 0);
    seen = scan(XDS_CLUSTER, "name: a\noutlier_detection: {enforcing_success_rate: 100}\n", 1);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_str_eq(seen.what,
                     "envoy.config.cluster.v3.Cluster: outlier_detection.enforcing_success_rate");
}
END_TEST

START_TEST(a_field_we_have_never_heard_of_is_listed_by_its_number)
{
    struct xds_rig rig;
    struct seen seen = {.count = 0};
    xds_rig_init(&rig);
    ProtobufCMessage *message =
        pbjson_unpack(xds_type_descriptor(XDS_LISTENER), STR("\xc0\x3e\x01"), &rig.arena);
    ignored_fields_scan(rig.decode.ignored, STR("listener a"), message);
    ignored_fields_visit(rig.decode.ignored, remember, &seen);
    ck_assert_str_eq(seen.what, "envoy.config.listener.v3.Listener: #1000");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(the_list_does_not_grow_without_bound)
{
    struct xds_rig rig;
    struct seen seen = {.count = 0};
    char what[32];
    xds_rig_init(&rig);
    for (unsigned i = 0; i < IGNORED_FIELDS_MAX + 100; i++) {
        snprintf(what, sizeof what, "field %u", i);
        ignored_fields_note(rig.decode.ignored, STR("x"), what);
    }
    ignored_fields_visit(rig.decode.ignored, remember, &seen);
    ck_assert_uint_eq(seen.count, IGNORED_FIELDS_MAX);
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), IGNORED_FIELDS_MAX + 100);
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("ignored_fields", every_name_in_the_table_is_a_field,
          a_field_without_effect_is_listed_once_with_how_often,
          a_field_inside_an_any_has_its_whole_path, defaults_and_honoured_fields_are_not_listed,
          a_value_that_says_what_the_proxy_does_is_not_listed,
          a_field_we_have_never_heard_of_is_listed_by_its_number,
          the_list_does_not_grow_without_bound)
