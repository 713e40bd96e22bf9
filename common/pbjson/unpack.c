/* protobuf-c's unpack follows whatever nesting it is given, on the stack, and its memory has no
 * limit. So the bytes are walked through first, by descriptor, adding up what unpacking them would
 * take; what is malformed in other ways is left for the unpack itself to find. */
#include "common/pbjson/pbjson_internal.h"

enum {
    /* What protobuf-c notes about each field it meets, with the growth of its list of notes, and
     * what one element takes in an array or among the unknown fields. */
    FIELD_COST = 128,
    /* A message for a field that has one already is merged, which copies the arrays of both: up to
     * a pointer for each two bytes. */
    MERGE_COST = 8,
    /* An element of a packed field: up to 8 bytes for one. */
    PACKED_COST = 8,
    /* Fields of a message that are watched for being given twice, by index. */
    SEEN_MAX = 256,
};

struct wire {
    struct str left;
    size_t budget; /* bytes */
};

static bool spend(struct wire *wire, size_t count, size_t cost)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, cost, &bytes) || bytes > wire->budget)
        return false;
    wire->budget -= bytes;
    return true;
}

static bool read_varint(struct str *left, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; left->len && shift < 70; shift += 7) {
        unsigned char c = (unsigned char)left->data[0];
        *left = str_slice(*left, 1, left->len);
        value |= (uint64_t)(c & 0x7f) << (shift & 63);
        if (!(c & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The value of a field, without the varint of its length; false where it is cut off. */
static bool read_value(struct str *left, uint64_t wire_type, struct str *ret_value)
{
    uint64_t len = 0;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        *ret_value = (struct str){.data = left->data, .len = 0};
        return read_varint(left, &len);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        len = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        len = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(left, &len))
            return false;
        break;
    default: /* groups; protobuf-c refuses them too */
        return false;
    }
    if (len > left->len)
        return false;
    *ret_value = str_slice(*left, 0, (size_t)len);
    *left = str_slice(*left, (size_t)len, left->len);
    return true;
}

static bool check_message(struct wire *wire, const ProtobufCMessageDescriptor *descriptor,
                          struct str bytes, unsigned depth);

static bool check_field(struct wire *wire, const ProtobufCFieldDescriptor *field, struct str value,
                        unsigned depth)
{
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(wire, field->descriptor, value, depth + 1);
    return spend(wire, value.len, PACKED_COST);
}

/* Whether the field comes for the first time; remembers it. */
static bool is_first(uint64_t *seen, const ProtobufCMessageDescriptor *descriptor,
                     const ProtobufCFieldDescriptor *field)
{
    size_t index = (size_t)(field - descriptor->fields);
    if (index >= SEEN_MAX)
        return false;
    uint64_t bit = (uint64_t)1 << index % 64;
    bool was_seen = seen[index / 64] & bit;
    seen[index / 64] |= bit;
    return !was_seen;
}

static bool check_message(struct wire *wire, const ProtobufCMessageDescriptor *descriptor,
                          struct str bytes, unsigned depth)
{
    uint64_t seen[SEEN_MAX / 64] = {0};
    if (depth > PBJSON_WIRE_DEPTH_MAX || !spend(wire, 1, descriptor->sizeof_message))
        return false;
    for (struct str left = bytes; left.len;) {
        uint64_t tag;
        struct str value;
        if (!read_varint(&left, &tag) || tag > UINT32_MAX || !read_value(&left, tag & 7, &value))
            return false;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (!spend(wire, 1, FIELD_COST) || !check_field(wire, field, value, depth))
            return false;
        bool is_merged = field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
                         field->label != PROTOBUF_C_LABEL_REPEATED &&
                         !is_first(seen, descriptor, field);
        if (is_merged && !spend(wire, bytes.len, MERGE_COST))
            return false;
    }
    return true;
}

ProtobufCMessage *pbjson_unpack_within(size_t *budget, const ProtobufCMessageDescriptor *descriptor,
                                       struct str bytes, struct arena *arena)
{
    struct wire wire = {.budget = *budget};
    if (!check_message(&wire, descriptor, bytes, 0))
        return NULL;
    *budget = wire.budget;
    ProtobufCAllocator allocator = arena_protobuf_allocator(arena);
    return protobuf_c_message_unpack(descriptor, &allocator, bytes.len,
                                     (const uint8_t *)bytes.data);
}

ProtobufCMessage *pbjson_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                                struct arena *arena)
{
    size_t budget = PBJSON_DECODED_BYTES_MAX;
    return pbjson_unpack_within(&budget, descriptor, bytes, arena);
}
