#include "common/base/hash.h"

#include "tests/support/test.h"

START_TEST(the_keyed_hash_is_a_function_of_the_bytes)
{
    char text[64];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    for (size_t len = 0; len < sizeof text; len++) {
        uint64_t hash = hash_keyed((struct str){text, len});
        char copy[64];
        memcpy(copy, text, len);
        ck_assert_uint_eq(hash_keyed((struct str){copy, len}), hash);
        for (size_t i = 0; i < len; i++) {
            copy[i] ^= 1;
            ck_assert_uint_ne(hash_keyed((struct str){copy, len}), hash);
            copy[i] ^= 1;
        }
        ck_assert_uint_ne(hash_keyed((struct str){text, len + 1}), hash);
    }
    ck_assert_uint_eq(hash_keyed((struct str){0}), hash_keyed(STR("")));
}
END_TEST

START_TEST(the_content_hash_is_half_of_sha_256)
{
    ck_assert_str_eq(content_hash_of(STR("")).hex, "e3b0c44298fc1c149afbf4c8996fb924");
    ck_assert_str_eq(content_hash_of((struct str){0}).hex, "e3b0c44298fc1c149afbf4c8996fb924");
    ck_assert_str_eq(content_hash_of(STR("abc")).hex, "ba7816bf8f01cfea414140de5dae2223");
}
END_TEST

TEST_MAIN("hash", the_keyed_hash_is_a_function_of_the_bytes, the_content_hash_is_half_of_sha_256)
