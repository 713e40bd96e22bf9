/* Bytes on their way out (rpc_buf) and in (rpc_received). */
#include "common/base/mem.h"
#include "common/rpc/rpc_internal.h"

#include <grpc/byte_buffer_reader.h>
#include <stdatomic.h>

struct rpc_buf *rpc_buf_new(size_t len, char **ret_data)
{
    struct rpc_buf *buf = MEM_NEW(struct rpc_buf);
    buf->slice = grpc_slice_malloc(len);
    atomic_init(&buf->refs, 1);
    *ret_data = (char *)GRPC_SLICE_START_PTR(buf->slice);
    return buf;
}

struct rpc_buf *rpc_buf_copy(struct str bytes)
{
    char *data;
    struct rpc_buf *buf = rpc_buf_new(bytes.len, &data);
    if (bytes.len)
        memcpy(data, bytes.data, bytes.len);
    return buf;
}

struct rpc_buf *rpc_buf_pack(const ProtobufCMessage *message)
{
    char *data;
    struct rpc_buf *buf = rpc_buf_new(protobuf_c_message_get_packed_size(message), &data);
    protobuf_c_message_pack(message, (uint8_t *)data);
    return buf;
}

struct rpc_buf *rpc_buf_ref(struct rpc_buf *buf)
{
    atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}

void rpc_buf_unref(struct rpc_buf *buf)
{
    if (!buf || atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel) != 1)
        return;
    grpc_slice_unref(buf->slice);
    mem_free(buf);
}

struct str rpc_buf_str(const struct rpc_buf *buf)
{
    return (struct str){.data = (const char *)GRPC_SLICE_START_PTR(buf->slice),
                        .len = GRPC_SLICE_LENGTH(buf->slice)};
}

bool rpc_received_init(struct rpc_received *received, grpc_byte_buffer *buffer)
{
    *received = (struct rpc_received){.buffer = buffer, .slice = grpc_empty_slice()};
    if (!buffer)
        return true;
    if (buffer->data.raw.compression != GRPC_COMPRESS_NONE)
        return false;
    grpc_byte_buffer_reader reader;
    int is_open = grpc_byte_buffer_reader_init(&reader, buffer);
    ASSERT(is_open);
    if (buffer->data.raw.slice_buffer.count != 1)
        received->slice = grpc_byte_buffer_reader_readall(&reader);
    else if (!grpc_byte_buffer_reader_next(&reader, &received->slice))
        received->slice = grpc_empty_slice();
    grpc_byte_buffer_reader_destroy(&reader);
    /* The slice is a member by now: a short one holds its bytes in itself. */
    received->data = (struct str){.data = (const char *)GRPC_SLICE_START_PTR(received->slice),
                                  .len = GRPC_SLICE_LENGTH(received->slice)};
    return true;
}

void rpc_received_done(struct rpc_received *received)
{
    grpc_slice_unref(received->slice);
    if (received->buffer)
        grpc_byte_buffer_destroy(received->buffer);
}
