#include "tests/unit/common/pbjson/pbjson_test.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/core/v3/base.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/struct.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>

#define ANY &google__protobuf__any__descriptor
#define DURATION &google__protobuf__duration__descriptor
#define TIMESTAMP &google__protobuf__timestamp__descriptor
#define STRUCT &google__protobuf__struct__descriptor
#define VALUE &google__protobuf__value__descriptor
#define LIST &google__protobuf__list_value__descriptor
#define NODE &envoy__config__core__v3__node__descriptor
#define CLUSTER &envoy__config__cluster__v3__cluster__descriptor

START_TEST(a_duration_is_seconds_with_an_s)
{
    check_reads(DURATION, "\"5s\"", "\"5s\"");
    check_reads(DURATION, "\"1.5s\"", "\"1.500s\"");
    check_reads(DURATION, "\"-0.000001s\"", "\"-0.000001s\"");
    check_reads(DURATION, "\"0.000000001s\"", "\"0.000000001s\"");
    check_reads(DURATION, "\"0s\"", "\"0s\"");
    check_reads(DURATION, "\"-315576000000s\"", "\"-315576000000s\"");
    static const char *const wrong[] = {"",    "5",   "s",    "5ms",           "5 s", "+5s", "--5s",
                                        "5.s", ".5s", "1e3s", "0.0000000001s", "5ss", "1,5s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64], sentence[128];
        snprintf(text, sizeof text, "\"%s\"", wrong[i]);
        snprintf(sentence, sizeof sentence, "\"%s\" is not a duration such as \"1.5s\"", wrong[i]);
        check_refuses(DURATION, text, sentence);
    }
    check_refuses(CLUSTER, "{\"connect_timeout\":5}",
                  "connect_timeout: expected a duration such as \"1.5s\", got a number");
    check_refuses(DURATION, "\"315576000001s\"",
                  "\"315576000001s\" is out of range (-315576000000s to 315576000000s)");
}
END_TEST

START_TEST(a_timestamp_is_rfc_3339)
{
    check_reads(TIMESTAMP, "\"1970-01-01T00:00:00Z\"", "\"1970-01-01T00:00:00Z\"");
    check_reads(TIMESTAMP, "\"2024-02-29T23:59:59.5Z\"", "\"2024-02-29T23:59:59.500Z\"");
    check_reads(TIMESTAMP, "\"2024-03-01T01:30:00+02:00\"", "\"2024-02-29T23:30:00Z\"");
    check_reads(TIMESTAMP, "\"1999-12-31t20:00:00-05:00\"", "\"2000-01-01T01:00:00Z\"");
    check_reads(TIMESTAMP, "\"0001-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\"");
    check_reads(TIMESTAMP, "\"9999-12-31T23:59:59.999999999Z\"",
                "\"9999-12-31T23:59:59.999999999Z\"");
    static const char *const wrong[] = {
        "",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00+0200",
        "2024-01-01 00:00:00Z",
        "2024-1-01T00:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00Zx",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64], sentence[128];
        snprintf(text, sizeof text, "\"%s\"", wrong[i]);
        snprintf(sentence, sizeof sentence, "\"%s\" is not a time such as \"2024-01-31T12:00:00Z\"",
                 wrong[i]);
        check_refuses(TIMESTAMP, text, sentence);
    }
}
END_TEST

START_TEST(every_day_of_ten_thousand_years_is_printed_and_read_back)
{
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct buf out;
    buf_init(&out, 64);
    struct arena arena;
    arena_init(&arena, 4096);
    for (timestamp.seconds = -62135596800; timestamp.seconds <= 253402300799;
         timestamp.seconds += 86400 * 13 + 3601) {
        buf_reset(&out);
        arena_reset(&arena);
        ck_assert_int_eq(pbjson_print(&timestamp.base, NULL, &out), 0);
        ProtobufCMessage *message = NULL;
        ck_assert_int_eq(pbjson_parse(TIMESTAMP, buf_str(&out), NULL, &arena, &message, NULL), 0);
        ck_assert_int_eq(((Google__Protobuf__Timestamp *)message)->seconds, timestamp.seconds);
    }
    arena_done(&arena);
    buf_done(&out);
}
END_TEST

START_TEST(times_outside_their_range_are_printed_as_fields)
{
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    duration.seconds = 1;
    duration.nanos = -1;
    check_prints(&duration.base, NULL, "{\"seconds\":\"1\",\"nanos\":-1}");
    duration.seconds = INT64_MIN;
    duration.nanos = INT32_MIN;
    check_prints(&duration.base, NULL,
                 "{\"seconds\":\"-9223372036854775808\",\"nanos\":-2147483648}");
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.nanos = 1000000000;
    check_prints(&timestamp.base, NULL, "{\"nanos\":1000000000}");
}
END_TEST

START_TEST(a_struct_is_any_json_object)
{
    const char *text = "{\"a\":null,\"b\":true,\"c\":-1.5,\"d\":\"x\",\"e\":[1,[],{}],\"f\":{\"g\":"
                       "null}}";
    check_reads(STRUCT, text, text);
    check_reads(NODE, "{\"metadata\":{\"z\":1,\"a\":{}}}", "{\"metadata\":{\"a\":{},\"z\":1}}");
    check_refuses(STRUCT, "[]", "expected an object, got an array");
    check_reads(LIST, "[null,1]", "[null,1]");
    check_refuses(LIST, "{}", "expected an array, got an object");
    check_reads(VALUE, "null", "null");
    check_reads(VALUE, "7", "7");
}
END_TEST

START_TEST(a_value_without_a_kind_is_printed_as_null)
{
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    check_prints(&value.base, NULL, "null");
}
END_TEST

START_TEST(wrappers_are_their_value)
{
    check_reads(&google__protobuf__bool_value__descriptor, "false", "false");
    check_reads(&google__protobuf__int32_value__descriptor, "\"-5\"", "-5");
    check_reads(&google__protobuf__uint32_value__descriptor, "0", "0");
    check_reads(&google__protobuf__int64_value__descriptor, "5", "\"5\"");
    check_reads(&google__protobuf__uint64_value__descriptor, "\"5\"", "\"5\"");
    check_reads(&google__protobuf__float_value__descriptor, "0.5", "0.5");
    check_reads(&google__protobuf__double_value__descriptor, "\"NaN\"", "\"NaN\"");
    check_reads(&google__protobuf__string_value__descriptor, "\"\"", "\"\"");
    check_reads(&google__protobuf__bytes_value__descriptor, "\"AA\"", "\"AA==\"");
    check_reads(CLUSTER, "{\"per_connection_buffer_limit_bytes\":0}",
                "{\"per_connection_buffer_limit_bytes\":0}");
    check_refuses(CLUSTER, "{\"per_connection_buffer_limit_bytes\":{\"value\":1}}",
                  "per_connection_buffer_limit_bytes: expected a whole number, got an object");
}
END_TEST

static struct pbjson_registry *registry;
static struct pbjson_options options;

static void with_registry(void)
{
    registry = pbjson_registry_new();
    pbjson_registry_add(registry, NODE);
    pbjson_registry_add(registry, CLUSTER);
    options = (struct pbjson_options){.registry = registry};
}

#define NODE_URL "type.googleapis.com/envoy.config.core.v3.Node"
#define CLUSTER_URL "type.googleapis.com/envoy.config.cluster.v3.Cluster"

START_TEST(the_registry_finds_types_by_name_and_by_url)
{
    with_registry();
    ck_assert_ptr_eq(pbjson_registry_find(registry, STR("envoy.config.core.v3.Node")), NODE);
    ck_assert_ptr_eq(pbjson_registry_find(registry, STR(NODE_URL)), NODE);
    ck_assert_ptr_eq(pbjson_registry_find(registry, STR("a/b/envoy.config.core.v3.Node")), NODE);
    ck_assert_ptr_null(pbjson_registry_find(registry, STR("envoy.config.core.v3.Nod")));
    ck_assert_ptr_null(pbjson_registry_find(registry, STR("")));
    ck_assert_ptr_eq(pbjson_registry_find(NULL, STR("x/google.protobuf.Duration")), DURATION);
    ck_assert_ptr_null(pbjson_registry_find(NULL, STR(NODE_URL)));
    pbjson_registry_free(registry);
    pbjson_registry_free(NULL);
}
END_TEST

START_TEST(an_any_holds_a_message_beside_its_type)
{
    with_registry();
    check_reads_with(ANY, SYNTAX_JSON, "{\"id\":\"i\",\"@type\":\"" NODE_URL "\"}",
                     "{\"@type\":\"" NODE_URL "\",\"id\":\"i\"}", &options);
    check_reads_with(ANY, SYNTAX_JSON, "{\"@type\":\"" NODE_URL "\"}",
                     "{\"@type\":\"" NODE_URL "\"}", &options);
    struct document document =
        document_read(ANY, SYNTAX_JSON, STR("{\"@type\":\"" NODE_URL "\",\"id\":\"i\"}"), &options);
    const Google__Protobuf__Any *any = (const Google__Protobuf__Any *)document.message;
    ck_assert_str_eq(any->type_url, NODE_URL);
    ck_assert_uint_eq(any->value.len, 3);
    ck_assert_int_eq(memcmp(any->value.data, "\n\1i", 3), 0);
    document_done(&document);
    pbjson_registry_free(registry);
}
END_TEST

START_TEST(an_any_may_hold_an_any_and_well_known_types)
{
    with_registry();
    const char *text =
        "{\"@type\":\"" CLUSTER_URL "\",\"name\":\"c\",\"typed_extension_protocol_options\":{"
        "\"a\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\"},"
        "\"b\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"" NODE_URL
        "\",\"id\":\"i\"}},"
        "\"c\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"k\":[null]}},"
        "\"d\":{\"@type\":\"x/google.protobuf.Empty\"},"
        "\"e\":{}}}";
    check_reads_with(ANY, SYNTAX_JSON, text, text, &options);
    pbjson_registry_free(registry);
}
END_TEST

START_TEST(an_any_of_unknown_type_is_base64)
{
    const char *text = "{\"@type\":\"a.b/c.D\",\"value\":\"CgFp\"}";
    check_reads(ANY, text, text);
    check_refuses(ANY, "{\"@type\":\"a.b/c.D\",\"value\":\"!\"}", "value: is not base64");
    check_refuses(ANY, "{\"@type\":\"a.b/c.D\"}", "@type: unknown type \"a.b/c.D\"");
    check_refuses(ANY, "{\"@type\":\"a.b/c.D\",\"x\":1}", "@type: unknown type \"a.b/c.D\"");
    check_refuses(ANY, "{\"@type\":\"a.b/c.D\",\"value\":{}}", "@type: unknown type \"a.b/c.D\"");
}
END_TEST

static void note_path(const char *path, void *arg)
{
    struct buf *paths = arg;
    buf_printf(paths, "%s;", path);
}

START_TEST(an_any_of_unknown_type_loses_its_content_when_unknown_fields_are_ignored)
{
    struct buf paths;
    buf_init(&paths, 1024);
    const struct pbjson_options lenient = {.ignore_unknown_fields = true,
                                           .on_unknown_field = note_path,
                                           .on_unknown_field_arg = &paths};
    check_reads_with(CLUSTER, SYNTAX_JSON,
                     "{\"typed_extension_protocol_options\":{\"k\":{\"@type\":\"a/c.D\",\"x\":1}}}",
                     "{\"typed_extension_protocol_options\":{\"k\":{\"@type\":\"a/c.D\",\"value\":"
                     "\"\"}}}",
                     &lenient);
    ck_assert_str_eq_len(buf_str(&paths), "typed_extension_protocol_options[\"k\"];");
    buf_done(&paths);
}
END_TEST

START_TEST(an_any_that_is_wrong_says_why)
{
    with_registry();
    static const char *const cases[][2] = {
        {"[]", "expected an object with \"@type\", got an array"},
        {"{\"id\":\"i\"}", "@type: is missing"},
        {"{\"@type\":1}", "@type: expected a string, got a number"},
        {"{\"@type\":\"envoy.config.core.v3.Node\"}",
         "@type: must be a type URL such as \"type.googleapis.com/envoy.config.core.v3.Node\""},
        {"{\"@type\":\"\"}",
         "@type: must be a type URL such as \"type.googleapis.com/package.Message\""},
        {"{\"@type\":\"" NODE_URL "\",\"id\":1}", "id: expected a string, got a number"},
        {"{\"@type\":\"" NODE_URL "\",\"idd\":1}", "idd: unknown field; did you mean \"id\"?"},
        {"{\"@type\":\"" CLUSTER_URL
         "\",\"typed_extension_protocol_options\":{\"x\":{\"@type\":\"" NODE_URL
         "\",\"extensions\":[{\"name\":2}]}}}",
         "typed_extension_protocol_options[\"x\"].extensions[0].name: expected a string, got a "
         "number"},
        {"{\"@type\":\"x/google.protobuf.Duration\"}", "value: is missing"},
        {"{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\",\"seconds\":1}",
         "seconds: unknown field; Duration stands in \"value\""},
        {"{\"@type\":\"x/google.protobuf.Duration\",\"value\":1}",
         "value: expected a duration such as \"1.5s\", got a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refuses_with(ANY, SYNTAX_JSON, cases[i][0], ERR_INVALID, cases[i][1], &options);
    pbjson_registry_free(registry);
}
END_TEST

START_TEST(an_any_whose_bytes_are_not_its_type_is_printed_as_base64)
{
    with_registry();
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = (char *)(uintptr_t)NODE_URL;
    any.value = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)(uintptr_t) "\n\7i"};
    check_prints(&any.base, &options, "{\"@type\":\"" NODE_URL "\",\"value\":\"Cgdp\"}");
    pbjson_registry_free(registry);
}
END_TEST

TEST_MAIN("pbjson well-known types", a_duration_is_seconds_with_an_s, a_timestamp_is_rfc_3339,
          every_day_of_ten_thousand_years_is_printed_and_read_back,
          times_outside_their_range_are_printed_as_fields, a_struct_is_any_json_object,
          a_value_without_a_kind_is_printed_as_null, wrappers_are_their_value,
          the_registry_finds_types_by_name_and_by_url, an_any_holds_a_message_beside_its_type,
          an_any_may_hold_an_any_and_well_known_types, an_any_of_unknown_type_is_base64,
          an_any_of_unknown_type_loses_its_content_when_unknown_fields_are_ignored,
          an_any_that_is_wrong_says_why, an_any_whose_bytes_are_not_its_type_is_printed_as_base64)
