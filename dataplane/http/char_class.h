/* Which bytes may stand where in HTTP/1, as tables and as word-at-a-time scans. */
#ifndef DATAPLANE_HTTP_CHAR_CLASS_H
#define DATAPLANE_HTTP_CHAR_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the scans find the lowest byte first");

/* The lower-case form of a token character (RFC 9110 5.6.2), 0 for every other byte. */
extern const char char_class_name[256];

enum char_class {
    CHAR_TOKEN = 1,  /* tchar, also in upper case */
    CHAR_TARGET = 2, /* of a request target: visible ASCII but '#' */
    CHAR_HOST = 4,   /* of a reg-name or an IPv4 address, '%' and ',' left out */
    CHAR_HEX = 8,
};

extern const uint8_t char_classes[256];

static inline bool char_is(char c, enum char_class wanted)
{
    return char_classes[(unsigned char)c] & wanted;
}

/* The value of a hexadecimal digit, or -1. */
static inline int char_hex_value(char c)
{
    if (!char_is(c, CHAR_HEX))
        return -1;
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Marks, in the top bit of each byte, the bytes of word that are controls (below 0x20, or 0x7f).
 * Only the lowest mark is exact. */
static inline uint64_t char_class_controls(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t is_low = (word - 0x20 * ones) & ~word;
    uint64_t without_del = word ^ 0x7f * ones;
    uint64_t is_del = (without_del - ones) & ~without_del;
    return (is_low | is_del) & tops;
}

/* How many bytes from data on belong to a header value: no control but HTAB. */
static inline size_t char_class_value_len(const char *data, size_t len)
{
    size_t i = 0;
    while (len - i >= 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        uint64_t controls = char_class_controls(word);
        if (!controls) {
            i += 8;
            continue;
        }
        i += (size_t)__builtin_ctzll(controls) / 8;
        if (data[i] != '\t')
            return i;
        i++;
    }
    while (i < len && ((unsigned char)data[i] >= 0x20 || data[i] == '\t') && data[i] != 0x7f)
        i++;
    return i;
}

#endif
