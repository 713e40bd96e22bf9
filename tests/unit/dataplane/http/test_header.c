/* Interning of names and the operations of a header list, also against the obvious model. */
#include "dataplane/http/header.h"

#include "tests/support/test.h"

#include <stdio.h>

static struct arena arena;

static struct header_list new_list(void)
{
    struct header_list list;
    arena_init(&arena, 1024);
    header_list_init(&list, &arena);
    return list;
}

/* The list as "name=value;name=value;". */
static void expect_list(const struct header_list *list, const char *expected)
{
    char text[1024] = "";
    size_t len = 0;
    uint64_t present = 0;
    for (uint32_t i = 0; i < list->len; i++) {
        const struct header *header = &list->items[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s=%.*s;", STR_ARGS(header->name),
                                STR_ARGS(header->value));
        present |= 1ull << header->id;
    }
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(list->present, present);
}

START_TEST(every_interned_name_is_found_and_no_other)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        struct str name = header_name((enum header_id)id);
        ck_assert_uint_eq(header_id_of(name), id);
        char changed[64];
        for (size_t i = 0; i < name.len; i++) {
            memcpy(changed, name.data, name.len);
            changed[i] = '?';
            ck_assert_uint_eq(header_id_of((struct str){changed, name.len}), HEADER_OTHER);
        }
        memcpy(changed, name.data, name.len);
        changed[name.len] = 'x';
        ck_assert_uint_eq(header_id_of((struct str){changed, name.len + 1}), HEADER_OTHER);
        ck_assert_uint_eq(header_id_of(str_slice(name, 0, name.len - 1)), HEADER_OTHER);
    }
    ck_assert_uint_eq(header_id_of(STR("")), HEADER_OTHER);
    ck_assert_uint_eq(header_id_of(STR("Host")), HEADER_OTHER);
}
END_TEST

START_TEST(names_and_values_fit_for_the_wire_are_told_from_others)
{
    ck_assert(header_name_is_valid(STR("x-a_b.c!#$%&'*+^`|~09")));
    static const struct str bad_names[] = {{"", 0},    {"A", 1},     {"a b", 3},  {"a:", 2},
                                           {"a\0", 2}, {"a\r\n", 3}, {"\xc3", 1}, {"a\"", 2}};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        ck_assert(!header_name_is_valid(bad_names[i]));
    ck_assert(header_value_is_valid(STR("")));
    ck_assert(header_value_is_valid(STR(" \t a \x80\xff 0123456789")));
    for (int c = 0; c < 256; c++) {
        bool is_valid = c == '\t' || (c >= 0x20 && c != 0x7f);
        for (size_t at = 0; at < 20; at++) {
            char value[20];
            memset(value, '\t', sizeof value);
            value[at] = (char)c;
            ck_assert_int_eq(header_value_is_valid((struct str){value, sizeof value}), is_valid);
        }
    }
}
END_TEST

START_TEST(lines_keep_their_order)
{
    struct header_list list = new_list();
    header_list_add_name(&list, STR("x-b"), STR("1"));
    header_list_add(&list, HEADER_ACCEPT, STR("2"));
    header_list_add_name(&list, STR("x-b"), STR("3"));
    header_list_add_name(&list, STR("x_c"), STR("4"));
    expect_list(&list, "x-b=1;accept=2;x-b=3;x_c=4;");
    ck_assert_uint_eq(list.items[3].flags, HEADER_HAS_UNDERSCORE);
    const struct header *header = header_list_find_name(&list, STR("x-b"));
    ck_assert_str_eq_len(header->value, "1");
    header = header_list_find_next(&list, header);
    ck_assert_str_eq_len(header->value, "3");
    ck_assert_ptr_null(header_list_find_next(&list, header));
    ck_assert_ptr_null(header_list_find(&list, HEADER_COOKIE));
    ck_assert_ptr_null(header_list_find_name(&list, STR("x-d")));
    ck_assert_ptr_null(header_list_value(&list, HEADER_COOKIE).data);
    arena_done(&arena);
}
END_TEST

START_TEST(set_replaces_all_lines_at_the_place_of_the_first)
{
    struct header_list list = new_list();
    header_list_set(&list, HEADER_COOKIE, STR("1"));
    header_list_set_name(&list, STR("x-a"), STR("2"));
    header_list_add(&list, HEADER_COOKIE, STR("3"));
    header_list_add_name(&list, STR("x-b"), STR("4"));
    header_list_set(&list, HEADER_COOKIE, STR("5"));
    expect_list(&list, "cookie=5;x-a=2;x-b=4;");
    header_list_set_name(&list, STR("x-a"), STR("6"));
    expect_list(&list, "cookie=5;x-a=6;x-b=4;");
    arena_done(&arena);
}
END_TEST

START_TEST(append_joins_with_the_last_line)
{
    struct header_list list = new_list();
    header_list_append(&list, HEADER_VIA, STR("a"));
    header_list_append(&list, HEADER_VIA, STR("b"));
    header_list_append(&list, HEADER_X_FORWARDED_FOR, STR(""));
    header_list_append(&list, HEADER_X_FORWARDED_FOR, STR("c"));
    header_list_add(&list, HEADER_VIA, STR("d"));
    header_list_append(&list, HEADER_VIA, STR("e"));
    expect_list(&list, "via=a, b;x-forwarded-for=c;via=d, e;");
    arena_done(&arena);
}
END_TEST

START_TEST(remove_takes_all_lines_of_a_name)
{
    struct header_list list = new_list();
    header_list_add(&list, HEADER_COOKIE, STR("1"));
    header_list_add_name(&list, STR("x-a"), STR("2"));
    header_list_add(&list, HEADER_COOKIE, STR("3"));
    header_list_add_name(&list, STR("x-b"), STR("4"));
    ck_assert_uint_eq(header_list_remove(&list, HEADER_COOKIE), 2);
    expect_list(&list, "x-a=2;x-b=4;");
    ck_assert_uint_eq(header_list_remove(&list, HEADER_COOKIE), 0);
    ck_assert_uint_eq(header_list_remove_name(&list, STR("x-a")), 1);
    expect_list(&list, "x-b=4;");
    ck_assert_uint_eq(header_list_remove_name(&list, STR("x-b")), 1);
    expect_list(&list, "");
    header_list_add(&list, HEADER_COOKIE, STR("1"));
    header_list_clear(&list);
    expect_list(&list, "");
    arena_done(&arena);
}
END_TEST

/* --- against a model: an array of names and numbers --------------------------------------- */

enum { MODEL_MAX = 400 };
static const char *const model_names[] = {"host", "via", "cookie", "x-a", "x-b", "x-request-id"};
enum { MODEL_NAMES = sizeof model_names / sizeof *model_names };

struct model {
    struct {
        size_t name;
        char value[8];
    } items[MODEL_MAX];
    size_t len;
};

static void model_remove(struct model *model, size_t name, size_t from)
{
    size_t kept = from;
    for (size_t i = from; i < model->len; i++)
        if (model->items[i].name != name)
            model->items[kept++] = model->items[i];
    model->len = kept;
}

static size_t model_find(const struct model *model, size_t name)
{
    size_t i = 0;
    while (i < model->len && model->items[i].name != name)
        i++;
    return i;
}

static void model_add(struct model *model, size_t name, const char *value)
{
    model->items[model->len].name = name;
    snprintf(model->items[model->len++].value, sizeof model->items->value, "%s", value);
}

static void expect_same(const struct header_list *list, const struct model *model)
{
    ck_assert_uint_eq(list->len, model->len);
    for (size_t i = 0; i < model->len; i++) {
        ck_assert_str_eq_len(list->items[i].name, model_names[model->items[i].name]);
        ck_assert_str_eq_len(list->items[i].value, model->items[i].value);
    }
    for (size_t name = 0; name < MODEL_NAMES; name++) {
        size_t at = model_find(model, name);
        const struct header *found = header_list_find_name(list, str_from(model_names[name]));
        ck_assert_ptr_eq(found, at < model->len ? &list->items[at] : NULL);
    }
}

START_TEST(a_list_behaves_like_an_array_of_pairs)
{
    struct header_list list = new_list();
    struct model model = {0};
    srandom(5);
    for (int step = 0; step < 5000; step++) {
        size_t name = (size_t)random() % MODEL_NAMES;
        struct str name_str = str_from(model_names[name]);
        char *value = arena_printf(&arena, "%d", step);
        size_t at = model_find(&model, name);
        switch (model.len == MODEL_MAX ? 2 : random() % 5) {
        case 0:
            header_list_set_name(&list, name_str, str_from(value));
            if (at == model.len) {
                model_add(&model, name, value);
                break;
            }
            snprintf(model.items[at].value, sizeof model.items->value, "%s", value);
            model_remove(&model, name, at + 1);
            break;
        case 1:
        case 2:
            if (random() % 4)
                break;
            header_list_remove_name(&list, name_str);
            model_remove(&model, name, 0);
            break;
        default:
            header_list_add_name(&list, name_str, str_from(value));
            model_add(&model, name, value);
        }
        expect_same(&list, &model);
    }
    arena_done(&arena);
}
END_TEST

/* --- connection options ----------------------------------------------------------------------- */

START_TEST(hop_by_hop_lines_go_and_the_rest_stays)
{
    struct header_list list = new_list();
    header_list_add(&list, HEADER_CONNECTION, STR("close, X-Hop, ,"));
    header_list_add_name(&list, STR("x-hop"), STR("1"));
    header_list_add(&list, HEADER_KEEP_ALIVE, STR("timeout=5"));
    header_list_add(&list, HEADER_PROXY_CONNECTION, STR("close"));
    header_list_add(&list, HEADER_UPGRADE, STR("h2c"));
    header_list_add(&list, HEADER_HTTP2_SETTINGS, STR("x"));
    header_list_add(&list, HEADER_TE, STR("gzip"));
    header_list_add(&list, HEADER_ACCEPT, STR("a"));
    header_list_add(&list, HEADER_CONNECTION, STR("x-more"));
    header_list_add_name(&list, STR("x-more"), STR("2"));
    header_list_strip_hop_by_hop(&list);
    expect_list(&list, "accept=a;");
    header_list_add(&list, HEADER_TE, STR("gzip, Trailers"));
    header_list_strip_hop_by_hop(&list);
    expect_list(&list, "accept=a;te=trailers;");
    arena_done(&arena);
}
END_TEST

START_TEST(a_connection_line_cannot_strip_framing_or_identity)
{
    struct header_list list = new_list();
    header_list_add(&list, HEADER_CONNECTION,
                    STR("X-Forwarded-For, Authorization, Content-Length, Cookie, X-Api-Key, "
                        "x-forwarded-whatever, X-Envoy-Y, transfer-encoding, connection"));
    header_list_add(&list, HEADER_X_FORWARDED_FOR, STR("1"));
    header_list_add(&list, HEADER_AUTHORIZATION, STR("2"));
    header_list_add(&list, HEADER_CONTENT_LENGTH, STR("3"));
    header_list_add(&list, HEADER_COOKIE, STR("4"));
    header_list_add(&list, HEADER_X_API_KEY, STR("5"));
    header_list_add_name(&list, STR("x-forwarded-whatever"), STR("6"));
    header_list_add_name(&list, STR("x-envoy-y"), STR("7"));
    header_list_strip_hop_by_hop(&list);
    expect_list(&list, "x-forwarded-for=1;authorization=2;content-length=3;cookie=4;x-api-key=5;"
                       "x-forwarded-whatever=6;x-envoy-y=7;");
    arena_done(&arena);
}
END_TEST

START_TEST(elements_of_a_list_come_trimmed_and_empty_ones_are_skipped)
{
    struct str list = STR(" ,a ,\tb c,, d");
    static const char *const elements[] = {"a", "b c", "d", "", ""};
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        ck_assert(str_equal(header_next_token(&list), str_from(elements[i])));
}
END_TEST

TEST_MAIN("header", every_interned_name_is_found_and_no_other,
          names_and_values_fit_for_the_wire_are_told_from_others, lines_keep_their_order,
          set_replaces_all_lines_at_the_place_of_the_first, append_joins_with_the_last_line,
          remove_takes_all_lines_of_a_name, a_list_behaves_like_an_array_of_pairs,
          hop_by_hop_lines_go_and_the_rest_stays,
          a_connection_line_cannot_strip_framing_or_identity,
          elements_of_a_list_come_trimmed_and_empty_ones_are_skipped)
