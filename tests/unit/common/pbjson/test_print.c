#include "common/pbjson/base64.h"
#include "tests/unit/common/pbjson/kinds.h"
#include "tests/unit/common/pbjson/pbjson_test.h"

#include <envoy/config/core/v3/base.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/struct.pb-c.h>

#define K &kinds_descriptor

static struct kinds kinds_new(void)
{
    struct kinds kinds;
    protobuf_c_message_init(&kinds_descriptor, &kinds);
    return kinds;
}

START_TEST(output_may_be_indented)
{
    static const struct pbjson_options options = {.indent = 2};
    check_reads_with(K, SYNTAX_JSON,
                     "{\"int32\":1,\"sub_message\":{},\"int32_list\":[1,2],\"by_bool\":{\"true\":"
                     "\"x\"},\"sub_message_list\":[{},{\"int32\":3}]}",
                     "{\n"
                     "  \"int32\": 1,\n"
                     "  \"sub_message\": {},\n"
                     "  \"int32_list\": [\n"
                     "    1,\n"
                     "    2\n"
                     "  ],\n"
                     "  \"sub_message_list\": [\n"
                     "    {},\n"
                     "    {\n"
                     "      \"int32\": 3\n"
                     "    }\n"
                     "  ],\n"
                     "  \"by_bool\": {\n"
                     "    \"true\": \"x\"\n"
                     "  }\n"
                     "}",
                     &options);
}
END_TEST

START_TEST(false_may_be_printed)
{
    static const struct pbjson_options options = {.print_false = true};
    check_reads_with(K, SYNTAX_JSON, "{\"int32\":1}", "{\"int32\":1,\"boolean\":false}", &options);
}
END_TEST

static bool is_secret(const ProtobufCMessageDescriptor *message,
                      const ProtobufCFieldDescriptor *field)
{
    if (message == &google__protobuf__any__descriptor)
        return true;
    return message == &kinds_descriptor &&
           (strcmp(field->name, "string") == 0 || strcmp(field->name, "string_list") == 0 ||
            strcmp(field->name, "by_string") == 0 || strcmp(field->name, "text") == 0);
}

static const struct pbjson_options redacting = {.redact = is_secret};

START_TEST(secrets_are_redacted_where_they_are_set)
{
    struct document document =
        document_read(K, SYNTAX_JSON,
                      STR("{\"string\":\"s\",\"bytes\":\"AA==\",\"string_list\":[\"s\"],\"by_"
                          "string\":{\"s\":{}},\"text\":\"s\",\"sub_message\":{\"string\":\"s\"}}"),
                      NULL);
    ck_assert_msg(document.err == 0, "%s", document.msg.text);
    check_prints(document.message, &redacting,
                 "{\"string\":\"[redacted]\",\"bytes\":\"AA==\",\"sub_message\":{\"string\":"
                 "\"[redacted]\"},\"string_list\":\"[redacted]\",\"by_string\":\"[redacted]\","
                 "\"text\":\"[redacted]\"}");
    document_done(&document);
    struct kinds empty = kinds_new();
    check_prints(&empty.base, &redacting, "{}");
}
END_TEST

START_TEST(secrets_in_an_any_are_redacted)
{
    struct pbjson_registry *registry = pbjson_registry_new();
    pbjson_registry_add(registry, K);
    const struct pbjson_options knowing = {.registry = registry, .redact = is_secret};
    struct document document = document_read(&google__protobuf__any__descriptor, SYNTAX_JSON,
                                             STR("{\"@type\":\"x/test.Kinds\",\"string\":\"s\"}"),
                                             &(struct pbjson_options){.registry = registry});
    ck_assert_msg(document.err == 0, "%s", document.msg.text);
    check_prints(document.message, &knowing,
                 "{\"@type\":\"x/test.Kinds\",\"string\":\"[redacted]\"}");
    check_prints(document.message, &redacting,
                 "{\"@type\":\"x/test.Kinds\",\"value\":\"[redacted]\"}");
    document_done(&document);
    pbjson_registry_free(registry);
}
END_TEST

START_TEST(an_enum_number_without_a_name_is_printed_as_a_number)
{
    struct kinds kinds = kinds_new();
    kinds.color = -7;
    check_prints(&kinds.base, NULL, "{\"color\":-7}");
}
END_TEST

START_TEST(a_map_is_sorted_and_the_last_of_equal_keys_wins)
{
    struct kinds_entry entries[4];
    struct kinds_entry *pointers[4];
    static const int32_t keys[] = {5, -5, 5, 3};
    static const char *const values[] = {"old", "b", "new", "d"};
    for (size_t i = 0; i < 4; i++) {
        protobuf_c_message_init(&by_int32_entry, &entries[i]);
        entries[i].key.int32 = keys[i];
        entries[i].value.string = (char *)(uintptr_t)values[i];
        pointers[i] = &entries[i];
    }
    struct kinds kinds = kinds_new();
    kinds.n_by_int32 = 4;
    kinds.by_int32 = pointers;
    check_prints(&kinds.base, NULL, "{\"by_int32\":{\"-5\":\"b\",\"3\":\"d\",\"5\":\"new\"}}");
}
END_TEST

START_TEST(an_entry_without_a_value_has_an_empty_one)
{
    struct arena arena;
    arena_init(&arena, 1024);
    /* by_string { key: "k" } */
    ProtobufCMessage *message = pbjson_unpack(K, STR("\xe2\x02\x03\n\x01k"), &arena);
    ck_assert_ptr_nonnull(message);
    check_prints(message, NULL, "{\"by_string\":{\"k\":{}}}");
    /* fields { key: "k" } of a Struct */
    message = pbjson_unpack(&google__protobuf__struct__descriptor, STR("\n\x03\n\x01k"), &arena);
    ck_assert_ptr_nonnull(message);
    check_prints(message, NULL, "{\"k\":null}");
    arena_done(&arena);
}
END_TEST

START_TEST(bytes_that_are_not_utf_8_do_not_break_the_output)
{
    struct kinds kinds = kinds_new();
    char text[] = "a\xff\"\\\x01\xc3";
    kinds.string = text;
    check_prints(&kinds.base, NULL, "{\"string\":\"a\\u00ff\\\"\\\\\\u0001\\u00c3\"}");
}
END_TEST

START_TEST(a_full_buffer_is_an_error)
{
    struct kinds kinds = kinds_new();
    kinds.int32 = 12345;
    struct buf out;
    buf_init(&out, 10);
    ck_assert_int_eq(pbjson_print(&kinds.base, NULL, &out), ERR_TOO_LARGE);
    buf_done(&out);
}
END_TEST

START_TEST(a_message_nested_too_deep_is_an_error)
{
    struct kinds messages[PBJSON_DEPTH_MAX + 1];
    for (size_t i = 0; i < PBJSON_DEPTH_MAX + 1; i++) {
        messages[i] = kinds_new();
        messages[i].sub_message = i ? &messages[i - 1] : NULL;
    }
    struct buf out;
    buf_init(&out, 1 << 16);
    ck_assert_int_eq(pbjson_print(&messages[PBJSON_DEPTH_MAX - 1].base, NULL, &out), 0);
    ck_assert_int_eq(pbjson_print(&messages[PBJSON_DEPTH_MAX].base, NULL, &out), ERR_TOO_LARGE);
    buf_done(&out);
}
END_TEST

/* --- unpack ------------------------------------------------------------------------------------*/

/* A Kinds in a Kinds, depth times. */
static void append_nested(struct buf *buf, unsigned depth)
{
    uint8_t bytes[4096];
    size_t start = sizeof bytes;
    for (unsigned i = 0; i < depth; i++) {
        size_t len = sizeof bytes - start;
        if (len >= 128)
            bytes[--start] = (uint8_t)(len >> 7);
        bytes[--start] = (uint8_t)(len >= 128 ? (len & 0x7f) | 0x80 : len);
        bytes[--start] = 1;
        bytes[--start] = ((17 << 3 | 2) & 0x7f) | 0x80; /* the tag: field 17, length-prefixed */
    }
    buf_append(buf, bytes + start, sizeof bytes - start);
}

START_TEST(unpack_refuses_deep_nesting)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct buf buf;
    buf_init(&buf, 4096);
    append_nested(&buf, PBJSON_WIRE_DEPTH_MAX);
    ck_assert_ptr_nonnull(pbjson_unpack(K, buf_str(&buf), &arena));
    buf_reset(&buf);
    append_nested(&buf, PBJSON_WIRE_DEPTH_MAX + 1);
    ck_assert_ptr_null(pbjson_unpack(K, buf_str(&buf), &arena));
    buf_done(&buf);
    arena_done(&arena);
}
END_TEST

/* count copies of text, unpacked; how many bytes the arena then holds, or 0 where it was refused.
 */
static size_t unpack_copies(const ProtobufCMessageDescriptor *descriptor, size_t count,
                            struct str text)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct buf buf;
    buf_init(&buf, 1 << 24);
    for (size_t i = 0; i < count; i++)
        buf_append_str(&buf, text);
    bool is_unpacked = pbjson_unpack(descriptor, buf_str(&buf), &arena);
    size_t bytes = arena_bytes(&arena);
    buf_done(&buf);
    arena_done(&arena);
    return is_unpacked ? bytes : 0;
}

START_TEST(unpack_refuses_what_would_take_much_memory)
{
    const struct str empty_element = STR("\xaa\x02\x00"); /* sub_message_list */
    size_t bytes = unpack_copies(K, 10000, empty_element);
    ck_assert_uint_gt(bytes, 10000 * sizeof(struct kinds));
    ck_assert_uint_le(bytes, PBJSON_DECODED_BYTES_MAX);
    ck_assert_uint_eq(unpack_copies(K, 500000, empty_element), 0);

    /* metadata { fields { key: "k" } } of a Node, again and again: each is merged with all before.
     */
    const ProtobufCMessageDescriptor *node = &envoy__config__core__v3__node__descriptor;
    const struct str merged = STR("\x1a\x05\n\x03\n\x01k");
    bytes = unpack_copies(node, 500, merged);
    ck_assert_uint_gt(bytes, 0);
    ck_assert_uint_le(bytes, PBJSON_DECODED_BYTES_MAX);
    ck_assert_uint_eq(unpack_copies(node, 10000, merged), 0);
}
END_TEST

START_TEST(unpack_refuses_what_is_cut_off)
{
    static const struct str cases[] = {
        STR("\x80"),                                         /* tag */
        STR("\x08"),                                         /* varint */
        STR("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), /* varint too long */
        STR("\x72"),                                         /* length */
        STR("\x72\x05g"),                                    /* text */
        STR("\x41\x01"),                                     /* 64 bits */
        STR("\x45\x01"),                                     /* 32 bits */
        STR("\x0b"),                                         /* group */
        STR("\x8a\x01\x02\x08"),                             /* sub-message, then nothing */
        STR("\x8a\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* length beyond all */
    };
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(!pbjson_unpack(K, cases[i], &arena), "case %zu", i);
    ck_assert_ptr_nonnull(pbjson_unpack(K, STR(""), &arena));
    arena_done(&arena);
}
END_TEST

START_TEST(base64_is_that_of_the_rfc)
{
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 64);
        base64_append(&out, str_from(cases[i][0]));
        ck_assert_str_eq_len(buf_str(&out), cases[i][1]);
        uint8_t bytes[64];
        size_t len;
        ck_assert(base64_decode(buf_str(&out), bytes, &len));
        ck_assert_uint_eq(len, strlen(cases[i][0]));
        ck_assert_int_eq(memcmp(bytes, cases[i][0], len), 0);
        buf_done(&out);
    }
}
END_TEST

TEST_MAIN("pbjson print", output_may_be_indented, false_may_be_printed,
          secrets_are_redacted_where_they_are_set, secrets_in_an_any_are_redacted,
          an_enum_number_without_a_name_is_printed_as_a_number,
          a_map_is_sorted_and_the_last_of_equal_keys_wins,
          an_entry_without_a_value_has_an_empty_one,
          bytes_that_are_not_utf_8_do_not_break_the_output, a_full_buffer_is_an_error,
          a_message_nested_too_deep_is_an_error, unpack_refuses_deep_nesting,
          unpack_refuses_what_would_take_much_memory, unpack_refuses_what_is_cut_off,
          base64_is_that_of_the_rfc)
