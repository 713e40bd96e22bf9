/*
 * What is looked at in the bytes of a message before protobuf-c unpacks them, because protobuf-c
 * does not: how deep messages lie inside each other (it recurses), how much memory they will take,
 * strings that are not UTF-8 or hold a NUL (what is behind it would be lost to whoever reads the
 * char *), and a message given twice for a field that has one (it merges them wrongly). The
 * payloads of Any are looked into where their type is known. No I/O; any thread.
 */
#ifndef DATAPLANE_XDS_WIRE_CHECK_H
#define DATAPLANE_XDS_WIRE_CHECK_H

#include "common/pbjson/pbjson.h"

enum wire_limit {
    /* Messages inside each other, Any payloads included; guards the stack. */
    WIRE_DEPTH_MAX = 100,
    /* Memory of one unpacked resource; two bytes on the wire can ask for hundreds. */
    WIRE_DECODED_BYTES_MAX = 512 * 1024 * 1024,
};

/* Checks bytes and unpacks them into arena. types (may be NULL: Any is left alone) says which Any
 * to look into. 0, or ERR_INVALID or ERR_TOO_LARGE with a sentence that begins with the path of the
 * field (without indexes). */
int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                const struct pbjson_registry *types, struct arena *arena,
                ProtobufCMessage **ret_message, struct errmsg *msg) MUST_CHECK;

#endif
