/*
 * Messages in their binary form, looked through before protobuf-c unpacks them, because protobuf-c
 * does not: how deep messages lie inside each other (it recurses) and how much memory they will
 * take (a few bytes can ask for hundreds). pbjson_unpack (pbjson.h) looks at no more than that.
 *
 * wire_unpack is for what is to be relied on. It also refuses strings that are not UTF-8 or hold a
 * NUL (what is behind it would be lost to whoever reads the char *), and a message given twice for
 * a field that has one (protobuf-c merges them wrongly). It looks into the payloads of Any where
 * their type is known. No I/O; any thread.
 */
#ifndef COMMON_PBJSON_WIRE_H
#define COMMON_PBJSON_WIRE_H

#include "common/pbjson/pbjson.h"

enum wire_limit {
    /* Messages inside each other, Any payloads included; guards the stack. */
    WIRE_DEPTH_MAX = 100,
    /* Memory of one message, the payloads that are looked into included. */
    WIRE_DECODED_BYTES_MAX = 512 * 1024 * 1024,
};

/* Checks bytes and unpacks them into arena. types (may be NULL: Any is left alone) says which Any
 * to look into. 0, or ERR_INVALID or ERR_TOO_LARGE with a sentence that begins with the path of the
 * field (without indexes). */
int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                const struct pbjson_registry *types, struct arena *arena,
                ProtobufCMessage **ret_message, struct errmsg *msg) MUST_CHECK;

#endif
