/*
 * pbjson with hostile text. The first byte says which type of message and which syntax; whatever is
 * read must be printed, read again and be the same bytes.
 */
#include "common/base/assert.h"
#include "common/pbjson/pbjson_internal.h"
#include "common/pbjson/wire.h"

#include <envoy/config/bootstrap/v3/bootstrap.pb-c.h>
#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/struct.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &envoy__config__bootstrap__v3__bootstrap__descriptor,
    &envoy__config__cluster__v3__cluster__descriptor,
    &envoy__config__listener__v3__listener__descriptor,
    &envoy__config__route__v3__route_configuration__descriptor,
    &google__protobuf__struct__descriptor,
    &google__protobuf__any__descriptor,
    &google__protobuf__duration__descriptor,
    &google__protobuf__timestamp__descriptor,
};
enum { TYPES = sizeof types / sizeof *types };

static struct str pack(const ProtobufCMessage *message, struct arena *arena)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, len + 1);
    ASSERT(protobuf_c_message_check(message));
    size_t packed = protobuf_c_message_pack(message, data);
    ASSERT(packed == len);
    return (struct str){.data = (char *)data, .len = len};
}

static void check_comes_back(const ProtobufCMessage *message, const struct pbjson_options *options,
                             struct arena *arena)
{
    struct buf out;
    buf_init(&out, 1 << 28);
    int err = pbjson_print(message, options, &out);
    ASSERT(err == 0);
    struct pbjson_options reading = *options;
    reading.input_bytes_max = out.len + 1;
    ProtobufCMessage *again = NULL;
    err = pbjson_parse(message->descriptor, buf_str(&out), &reading, arena, &again, NULL);
    ASSERT(err == 0);
    bool is_same = str_equal(pack(message, arena), pack(again, arena));
    ASSERT(is_same);
    buf_done(&out);
}

/* What unpacking takes is what was reckoned beforehand, but for what is left over in blocks; what
 * the stricter check takes, the other does as well. */
static void check_unpacks(const ProtobufCMessageDescriptor *type, struct str bytes,
                          const struct pbjson_registry *registry)
{
    enum { BLOCK = 4096 };
    struct arena arena;
    struct errmsg msg = {.text = ""};
    size_t budget = PBJSON_DECODED_BYTES_MAX;
    arena_init(&arena, BLOCK);
    ProtobufCMessage *message = pbjson_unpack_within(&budget, type, bytes, &arena);
    ASSERT(!message ||
           arena_bytes(&arena) <= 2 * (PBJSON_DECODED_BYTES_MAX - budget) + (size_t)2 * BLOCK);
    ProtobufCMessage *strict = NULL;
    int err = wire_unpack(type, bytes, registry, &arena, &strict, &msg);
    ASSERT(!err == !msg.text[0]);
    ASSERT(err || message);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = types[data[0] / 4 % TYPES];
    struct str text = {.data = (const char *)data + 1, .len = size - 1};
    struct pbjson_registry *registry = pbjson_registry_new();
    for (size_t i = 0; i < TYPES; i++)
        pbjson_registry_add(registry, types[i]);
    const struct pbjson_options options = {.registry = registry,
                                           .ignore_unknown_fields = data[0] & 2};
    struct arena arena;
    arena_init(&arena, 4096);
    ProtobufCMessage *message = NULL;
    struct errmsg msg = {.text = ""};
    int err = data[0] & 1 ? pbjson_parse_yaml(type, text, &options, &arena, &message, &msg)
                          : pbjson_parse(type, text, &options, &arena, &message, &msg);
    ASSERT(err == 0 || msg.text[0]);
    if (err == 0)
        check_comes_back(message, &options, &arena);
    /* The same bytes as a message of the network. */
    check_unpacks(type, text, registry);
    ProtobufCMessage *unpacked = pbjson_unpack(type, text, &arena);
    struct buf out;
    buf_init(&out, 1 << 20);
    err = unpacked ? pbjson_print(unpacked, &options, &out) : 0;
    ASSERT(err == 0 || err == ERR_TOO_LARGE);
    buf_done(&out);
    arena_done(&arena);
    pbjson_registry_free(registry);
    return 0;
}
