#include "dataplane/xds/wire_check.h"

#include <google/protobuf/any.pb-c.h>
#include <stdio.h>

enum {
    /* What protobuf-c notes about a field it meets, while it unpacks. */
    FIELD_COST = 32,
    /* A byte of a packed field or of a string can take so many. */
    BYTE_COST = 8,
    /* Fields of a message that are watched for being given twice, by index. */
    SEEN_MAX = 256,
};

struct checker {
    const struct pbjson_registry *types;
    size_t budget; /* bytes */
    struct errmsg *msg;
};

/* Where we are, from the innermost message outwards. */
struct frame {
    const struct frame *parent;
    const ProtobufCMessageDescriptor *descriptor;
    const ProtobufCFieldDescriptor *field; /* the one being looked at; NULL: unknown */
    unsigned depth;
};

/* Appends the path down to frame, at most max frames of it (they are many only in an attack). */
static void print_path(const struct frame *frame, char *text, size_t size)
{
    const struct frame *chain[8];
    size_t count = 0;
    for (; frame && count < sizeof chain / sizeof *chain; frame = frame->parent)
        if (frame->field)
            chain[count++] = frame;
    size_t len = 0;
    text[0] = '\0';
    while (count-- > 0 && len < size - 1) {
        int added =
            snprintf(text + len, size - len, "%s%s", len ? "." : "", chain[count]->field->name);
        len += added > 0 ? (size_t)added : 0;
    }
}

static int fail(struct checker *checker, int err, const struct frame *frame, const char *problem)
{
    char path[512];
    print_path(frame, path, sizeof path);
    return errmsg_set(checker->msg, err, "%s%s%s", path, path[0] ? ": " : "", problem);
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
    if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT) {
        *ret_value = (struct str){.data = left->data};
        return read_varint(left, &len);
    }
    if (wire_type == PROTOBUF_C_WIRE_TYPE_64BIT)
        len = 8;
    else if (wire_type == PROTOBUF_C_WIRE_TYPE_32BIT)
        len = 4;
    else if (wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || !read_varint(left, &len))
        return false;
    if (len > left->len)
        return false;
    *ret_value = str_slice(*left, 0, (size_t)len);
    *left = str_slice(*left, (size_t)len, left->len);
    return true;
}

static int check_string(struct checker *checker, const struct frame *frame, struct str value)
{
    for (size_t at = 0; at < value.len;) {
        if (value.data[at] == '\0')
            return fail(checker, ERR_INVALID, frame, "has a NUL byte");
        size_t len = str_utf8_length(str_slice(value, at, value.len));
        if (len == 0)
            return fail(checker, ERR_INVALID, frame, "is not UTF-8");
        at += len;
    }
    return 0;
}

static int check_message(struct checker *checker, const struct frame *parent,
                         const ProtobufCMessageDescriptor *descriptor, struct str bytes);

/* Whether the field comes for the second time; remembers the first. */
static bool is_seen(uint64_t *seen, const ProtobufCMessageDescriptor *descriptor,
                    const ProtobufCFieldDescriptor *field)
{
    size_t index = (size_t)(field - descriptor->fields);
    ASSERT(index < SEEN_MAX); /* a message of ours has fewer fields */
    uint64_t bit = (uint64_t)1 << index % 64;
    bool was_seen = seen[index / 64] & bit;
    seen[index / 64] |= bit;
    return was_seen;
}

static bool spend(struct checker *checker, size_t count, size_t cost)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, cost, &bytes) || bytes > checker->budget)
        return false;
    checker->budget -= bytes;
    return true;
}

static int check_field(struct checker *checker, const struct frame *frame, uint64_t *seen,
                       uint64_t wire_type, struct str value)
{
    const ProtobufCFieldDescriptor *field = frame->field;
    bool has_length = wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    if (!spend(checker, 1, FIELD_COST) || !spend(checker, value.len, BYTE_COST))
        return fail(checker, ERR_TOO_LARGE, NULL, "takes too much memory");
    if (!field || !has_length)
        return 0;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return check_string(checker, frame, value);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (field->label != PROTOBUF_C_LABEL_REPEATED && is_seen(seen, frame->descriptor, field))
        return fail(checker, ERR_INVALID, frame, "is given twice");
    return check_message(checker, frame, field->descriptor, value);
}

/* The payload of an Any whose two fields are these. */
static int check_any(struct checker *checker, const struct frame *frame, struct str type_url,
                     struct str payload)
{
    const ProtobufCMessageDescriptor *descriptor =
        type_url.len ? pbjson_registry_find(checker->types, type_url) : NULL;
    return descriptor ? check_message(checker, frame, descriptor, payload) : 0;
}

static int check_message(struct checker *checker, const struct frame *parent,
                         const ProtobufCMessageDescriptor *descriptor, struct str bytes)
{
    uint64_t seen[SEEN_MAX / 64] = {0};
    struct str any[3] = {{0}}; /* by field number, where this is an Any */
    struct frame frame = {
        .parent = parent, .descriptor = descriptor, .depth = parent ? parent->depth + 1 : 1};
    if (frame.depth > WIRE_DEPTH_MAX)
        return fail(checker, ERR_TOO_LARGE, NULL, "messages lie too deep inside each other");
    if (!spend(checker, 1, descriptor->sizeof_message + sizeof(void *)))
        return fail(checker, ERR_TOO_LARGE, NULL, "takes too much memory");
    for (struct str left = bytes; left.len;) {
        uint64_t tag;
        struct str value;
        if (!read_varint(&left, &tag) || tag > UINT32_MAX || !read_value(&left, tag & 7, &value))
            return fail(checker, ERR_INVALID, parent, "is not a protobuf message");
        unsigned number = (unsigned)(tag >> 3);
        frame.field = protobuf_c_message_descriptor_get_field(descriptor, number);
        int err = check_field(checker, &frame, seen, tag & 7, value);
        if (err)
            return err;
        if (number < 3)
            any[number] = value;
    }
    frame.field = NULL;
    if (checker->types && descriptor == &google__protobuf__any__descriptor)
        return check_any(checker, &frame, any[1], any[2]);
    return 0;
}

int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                const struct pbjson_registry *types, struct arena *arena,
                ProtobufCMessage **ret_message, struct errmsg *msg)
{
    struct checker checker = {.types = types, .budget = WIRE_DECODED_BYTES_MAX, .msg = msg};
    int err = check_message(&checker, NULL, descriptor, bytes);
    if (err)
        return err;
    ProtobufCAllocator allocator = arena_protobuf_allocator(arena);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, bytes.len, (const uint8_t *)bytes.data);
    if (!message)
        return errmsg_set(msg, ERR_INVALID, "is not a message of type %s", descriptor->name);
    *ret_message = message;
    return 0;
}
