/*
 * The few pieces of the protobuf wire format that responses are put together from by hand: a
 * response is shared encoded pieces plus a private tail, which no generated packer can produce.
 */
#ifndef CONTROLPLANE_SNAPSHOT_WIRE_H
#define CONTROLPLANE_SNAPSHOT_WIRE_H

#include "common/base/str.h"

enum { WIRE_VARINT_MAX = 10 };

/* Bytes of value as a varint. */
static inline size_t wire_varint_len(uint64_t value)
{
    size_t len = 1;
    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    return len;
}

/* Writes value as a varint and returns where it ended. */
static inline char *wire_put_varint(char *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (char)(value | 0x80);
        value >>= 7;
    }
    *to++ = (char)value;
    return to;
}

/* Bytes of a length-delimited field (numbers below 16) with len bytes in it. */
static inline size_t wire_field_len(size_t len)
{
    return 1 + wire_varint_len(len) + len;
}

/* Writes key and length of such a field; its bytes follow. */
static inline char *wire_put_field_head(char *to, int number, size_t len)
{
    *to++ = (char)(number << 3 | 2);
    return wire_put_varint(to, len);
}

static inline char *wire_put_field(char *to, int number, struct str bytes)
{
    to = wire_put_field_head(to, number, bytes.len);
    if (bytes.len)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

#endif
