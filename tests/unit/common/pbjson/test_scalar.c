#include "tests/unit/common/pbjson/kinds.h"
#include "tests/unit/common/pbjson/pbjson_test.h"

#include <stdio.h>

#include <float.h>

#define K &kinds_descriptor

START_TEST(every_scalar_is_read_and_printed)
{
    check_reads(
        K,
        "{\"int32\":-1,\"sint32\":-2,\"sfixed32\":-3,\"int64\":-4,\"sint64\":-5,"
        "\"sfixed64\":-6,\"uint32\":7,\"fixed32\":8,\"uint64\":9,\"fixed64\":10,"
        "\"float_number\":0.5,\"double_number\":0.25,\"boolean\":true,"
        "\"string\":\"a\\u00e4\",\"bytes\":\"aGk=\",\"color\":\"RED\"}",
        "{\"int32\":-1,\"sint32\":-2,\"sfixed32\":-3,\"int64\":\"-4\",\"sint64\":\"-5\","
        "\"sfixed64\":\"-6\",\"uint32\":7,\"fixed32\":8,\"uint64\":\"9\",\"fixed64\":\"10\","
        "\"float_number\":0.5,\"double_number\":0.25,\"boolean\":true,"
        "\"string\":\"aä\",\"bytes\":\"aGk=\",\"color\":\"RED\"}");
}
END_TEST

START_TEST(every_scalar_may_be_repeated)
{
    const char *text =
        "{\"int32_list\":[0,1],\"sint32_list\":[-1],\"sfixed32_list\":[2],"
        "\"int64_list\":[\"0\",\"-9223372036854775808\"],\"sint64_list\":[\"3\"],"
        "\"sfixed64_list\":[\"4\"],\"uint32_list\":[4294967295,0],\"fixed32_list\":[5],"
        "\"uint64_list\":[\"18446744073709551615\"],\"fixed64_list\":[\"6\"],"
        "\"float_number_list\":[0.1,0,\"NaN\"],\"double_number_list\":[0.1,-0.0,\"-Infinity\"],"
        "\"boolean_list\":[false,true],\"string_list\":[\"\",\"x\"],\"bytes_list\":[\"\",\"AA==\"],"
        "\"color_list\":[\"COLOR_UNSPECIFIED\",\"GREEN\",7],\"sub_message_list\":[{},{\"int32\":1}]"
        "}";
    check_reads(K, text, text);
}
END_TEST

START_TEST(defaults_are_not_printed)
{
    check_reads(K,
                "{\"int32\":0,\"uint64\":\"0\",\"double_number\":0.0,\"boolean\":false,"
                "\"string\":\"\",\"bytes\":\"\",\"color\":\"COLOR_UNSPECIFIED\",\"int32_list\":[],"
                "\"by_int32\":{}}",
                "{}");
}
END_TEST

START_TEST(integers_are_read_from_numbers_and_strings)
{
    check_reads(K, "{\"int32\":\"-12\",\"int64\":12,\"uint32\":8e1,\"uint64\":\"007\"}",
                "{\"int32\":-12,\"int64\":\"12\",\"uint32\":80,\"uint64\":\"7\"}");
    check_reads(K, "{\"sint32\":-2147483648,\"int32\":2147483647}",
                "{\"int32\":2147483647,\"sint32\":-2147483648}");
}
END_TEST

START_TEST(integers_out_of_range_are_refused_with_the_range)
{
    check_refuses(K, "{\"int32\":2147483648}",
                  "int32: 2147483648 is out of range (-2147483648 to 2147483647)");
    check_refuses(K, "{\"sint32\":\"-2147483649\"}",
                  "sint32: \"-2147483649\" is out of range (-2147483648 to 2147483647)");
    check_refuses(K, "{\"uint32\":4294967296}",
                  "uint32: 4294967296 is out of range (0 to 4294967295)");
    check_refuses(K, "{\"fixed32\":-1}", "fixed32: -1 is out of range (0 to 4294967295)");
    check_refuses(K, "{\"uint64\":\"18446744073709551616\"}",
                  "uint64: \"18446744073709551616\" is out of range (0 to 18446744073709551615)");
    check_refuses(K, "{\"int64\":1e19}",
                  "int64: 1e+19 is out of range (-9223372036854775808 to 9223372036854775807)");
    check_refuses(K, "{\"int64\":-1e300}",
                  "int64: -1e+300 is out of range (-9223372036854775808 to 9223372036854775807)");
    check_refuses(K, "{\"sub_message_list\":[{},{\"uint32\":70000000000}]}",
                  "sub_message_list[1].uint32: 70000000000 is out of range (0 to 4294967295)");
}
END_TEST

START_TEST(integers_that_are_not_whole_numbers_are_refused)
{
    check_refuses(K, "{\"int32\":1.5}", "int32: 1.5 is not a whole number");
    check_refuses(K, "{\"int32\":\"\"}", "int32: \"\" is not a whole number");
    check_refuses(K, "{\"int32\":\"-\"}", "int32: \"-\" is not a whole number");
    check_refuses(K, "{\"int32\":\" 1\"}", "int32: \" 1\" is not a whole number");
    check_refuses(K, "{\"uint64\":\"0x1\"}", "uint64: \"0x1\" is not a whole number");
    check_refuses(K, "{\"int32\":true}", "int32: expected a whole number, got true");
    check_refuses(K, "{\"int32\":[1]}", "int32: expected a whole number, got an array");
}
END_TEST

START_TEST(an_integer_beyond_64_bits_is_a_syntax_error)
{
    check_refuses(K, "{\"double_number\":\n 18446744073709551616}",
                  "line 2, column 21: the number is too big; write it in quotes");
}
END_TEST

START_TEST(reals_are_read_from_numbers_and_strings)
{
    check_reads(K, "{\"double_number\":3,\"float_number\":\"-1.5e2\"}",
                "{\"float_number\":-150,\"double_number\":3}");
    check_reads(K, "{\"double_number\":\"NaN\",\"float_number\":\"Infinity\"}",
                "{\"float_number\":\"Infinity\",\"double_number\":\"NaN\"}");
    check_refuses(K, "{\"double_number\":\"inf\"}", "double_number: \"inf\" is not a number");
    check_refuses(K, "{\"double_number\":\"0x10\"}", "double_number: \"0x10\" is not a number");
    check_refuses(K, "{\"double_number\":\"1e999\"}", "double_number: \"1e999\" is not a number");
    check_refuses(K, "{\"double_number\":\"1-2\"}", "double_number: \"1-2\" is not a number");
    check_refuses(K, "{\"double_number\":\"\"}", "double_number: \"\" is not a number");
    check_refuses(K, "{\"double_number\":false}", "double_number: expected a number, got false");
    check_refuses(K, "{\"float_number\":1e39}",
                  "float_number: 1e+39 is out of range (-3.40282e+38 to 3.40282e+38)");
}
END_TEST

START_TEST(reals_are_printed_with_as_many_digits_as_they_need)
{
    static const struct {
        double real;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1e15, "1e+15"},
                 {123456789012345678.0, "1.2345678901234568e+17"},
                 {0.30000000000000004, "0.30000000000000004"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {DBL_TRUE_MIN, "4.94065645841247e-324"},
                 {-0.0, "-0.0"},
                 {42, "42"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kinds kinds;
        protobuf_c_message_init(&kinds_descriptor, &kinds);
        kinds.choice_case = 53;
        kinds.real = cases[i].real;
        char expected[64];
        snprintf(expected, sizeof expected, "{\"real\":%s}", cases[i].text);
        check_prints(&kinds.base, NULL, expected);
    }
}
END_TEST

START_TEST(booleans_are_true_and_false_only)
{
    check_refuses(K, "{\"boolean\":1}", "boolean: expected true or false, got a number");
    check_refuses(K, "{\"boolean\":\"true\"}", "boolean: expected true or false, got a string");
}
END_TEST

START_TEST(strings_are_strings_only)
{
    check_refuses(K, "{\"string\":1}", "string: expected a string, got a number");
    check_refuses(K, "{\"string\":{}}", "string: expected a string, got an object");
    check_refuses(K, "{\"string\":\"a\\u0000b\"}",
                  "line 1, column 20: a string must not hold a NUL character");
}
END_TEST

START_TEST(surrogates_come_in_pairs_only)
{
    check_reads(K, "{\"string\":\"\\ud83d\\ude00\"}", "{\"string\":\"\xf0\x9f\x98\x80\"}");
    static const char *const strings[] = {"\\ud83d", "\\ude00", "\\ud83d\\ud83d", "\\ud83dx",
                                          "\xed\xa0\xbd\xed\xb8\x80"};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct arena arena;
        struct errmsg msg;
        ProtobufCMessage *message;
        char json[64];
        snprintf(json, sizeof json, "{\"string\":\"%s\"}", strings[i]);
        arena_init(&arena, 1024);
        ck_assert_int_eq(pbjson_parse(K, str_from(json), NULL, &arena, &message, &msg),
                         ERR_INVALID);
        arena_done(&arena);
    }
}
END_TEST

START_TEST(bytes_are_base64_of_either_alphabet)
{
    check_reads(K, "{\"bytes\":\"-_8\"}", "{\"bytes\":\"+/8=\"}");
    check_reads(K, "{\"bytes\":\"+/8=\"}", "{\"bytes\":\"+/8=\"}");
    check_reads(K, "{\"bytes\":\"AAAA\"}", "{\"bytes\":\"AAAA\"}");
    check_refuses(K, "{\"bytes\":\"A\"}", "bytes: is not base64");
    check_refuses(K, "{\"bytes\":\"AA=\"}", "bytes: is not base64");
    check_refuses(K, "{\"bytes\":\"A===\"}", "bytes: is not base64");
    check_refuses(K, "{\"bytes\":\"AA AA\"}", "bytes: is not base64");
    check_refuses(K, "{\"bytes\":5}", "bytes: expected a string of base64, got a number");
}
END_TEST

START_TEST(enums_are_read_by_name_and_by_number)
{
    check_reads(K, "{\"color\":2}", "{\"color\":\"GREEN\"}");
    check_reads(K, "{\"color\":-1}", "{\"color\":\"DARK_RED\"}");
    check_reads(K, "{\"color\":99}", "{\"color\":99}");
    check_refuses(K, "{\"color\":\"GREN\"}",
                  "color: \"GREN\" is not one of DARK_RED, COLOR_UNSPECIFIED, RED, GREEN; did you "
                  "mean \"GREEN\"?");
    check_refuses(K, "{\"color\":\"mauve\"}",
                  "color: \"mauve\" is not one of DARK_RED, COLOR_UNSPECIFIED, RED, GREEN");
    check_refuses(K, "{\"color\":1.5}", "color: 1.5 is not a whole number");
    check_refuses(K, "{\"color\":true}", "color: expected a name of Color, got true");
    check_refuses(K, "{\"color\":4294967296}",
                  "color: 4294967296 is out of range (-2147483648 to 2147483647)");
}
END_TEST

START_TEST(maps_may_have_keys_of_other_types_and_are_sorted_by_key)
{
    check_reads(K,
                "{\"by_int32\":{\"10\":\"a\",\"9\":\"b\",\"-1\":\"c\"},"
                "\"by_uint64\":{\"18446744073709551615\":\"a\",\"2\":\"b\"},"
                "\"by_bool\":{\"true\":\"a\",\"false\":\"b\"},"
                "\"by_string\":{\"b\":{},\"a\":{\"int32\":1}}}",
                "{\"by_int32\":{\"-1\":\"c\",\"9\":\"b\",\"10\":\"a\"},"
                "\"by_uint64\":{\"2\":\"b\",\"18446744073709551615\":\"a\"},"
                "\"by_bool\":{\"false\":\"b\",\"true\":\"a\"},"
                "\"by_string\":{\"a\":{\"int32\":1},\"b\":{}}}");
    check_refuses(K, "{\"by_int32\":{\"x\":\"a\"}}",
                  "by_int32[\"x\"]: \"x\" is not a whole number");
    check_refuses(K, "{\"by_bool\":{\"yes\":\"a\"}}",
                  "by_bool[\"yes\"]: the key must be true or false");
    check_refuses(K, "{\"by_int32\":{\"1\":\"a\",\"01\":\"b\"}}",
                  "by_int32: two keys mean the same");
    check_refuses(K, "{\"by_string\":{\"a\":null}}", "by_string[\"a\"]: must not be null");
    check_refuses(K, "{\"by_string\":[]}", "by_string: expected an object, got an array");
}
END_TEST

TEST_MAIN("pbjson scalars", every_scalar_is_read_and_printed, every_scalar_may_be_repeated,
          defaults_are_not_printed, integers_are_read_from_numbers_and_strings,
          integers_out_of_range_are_refused_with_the_range,
          integers_that_are_not_whole_numbers_are_refused,
          an_integer_beyond_64_bits_is_a_syntax_error, reals_are_read_from_numbers_and_strings,
          reals_are_printed_with_as_many_digits_as_they_need, booleans_are_true_and_false_only,
          strings_are_strings_only, surrogates_come_in_pairs_only,
          bytes_are_base64_of_either_alphabet, enums_are_read_by_name_and_by_number,
          maps_may_have_keys_of_other_types_and_are_sorted_by_key)
