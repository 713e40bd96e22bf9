/* struct str: bytes that somebody else owns, with their length; not NUL-terminated. */
#ifndef COMMON_BASE_STR_H
#define COMMON_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *data;
    size_t len;
};

/* A str of a string literal. */
#define STR(literal) ((struct str){.data = (literal), .len = sizeof(literal) - 1})
/* The two arguments of a "%.*s". */
#define STR_ARGS(s) (int)(s).len, (s).data

static inline struct str str_from(const char *text)
{
    return (struct str){.data = text, .len = text ? strlen(text) : 0};
}

static inline struct str str_slice(struct str s, size_t from, size_t to)
{
    /* An empty str may have no data, and C forbids to add even 0 to NULL. */
    return (struct str){.data = from ? s.data + from : s.data, .len = to - from};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

static inline bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.data + s.len - suffix.len, suffix.data, suffix.len) == 0);
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Equal but for the case of ASCII letters. */
bool str_equal_nocase(struct str a, struct str b);
/* Byte order, then length: <0, 0, >0. */
int str_compare(struct str a, struct str b);
/* Index of the first c at or behind from, or s.len. */
size_t str_find_char(struct str s, char c, size_t from);
/* Index of the first needle, or s.len where there is none. */
size_t str_find(struct str s, struct str needle);
/* Without spaces and tabs at both ends (RFC 9110 OWS). */
struct str str_trim(struct str s);
/* Length of the well-formed UTF-8 sequence at the start of s (not empty), 0 where there is none
 * (RFC 3629: overlong forms and surrogates are none). */
size_t str_utf8_length(struct str s);
/* Decimal digits only, no sign, no space. False where s is empty, has anything else, or is over
 * max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value);

#endif
