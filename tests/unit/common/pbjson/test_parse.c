#include "common/base/mem.h"
#include "tests/unit/common/pbjson/pbjson_test.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/core/v3/base.pb-c.h>
#include <envoy/config/route/v3/route_components.pb-c.h>
#include <google/protobuf/struct.pb-c.h>

#define CLUSTER &envoy__config__cluster__v3__cluster__descriptor
#define NODE &envoy__config__core__v3__node__descriptor
#define METADATA &envoy__config__core__v3__metadata__descriptor
#define ROUTE &envoy__config__route__v3__route__descriptor
#define VALUE &google__protobuf__value__descriptor

START_TEST(the_message_is_filled_and_lives_in_the_arena)
{
    struct document document =
        document_read(ROUTE, SYNTAX_JSON,
                      STR("{\"name\":\"r\",\"match\":{\"prefix\":\"/a\",\"case_sensitive\":false,"
                          "\"headers\":[{\"name\":\"h\",\"present_match\":true}]},"
                          "\"route\":{\"cluster\":\"c\",\"timeout\":\"1.5s\"}}"),
                      NULL);
    ck_assert_msg(document.err == 0, "%s", document.msg.text);
    const Envoy__Config__Route__V3__Route *route =
        (const Envoy__Config__Route__V3__Route *)document.message;
    ck_assert_str_eq(route->name, "r");
    ck_assert_int_eq(route->match->path_specifier_case,
                     ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX);
    ck_assert_str_eq(route->match->prefix, "/a");
    ck_assert_ptr_nonnull(route->match->case_sensitive);
    ck_assert(!route->match->case_sensitive->value);
    ck_assert_uint_eq(route->match->n_headers, 1);
    ck_assert_str_eq(route->match->headers[0]->name, "h");
    ck_assert_int_eq(route->action_case, ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE);
    ck_assert_str_eq(route->route->cluster, "c");
    ck_assert_int_eq(route->route->timeout->seconds, 1);
    ck_assert_int_eq(route->route->timeout->nanos, 500000000);
    document_done(&document);
}
END_TEST

START_TEST(both_spellings_of_a_field_are_read_and_the_original_is_printed)
{
    check_reads(CLUSTER, "{\"lbPolicy\":\"MAGLEV\"}", "{\"lb_policy\":\"MAGLEV\"}");
    check_reads(CLUSTER, "{\"lb_policy\":\"MAGLEV\"}", "{\"lb_policy\":\"MAGLEV\"}");
    check_refuses(CLUSTER, "{\"LbPolicy\":\"MAGLEV\"}",
                  "LbPolicy: unknown field; did you mean \"lb_policy\"?");
}
END_TEST

START_TEST(a_field_given_in_both_spellings_is_refused)
{
    check_refuses(CLUSTER, "{\"lb_policy\":\"MAGLEV\",\"lbPolicy\":\"RANDOM\"}",
                  "\"lb_policy\" and \"lbPolicy\" are the same field");
}
END_TEST

START_TEST(a_name_given_twice_is_refused)
{
    check_refuses(NODE, "{\"id\":\"a\",\n\"id\":\"b\"}",
                  "line 2, column 4: duplicate object key near '\"id\"'");
}
END_TEST

START_TEST(fields_are_printed_in_the_order_of_their_numbers)
{
    check_reads(NODE, "{\"client_features\":[\"x\"],\"cluster\":\"c\",\"id\":\"i\"}",
                "{\"id\":\"i\",\"cluster\":\"c\",\"client_features\":[\"x\"]}");
}
END_TEST

START_TEST(null_means_absent)
{
    check_reads(NODE,
                "{\"id\":null,\"locality\":null,\"client_features\":null,\"metadata\":null,"
                "\"user_agent_version\":null,\"user_agent_build_version\":{}}",
                "{\"user_agent_build_version\":{}}");
    check_reads(METADATA, "{\"filter_metadata\":null}", "{}");
    check_refuses(NODE, "{\"client_features\":[\"a\",null]}",
                  "client_features[1]: must not be null");
    check_refuses(NODE, "null", "expected an object, got null");
}
END_TEST

START_TEST(two_members_of_a_oneof_are_refused_by_name)
{
    check_refuses(ROUTE, "{\"match\":{\"prefix\":\"/\",\"path\":\"/a\"}}",
                  "match: only one of \"prefix\" and \"path\" may be given");
    check_refuses(NODE, "{\"user_agent_build_version\":{},\"userAgentVersion\":\"1\"}",
                  "only one of \"user_agent_build_version\" and \"user_agent_version\" may be "
                  "given");
}
END_TEST

START_TEST(a_member_of_a_oneof_keeps_its_default)
{
    check_reads(ROUTE, "{\"match\":{\"prefix\":\"\"}}", "{\"match\":{\"prefix\":\"\"}}");
    struct document document =
        document_read(ROUTE, SYNTAX_JSON, STR("{\"match\":{\"prefix\":\"\"}}"), NULL);
    ck_assert_int_eq(document.err, 0);
    ck_assert_uint_eq(protobuf_c_message_get_packed_size(document.message), 4);
    document_done(&document);
}
END_TEST

START_TEST(an_unknown_field_is_refused_with_a_suggestion)
{
    check_refuses(CLUSTER, "{\"lb_polcy\":1}",
                  "lb_polcy: unknown field; did you mean \"lb_policy\"?");
    check_refuses(ROUTE, "{\"match\":{\"headers\":[{\"name\":\"a\"},{\"nme\":\"b\"}]}}",
                  "match.headers[1].nme: unknown field; did you mean \"name\"?");
    check_refuses(NODE, "{\"zzzzzzzzzzzz\":1}", "zzzzzzzzzzzz: unknown field of Node");
    check_refuses(NODE, "{\"\":1}", ": unknown field of Node");
}
END_TEST

static void note_path(const char *path, void *arg)
{
    struct buf *paths = arg;
    buf_printf(paths, "%s;", path);
}

START_TEST(unknown_fields_may_be_ignored_and_are_told)
{
    struct buf paths;
    buf_init(&paths, 1024);
    const struct pbjson_options options = {.ignore_unknown_fields = true,
                                           .on_unknown_field = note_path,
                                           .on_unknown_field_arg = &paths};
    check_reads_with(NODE, SYNTAX_JSON,
                     "{\"id\":\"i\",\"new\":{\"x\":[1]},\"extensions\":[{},{\"newer\":1}]}",
                     "{\"id\":\"i\",\"extensions\":[{},{}]}", &options);
    ck_assert_str_eq_len(buf_str(&paths), "new;extensions[1].newer;");
    check_refuses_with(NODE, SYNTAX_JSON, "{\"new\":1,\"id\":2}", ERR_INVALID,
                       "id: expected a string, got a number", &options);
    buf_done(&paths);
}
END_TEST

START_TEST(wrong_types_are_refused_with_the_path)
{
    check_refuses(ROUTE, "{\"match\":{\"prefix\":5}}",
                  "match.prefix: expected a string, got a number");
    check_refuses(ROUTE, "{\"match\":[]}", "match: expected an object, got an array");
    check_refuses(ROUTE, "{\"match\":{\"headers\":{}}}",
                  "match.headers: expected an array, got an object");
    check_refuses(METADATA, "{\"filter_metadata\":{\"a.b\":1}}",
                  "filter_metadata[\"a.b\"]: expected an object, got a number");
    check_refuses(NODE, "[]", "expected an object, got an array");
    check_refuses(NODE, "\"x\"", "expected an object, got a string");
}
END_TEST

START_TEST(an_enum_with_many_names_lists_the_first_few)
{
    check_refuses(CLUSTER, "{\"type\":\"STRICTDNS\"}",
                  "type: \"STRICTDNS\" is not one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, "
                  "ORIGINAL_DST; did you mean \"STRICT_DNS\"?");
    check_refuses(CLUSTER, "{\"lb_policy\":\"zzz\"}",
                  "lb_policy: \"zzz\" is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, "
                  "MAGLEV, CLUSTER_PROVIDED, …");
}
END_TEST

START_TEST(syntax_errors_have_a_line_and_a_column)
{
    check_refuses(NODE, "", "the document is empty");
    check_refuses(NODE, "{\n  \"id\" 5}", "line 2, column 8: ':' expected near '5'");
    check_refuses(NODE, "{} {}", "line 1, column 4: end of file expected near '{'");
    check_refuses(NODE, "{\"id\":\"a}", "line 1, column 9: premature end of input near '\"a}'");
}
END_TEST

START_TEST(long_text_in_a_sentence_is_shortened_and_escaped)
{
    char text[512] = "{\"type\":\"", sentence[1024];
    memset(text + strlen(text), 'x', 79);
    snprintf(text + strlen(text), sizeof text - strlen(text), "äöü\"}");
    snprintf(sentence, sizeof sentence,
             "type: \"%.79s…\" is not one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST",
             text + 9);
    check_refuses(CLUSTER, text, sentence);
    check_refuses(METADATA, "{\"filter_metadata\":{\"a\\nb\":1}}",
                  "filter_metadata[\"a\\nb\"]: expected an object, got a number");
}
END_TEST

/* count times text, then value, then count times end. */
static char *nest(size_t count, const char *text, const char *value, const char *end)
{
    struct buf buf;
    buf_init(&buf, PBJSON_INPUT_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        buf_append_str(&buf, str_from(text));
    buf_append_str(&buf, str_from(value));
    for (size_t i = 0; i < count; i++)
        buf_append_str(&buf, str_from(end));
    buf_append_char(&buf, '\0');
    return buf.data;
}

START_TEST(nesting_is_limited)
{
    char *good = nest(PBJSON_DEPTH_MAX, "[", "", "]");
    check_reads(VALUE, good, good);
    char *deep = nest(PBJSON_DEPTH_MAX + 1, "[", "", "]");
    check_refuses_with(VALUE, SYNTAX_JSON, deep, ERR_TOO_LARGE, "line 1: nested more than 64 deep",
                       NULL);
    char *unclosed = nest(100000, "[{\"a\":", "", "");
    check_refuses_with(VALUE, SYNTAX_JSON, unclosed, ERR_TOO_LARGE,
                       "line 1: nested more than 64 deep", NULL);
    char *brackets_in_a_string = nest(1, "\"",
                                      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                                      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[",
                                      "\"");
    check_reads(VALUE, brackets_in_a_string, brackets_in_a_string);
    mem_free(good);
    mem_free(deep);
    mem_free(unclosed);
    mem_free(brackets_in_a_string);
}
END_TEST

START_TEST(the_size_of_a_document_is_limited)
{
    const struct pbjson_options options = {.input_bytes_max = 10};
    check_reads_with(NODE, SYNTAX_JSON, "{\"id\":\"a\"}", "{\"id\":\"a\"}", &options);
    check_refuses_with(NODE, SYNTAX_JSON, "{\"id\":\"ab\"}", ERR_TOO_LARGE,
                       "the document has 11 bytes, more than 10", &options);
}
END_TEST

START_TEST(the_number_of_values_is_limited)
{
    char *many = nest(PBJSON_NODES_MAX, "0,", "0]", "");
    many[0] = '[';
    check_refuses_with(VALUE, SYNTAX_JSON, many, ERR_TOO_LARGE, "line 1: more than 524288 values",
                       NULL);
    mem_free(many);
}
END_TEST

START_TEST(the_memory_of_a_message_is_limited)
{
    struct buf buf;
    buf_init(&buf, PBJSON_INPUT_BYTES_MAX);
    buf_append_str(&buf, STR("{\"weighted_clusters\":{\"clusters\":[{}"));
    for (int i = 0; i < 500000; i++)
        buf_append_str(&buf, STR(",{}"));
    buf_append_str(&buf, STR("]}}"));
    ck_assert(!buf.is_overflown);
    struct document document = document_read(&envoy__config__route__v3__route_action__descriptor,
                                             SYNTAX_JSON, buf_str(&buf), NULL);
    ck_assert_int_eq(document.err, ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(document.msg.text, "takes more than 64 MiB of memory"));
    ck_assert_uint_le(arena_bytes(&document.arena), PBJSON_DECODED_BYTES_MAX * 2);
    document_done(&document);
    buf_done(&buf);
}
END_TEST

START_TEST(the_error_message_may_be_left_out)
{
    struct arena arena;
    arena_init(&arena, 1024);
    ProtobufCMessage *message = NULL;
    ck_assert_int_eq(pbjson_parse(NODE, STR("{\"x\":1}"), NULL, &arena, &message, NULL),
                     ERR_INVALID);
    ck_assert_int_eq(pbjson_parse(NODE, STR("{"), NULL, &arena, &message, NULL), ERR_INVALID);
    ck_assert_int_eq(pbjson_parse_yaml(NODE, STR("{"), NULL, &arena, &message, NULL), ERR_INVALID);
    ck_assert_ptr_null(message);
    arena_done(&arena);
}
END_TEST

/* Wrong names, numbers, enum values, durations and syntax, each with a word that must not be told.
 */
START_TEST(of_a_document_with_secrets_nothing_is_quoted)
{
    static const char *const documents[] = {
        "{\"s3cret\":1}",
        "{\"lb_policy\":\"s3cret\"}",
        "{\"connect_timeout\":\"s3cret\"}",
        "{\"connect_timeout\":\"s3crets\"}",
        "{\"per_connection_buffer_limit_bytes\":\"s3cret\"}",
        "{\"name\":\"s3cret",
        "{\"name\":s3cret}",
        "{\"metadata\":{\"typed_filter_metadata\":{\"x\":{\"@type\":\"a/s3cret\",\"b\":1}}}}",
        "{\"metadata\":{\"typed_filter_metadata\":{\"x\":{\"@type\":\"s3cret\"}}}}",
        ("{\"metadata\":{\"typed_filter_metadata\":{\"x\":{\"@type\":\"a/"
         "google.protobuf.Duration\","
         "\"s3cret\":1}}}}"),
        "{\"metadata\":{\"filter_metadata\":{\"s3cret\":5}}}",
    };
    const struct pbjson_options options = {.has_secrets = true};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        struct arena arena;
        struct errmsg msg = {0};
        ProtobufCMessage *message;
        arena_init(&arena, 1024);
        int err = pbjson_parse(&envoy__config__cluster__v3__cluster__descriptor,
                               str_from(documents[i]), &options, &arena, &message, &msg);
        ck_assert_int_eq(err, ERR_INVALID);
        ck_assert_msg(msg.text[0] && !strstr(msg.text, "s3cret"), "%s", msg.text);
        arena_done(&arena);
    }
}
END_TEST

TEST_MAIN("pbjson parse", of_a_document_with_secrets_nothing_is_quoted,
          the_message_is_filled_and_lives_in_the_arena,
          both_spellings_of_a_field_are_read_and_the_original_is_printed,
          a_field_given_in_both_spellings_is_refused, a_name_given_twice_is_refused,
          fields_are_printed_in_the_order_of_their_numbers, null_means_absent,
          two_members_of_a_oneof_are_refused_by_name, a_member_of_a_oneof_keeps_its_default,
          an_unknown_field_is_refused_with_a_suggestion, unknown_fields_may_be_ignored_and_are_told,
          wrong_types_are_refused_with_the_path, an_enum_with_many_names_lists_the_first_few,
          syntax_errors_have_a_line_and_a_column, long_text_in_a_sentence_is_shortened_and_escaped,
          nesting_is_limited, the_size_of_a_document_is_limited, the_number_of_values_is_limited,
          the_memory_of_a_message_is_limited, the_error_message_may_be_left_out)
