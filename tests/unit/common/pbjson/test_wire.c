#include "common/pbjson/wire.h"

#include "tests/support/test.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/struct.pb-c.h>

static const ProtobufCMessageDescriptor *const listener =
    &envoy__config__listener__v3__listener__descriptor;

static int check(const ProtobufCMessageDescriptor *descriptor, struct str bytes, struct errmsg *msg)
{
    struct arena arena;
    struct pbjson_registry *types = pbjson_registry_new();
    ProtobufCMessage *message;
    pbjson_registry_add(types, &envoy__config__cluster__v3__cluster__descriptor);
    arena_init(&arena, 1024);
    int err = wire_unpack(descriptor, bytes, types, &arena, &message, msg);
    arena_done(&arena);
    pbjson_registry_free(types);
    return err;
}

static void expect_refused(struct str bytes, const char *sentence)
{
    struct errmsg msg = {.text = ""};
    ck_assert_int_ne(check(listener, bytes, &msg), 0);
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(a_message_is_unpacked)
{
    struct errmsg msg;
    ck_assert_int_eq(check(listener,
                           STR("\x0a\x04"
                               "name"),
                           &msg),
                     0);
    ck_assert_int_eq(check(listener, STR(""), &msg), 0);
    ck_assert_int_eq(check(listener,
                           STR("\x0a\x06"
                               "na\xc3\xb6\xc3\xb6"),
                           &msg),
                     0);
}
END_TEST

START_TEST(a_nul_in_a_string_is_refused)
{
    expect_refused(STR("\x0a\x04na\0e"), "name: has a NUL byte");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_refused)
{
    expect_refused(STR("\x0a\x02\xc3("), "name: is not UTF-8");
    expect_refused(STR("\x0a\x02\xc0\x80"), "name: is not UTF-8");
    expect_refused(STR("\x0a\x03\xed\xa0\x80"), "name: is not UTF-8");
    expect_refused(STR("\x0a\x04\xf4\x90\x80\x80"), "name: is not UTF-8");
    expect_refused(STR("\x0a\x01\xe2"), "name: is not UTF-8");
}
END_TEST

START_TEST(what_is_cut_off_or_no_message_is_refused)
{
    expect_refused(STR("\x0a\x05name"), "is not a protobuf message");
    expect_refused(STR("\x0a"), "is not a protobuf message");
    expect_refused(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                   "is not a protobuf message");
    expect_refused(STR("\x0b\x0c"), "is not a protobuf message"); /* groups */
    expect_refused(STR("\x12\x02\x0a\x05"), "address: is not a protobuf message");
}
END_TEST

START_TEST(a_message_given_twice_for_one_field_is_refused)
{
    expect_refused(STR("\x12\x00\x12\x00"), "address: is given twice");
    struct errmsg msg;
    ck_assert_int_eq(check(listener, STR("\x1a\x00\x1a\x00"), &msg), 0); /* repeated */
}
END_TEST

START_TEST(a_known_any_is_looked_into)
{
    /* Filter{typed_config: Any{Listener{name: "\0"}}} inside a chain. */
#define ANY "\x0a\x33type.googleapis.com/envoy.config.cluster.v3.Cluster\x12\x03\x0a\x01\0"
    struct errmsg msg = {.text = ""};
    struct str bytes = STR("\x1a\x5c\x1a\x5a\x22\x58" ANY);
    /* The lengths above are made right here, for whatever ANY is long. */
    char copy[sizeof("\x1a\x5c\x1a\x5a\x22\x58" ANY)];
    size_t any_len = sizeof(ANY) - 1;
    memcpy(copy, bytes.data, bytes.len);
    copy[1] = (char)(any_len + 4);
    copy[3] = (char)(any_len + 2);
    copy[5] = (char)any_len;
    ck_assert_int_ne(check(listener, (struct str){.data = copy, .len = bytes.len}, &msg), 0);
    ck_assert_str_eq(msg.text, "filter_chains.filters.typed_config.name: has a NUL byte");
}
END_TEST

/* A Struct of nested lists, depth deep. */
static struct str nested_value(char *room, size_t size, unsigned depth)
{
    size_t len = 0;
    char *end = room + size;
    for (unsigned i = 0; i < depth; i++) {
        /* Value.list_value{values} around what is there, built from the inside out. */
        for (int tag = 0; tag < 2; tag++) {
            char head[8];
            size_t head_len = 0;
            head[head_len++] = (char)(tag == 0 ? 0x0a : 0x32);
            for (size_t left = len;; left >>= 7) {
                head[head_len++] = (char)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
                if (left <= 0x7f)
                    break;
            }
            ck_assert_uint_lt(len + head_len, size);
            memcpy(end - len - head_len, head, head_len);
            len += head_len;
        }
    }
    return (struct str){.data = end - len, .len = len};
}

START_TEST(messages_too_deep_inside_each_other_are_refused)
{
    static char room[512 * 1024];
    struct errmsg msg = {.text = ""};
    const ProtobufCMessageDescriptor *value = &google__protobuf__value__descriptor;
    ck_assert_int_eq(check(value, nested_value(room, sizeof room, 40), &msg), 0);
    ck_assert_int_eq(check(value, nested_value(room, sizeof room, 50000), &msg), ERR_TOO_LARGE);
    ck_assert_str_eq(msg.text, "messages lie too deep inside each other");
}
END_TEST

START_TEST(few_bytes_cannot_ask_for_much_memory)
{
    enum { COUNT = 8 * 1024 * 1024 };
    char *bytes = malloc(2 * COUNT);
    struct errmsg msg = {.text = ""};
    for (size_t i = 0; i < COUNT; i++) {
        bytes[2 * i] = 0x1a; /* an empty filter chain */
        bytes[2 * i + 1] = 0;
    }
    ck_assert_int_eq(check(listener, (struct str){.data = bytes, .len = 2 * COUNT}, &msg),
                     ERR_TOO_LARGE);
    ck_assert_str_eq(msg.text, "takes too much memory");
    free(bytes);
}
END_TEST

TEST_MAIN("wire", a_message_is_unpacked, a_nul_in_a_string_is_refused,
          bytes_that_are_not_utf8_are_refused, what_is_cut_off_or_no_message_is_refused,
          a_message_given_twice_for_one_field_is_refused, a_known_any_is_looked_into,
          messages_too_deep_inside_each_other_are_refused, few_bytes_cannot_ask_for_much_memory)
