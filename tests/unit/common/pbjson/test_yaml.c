#include "common/base/mem.h"
#include "tests/unit/common/pbjson/pbjson_test.h"

#include <envoy/config/bootstrap/v3/bootstrap.pb-c.h>
#include <envoy/config/core/v3/base.pb-c.h>
#include <google/protobuf/struct.pb-c.h>

#define VALUE &google__protobuf__value__descriptor
#define NODE &envoy__config__core__v3__node__descriptor

#define check_yaml(text, expected) check_reads_with(VALUE, SYNTAX_YAML, text, expected, NULL)
#define check_refuses_yaml(text, sentence)                                                         \
    check_refuses_with(VALUE, SYNTAX_YAML, text, ERR_INVALID, sentence, NULL)

START_TEST(plain_scalars_have_the_types_of_the_core_schema)
{
    check_yaml("[~, null, Null, NULL, ]", "[null,null,null,null]");
    check_yaml("a:", "{\"a\":null}");
    check_yaml("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]");
    check_yaml("[0, -1, +2, 012, 0o14, 0xfF]", "[0,-1,2,12,12,255]");
    check_yaml("[1.5, -.5, +1., 1e3, 1E-2, 0.0]", "[1.5,-0.5,1,1000,0.01,0]");
    check_yaml("[.inf, -.INF, +.Inf, .NaN]", "[\"Infinity\",\"-Infinity\",\"Infinity\",\"NaN\"]");
}
END_TEST

START_TEST(everything_else_is_a_string)
{
    check_yaml("[yes, no, on, off, y, tRue, nULL]",
               "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"tRue\",\"nULL\"]");
    check_yaml(
        "[1s, 1.2.3, 0o8, 0x, 0xg, ., -, +, 1e, 1e+, e3, 1_000, 12:30, 2024-01-01, .e1, -0x1]",
        "[\"1s\",\"1.2.3\",\"0o8\",\"0x\",\"0xg\",\".\",\"-\",\"+\",\"1e\",\"1e+\",\"e3\","
        "\"1_000\",\"12:30\",\"2024-01-01\",\".e1\",\"-0x1\"]");
    check_yaml("['true', \"12\", '', \"~\"]", "[\"true\",\"12\",\"\",\"~\"]");
    check_yaml("a: |\n  1\nb: >\n  2\n", "{\"a\":\"1\\n\",\"b\":\"2\\n\"}");
}
END_TEST

START_TEST(keys_are_text)
{
    check_yaml("{1: a, true: b, ~: c, 'q': d}",
               "{\"1\":\"a\",\"q\":\"d\",\"true\":\"b\",\"~\":\"c\"}");
    check_refuses_yaml("[a]: b", "line 1, column 1: a key must be a scalar");
    check_refuses_yaml("a: 1\nb: 2\na: 3", "line 3, column 1: the key is given twice");
    check_refuses_yaml("&x a: 1", "line 1, column 1: a key must not have an anchor");
    check_refuses_yaml("a: &x 1\n*x : 2", "line 2, column 1: a key must not be an alias");
    check_refuses_yaml("a: &x {b: 1}\nc:\n  <<: *x",
                       "line 3, column 3: merge keys (<<) are not taken");
    check_refuses_yaml("\"a\\0b\": 1", "line 1, column 1: a key holds a NUL character");
}
END_TEST

START_TEST(json_is_read_as_yaml)
{
    check_yaml("{\"a\": [1, \"2\", null, true], \"b\": {}}",
               "{\"a\":[1,\"2\",null,true],\"b\":{}}");
}
END_TEST

START_TEST(tags_of_the_core_schema_are_obeyed_and_others_refused)
{
    check_yaml("[!!str 12, ! true, !!int \"12\", !!float 1, !!bool \"true\", !!null '']",
               "[\"12\",\"true\",12,1,true,null]");
    check_yaml("!!map {a: !!seq [1]}", "{\"a\":[1]}");
    check_refuses_yaml("!!int x", "line 1, column 1: the value is not what its tag says");
    check_refuses_yaml("!!float x", "line 1, column 1: the value is not what its tag says");
    check_refuses_yaml("!!bool 1", "line 1, column 1: the value is not what its tag says");
    check_refuses_yaml("!!binary aGk=", "line 1, column 1: the value is not what its tag says");
    check_refuses_yaml("!mine x", "line 1, column 1: unknown tag");
    check_refuses_yaml("!!set {a}", "line 1, column 1: unknown tag");
    check_refuses_yaml("!!map []", "line 1, column 1: unknown tag");
}
END_TEST

START_TEST(aliases_stand_for_what_was_anchored)
{
    check_yaml("a: &x {k: [1]}\nb: *x\nc: &y 5\nd: *y\ne: &x 6\nf: *x",
               "{\"a\":{\"k\":[1]},\"b\":{\"k\":[1]},\"c\":5,\"d\":5,\"e\":6,\"f\":6}");
    check_refuses_yaml("a: *x", "line 1, column 4: the alias has no anchor before it");
    check_refuses_yaml("a: &x [*x]", "line 1, column 8: the alias has no anchor before it");
}
END_TEST

START_TEST(aliases_count_as_what_they_stand_for)
{
    struct buf buf;
    buf_init(&buf, 4096);
    buf_append_str(&buf, STR("a0: &a0 [0,0,0,0,0,0,0,0,0,0]\n"));
    for (int i = 1; i < 10; i++)
        buf_printf(&buf, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
                   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    buf_append_char(&buf, '\0');
    check_refuses_with(VALUE, SYNTAX_YAML, buf.data, ERR_TOO_LARGE,
                       "line 6, column 34: too many values", NULL);
    buf_done(&buf);
}
END_TEST

START_TEST(aliases_nest_no_deeper_than_the_limit)
{
    struct buf buf;
    buf_init(&buf, 4096);
    buf_append_str(&buf, STR("- &a0 []\n"));
    for (int i = 1; i < 62; i++)
        buf_printf(&buf, "- &a%d [*a%d]\n", i, i - 1);
    struct document document = document_read(VALUE, SYNTAX_YAML, buf_str(&buf), NULL);
    ck_assert_msg(document.err == 0, "%s", document.msg.text);
    document_done(&document);
    buf_append_str(&buf, STR("- &a62 [*a61]\n- &a63 [*a62]\n"));
    document = document_read(VALUE, SYNTAX_YAML, buf_str(&buf), NULL);
    ck_assert_int_eq(document.err, ERR_TOO_LARGE);
    ck_assert_str_eq(document.msg.text, "line 64, column 9: nested too deep");
    document_done(&document);
    buf_done(&buf);
}
END_TEST

START_TEST(nesting_is_limited)
{
    char text[2 * PBJSON_DEPTH_MAX + 3];
    memset(text, '[', PBJSON_DEPTH_MAX);
    memset(text + PBJSON_DEPTH_MAX, ']', PBJSON_DEPTH_MAX);
    text[2 * PBJSON_DEPTH_MAX] = '\0';
    check_yaml(text, text);
    memset(text, '[', PBJSON_DEPTH_MAX + 1);
    memset(text + PBJSON_DEPTH_MAX + 1, ']', PBJSON_DEPTH_MAX + 1);
    text[2 * PBJSON_DEPTH_MAX + 2] = '\0';
    check_refuses_with(VALUE, SYNTAX_YAML, text, ERR_TOO_LARGE,
                       "line 1, column 65: nested too deep", NULL);
}
END_TEST

START_TEST(there_is_one_document)
{
    check_yaml("---\na: 1\n...\n", "{\"a\":1}");
    check_refuses_yaml("a: 1\n---\nb: 2\n", "line 2, column 1: a second document");
    check_refuses_yaml("", "the document is empty");
    check_refuses_yaml("# only a comment\n", "the document is empty");
}
END_TEST

START_TEST(directives_are_few)
{
    check_yaml("%YAML 1.2\n%TAG !e! tag:yaml.org,2002:\n---\n[!e!str 1, \"%TAG%TAG%TAG%TAG%TAG"
               "%TAG%TAG%TAG%TAG\"]",
               "[\"1\",\"%TAG%TAG%TAG%TAG%TAG%TAG%TAG%TAG%TAG\"]");
    check_refuses_with(VALUE, SYNTAX_YAML,
                       "%TAG !a! x\n%TAG !b! x\r%TAG !c! x\n%TAG !d! x\n%TAG !e! x\n"
                       "%TAG !f! x\n%TAG !g! x\n%TAG !h! x\n%TAG !i! x\n--- a",
                       ERR_TOO_LARGE, "more than 8 %TAG directives", NULL);
}
END_TEST

START_TEST(syntax_errors_have_a_line_and_a_column)
{
    check_refuses_yaml("a: [1\nb: 2", "line 2, column 2: did not find expected ',' or ']'");
    check_refuses_yaml("a: b: c",
                       "line 1, column 5: mapping values are not allowed in this context");
    check_refuses_yaml("a: \xff", "byte 3: invalid leading UTF-8 octet");
    check_refuses_yaml("\"a\\0b\"", "line 1, column 1: a string holds a NUL character");
    check_refuses_yaml("[99999999999999999999]",
                       "line 1, column 2: the number is too big; write it in quotes");
    check_refuses_yaml("[1e999]", "line 1, column 2: the number is too big; write it in quotes");
    check_refuses_yaml("{a: [1, {b: 'x", "line 1, column 15: found unexpected end of stream");
}
END_TEST

START_TEST(errors_of_fields_have_a_path_as_in_json)
{
    check_refuses_with(NODE, SYNTAX_YAML, "id: 12\n", ERR_INVALID,
                       "id: expected a string, got a number", NULL);
    check_refuses_with(NODE, SYNTAX_YAML, "locality:\n  zon: a\n", ERR_INVALID,
                       "locality.zon: unknown field; did you mean \"zone\"?", NULL);
}
END_TEST

START_TEST(an_envoy_bootstrap_is_read)
{
    static const char text[] = "node: {id: n1, cluster: public}\n"
                               "admin:\n"
                               "  address:\n"
                               "    socket_address: { address: 127.0.0.1, port_value: 9901 }\n"
                               "static_resources:\n"
                               "  clusters:\n"
                               "  - name: xds\n"
                               "    type: STRICT_DNS\n"
                               "    connect_timeout: 0.25s\n"
                               "    per_connection_buffer_limit_bytes: 0x8000\n";
    check_reads_with(
        &envoy__config__bootstrap__v3__bootstrap__descriptor, SYNTAX_YAML, text,
        "{\"node\":{\"id\":\"n1\",\"cluster\":\"public\"},\"static_resources\":{\"clusters\":[{"
        "\"name\":\"xds\",\"type\":\"STRICT_DNS\",\"connect_timeout\":\"0.250s\","
        "\"per_connection_buffer_limit_bytes\":32768}]},\"admin\":{\"address\":{"
        "\"socket_address\":{\"address\":\"127.0.0.1\",\"port_value\":9901}}}}",
        NULL);
}
END_TEST

TEST_MAIN("pbjson yaml", plain_scalars_have_the_types_of_the_core_schema,
          everything_else_is_a_string, keys_are_text, json_is_read_as_yaml,
          tags_of_the_core_schema_are_obeyed_and_others_refused,
          aliases_stand_for_what_was_anchored, aliases_count_as_what_they_stand_for,
          aliases_nest_no_deeper_than_the_limit, nesting_is_limited, there_is_one_document,
          directives_are_few, syntax_errors_have_a_line_and_a_column,
          errors_of_fields_have_a_path_as_in_json, an_envoy_bootstrap_is_read)
