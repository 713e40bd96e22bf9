#include "common/base/list.h"

#include "tests/support/test.h"

struct item {
    struct list link;
    int number;
};

static int digits_of(const struct list *list)
{
    int digits = 0;
    for (const struct list *link = list->next; link != list; link = link->next) {
        ck_assert_ptr_eq(link->next->prev, link);
        digits = digits * 10 + LIST_ENTRY(link, struct item, link)->number;
    }
    return digits;
}

START_TEST(links_are_put_at_either_end_and_taken_out)
{
    struct list list;
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&list);
    ck_assert(list_is_empty(&list));
    list_append(&list, &items[1].link);
    list_append(&list, &items[2].link);
    list_prepend(&list, &items[0].link);
    ck_assert_int_eq(digits_of(&list), 123);
    list_remove(&items[1].link);
    list_remove(&items[1].link); /* harmless */
    ck_assert_int_eq(digits_of(&list), 13);
    list_append(&list, &items[1].link);
    ck_assert_int_eq(digits_of(&list), 132);
}
END_TEST

START_TEST(the_current_link_may_be_taken_out_of_a_walk)
{
    struct list list;
    struct item items[5];
    list_init(&list);
    for (int i = 0; i < 5; i++) {
        items[i].number = i + 1;
        list_append(&list, &items[i].link);
    }
    LIST_FOR_EACH(link, &list)
        if (LIST_ENTRY(link, struct item, link)->number % 2)
            list_remove(link);
    ck_assert_int_eq(digits_of(&list), 24);
    LIST_FOR_EACH(link, &list)
        list_remove(link);
    ck_assert(list_is_empty(&list));
}
END_TEST

TEST_MAIN("list", links_are_put_at_either_end_and_taken_out,
          the_current_link_may_be_taken_out_of_a_walk)
