/*
 * pbjson: protobuf-c messages from and to proto3 JSON, and from YAML, by descriptor.
 *
 * What operators write in etcd, bootstrap files and policy directories come in through here; config
 * dumps and status documents go out. Both spellings of a field name are read (snake_case and
 * lowerCamelCase), snake_case is printed, in the order of the field numbers, map entries in the
 * order of their keys: equal messages give equal text and equal documents equal messages. Knows
 * proto3 messages only.
 *
 * Maps are what proto/README.md says: a repeated field `some_name` of a message `SomeNameEntry`
 * with the fields key = 1 and value = 2. The well-known types Any, Duration, Timestamp, Struct,
 * Value, ListValue, NullValue and the wrappers have their proto3 JSON forms.
 *
 * Beyond proto3 JSON: the payload of an Any whose type is not in the registry is written, and read,
 * as {"@type": "...", "value": "<base64 of its bytes>"}.
 *
 * Any thread; nothing here is shared but the registry, which may be read by many threads once
 * nobody adds to it.
 */
#ifndef COMMON_PBJSON_PBJSON_H
#define COMMON_PBJSON_PBJSON_H

#include "common/base/arena.h"
#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"

#include <protobuf-c/protobuf-c.h>

/* Limits on one document or message. They keep whoever may write to etcd, hand out a bootstrap or
 * serve xDS from making a daemon use memory or stack out of proportion. */
enum pbjson_limit {
    /* Default size of a document. etcd's own limit is 1.5 MiB; a bootstrap may be larger. */
    PBJSON_INPUT_BYTES_MAX = 4 * 1024 * 1024,
    /* Objects and arrays inside each other, reading and printing: bounds the recursion. */
    PBJSON_DEPTH_MAX = 64,
    /* Values of a document, aliases of YAML expanded: the syntax tree takes up to 300 bytes for one
     * that is written in 3. */
    PBJSON_NODES_MAX = 512 * 1024,
    /* Memory for the messages of one document, or of one pbjson_unpack: `{}` in a repeated field
     * may stand for half a KiB. */
    PBJSON_DECODED_BYTES_MAX = 64 * 1024 * 1024,
    /* Messages inside each other in their binary form: a Struct has three for one pair of braces.
     */
    PBJSON_WIRE_DEPTH_MAX = 3 * PBJSON_DEPTH_MAX + 8,
};

/* Which message types an Any may hold. The well-known types are always known. */
struct pbjson_registry;

struct pbjson_registry *pbjson_registry_new(void);
/* Takes registry; NULL is fine. */
void pbjson_registry_free(struct pbjson_registry *registry);
/* Adds a type (not those it refers to); adding one twice does no harm. Borrows descriptor. */
void pbjson_registry_add(struct pbjson_registry *registry,
                         const ProtobufCMessageDescriptor *descriptor);
/* The type of a full name, or of a type URL (whatever is behind its last slash), or NULL. registry
 * may be NULL. */
const ProtobufCMessageDescriptor *pbjson_registry_find(const struct pbjson_registry *registry,
                                                       struct str type_url_or_name);

/* True where the value of this field must not be shown. */
typedef bool pbjson_redact_fn(const ProtobufCMessageDescriptor *message,
                              const ProtobufCFieldDescriptor *field);
/* Tells of an unknown field, or of an Any of unknown type, that was left out, by its path, such as
 * "admin.profile_path". path is valid during the call. */
typedef void pbjson_unknown_cb(const char *path, void *arg);

/* All zero is a good default; options may also be NULL where they are taken. */
struct pbjson_options {
    const struct pbjson_registry *registry;

    /* Reading. */
    size_t input_bytes_max; /* 0: PBJSON_INPUT_BYTES_MAX */
    /* Unknown fields are skipped instead of refused, and an Any of unknown type keeps its type URL
     * and loses its content. For files made for another program, such as an Envoy bootstrap. */
    bool ignore_unknown_fields;
    /* Sentences quote nothing of the document, not even names of unknown fields or the keys of a
     * map: a secret may have been written anywhere. */
    bool has_secrets;
    pbjson_unknown_cb *on_unknown_field; /* may be NULL; called for what is skipped */
    void *on_unknown_field_arg;

    /* Printing. */
    unsigned indent; /* spaces per level; 0: everything on one line */
    /* A bool outside a oneof is printed also where it is false: for documents that people read. */
    bool print_false;
    /* Fields it says true for are printed as "[redacted]" where they are set. It is not asked about
     * the inside of well-known types, with one exception: it is asked about Any.value when the
     * payload cannot be decoded and would be printed as base64. */
    pbjson_redact_fn *redact;
};

/*
 * Makes a message of descriptor's type from a JSON text. The message and all it holds are in arena;
 * after an error what was allocated there is garbage, freed with the arena.
 *
 * Errors, each with a sentence in msg (may be NULL) that begins with the path of the field or the
 * line of the syntax error: ERR_INVALID where the text is not JSON or not such a message,
 * ERR_TOO_LARGE where a limit is exceeded.
 */
MUST_CHECK int pbjson_parse(const ProtobufCMessageDescriptor *descriptor, struct str json,
                            const struct pbjson_options *options, struct arena *arena,
                            ProtobufCMessage **ret_message, struct errmsg *msg);

/* The same from one YAML document; plain scalars have the types of YAML 1.2's core schema, aliases
 * count as what they stand for. Refuses duplicate keys, merge keys, other tags than the core
 * schema's and a second document. Same errors. */
MUST_CHECK int pbjson_parse_yaml(const ProtobufCMessageDescriptor *descriptor, struct str yaml,
                                 const struct pbjson_options *options, struct arena *arena,
                                 ProtobufCMessage **ret_message, struct errmsg *msg);

/* Appends message as JSON to out. Never fails for what is in the message: bytes of a string that
 * are not UTF-8 become escapes, a Duration or Timestamp outside its range is printed as its fields.
 * ERR_TOO_LARGE where out is full or the message too deep; out then ends in the middle. */
MUST_CHECK int pbjson_print(const ProtobufCMessage *message, const struct pbjson_options *options,
                            struct buf *out);

/* protobuf_c_message_unpack into arena, but with limits: protobuf-c itself follows any nesting, on
 * the stack, and lets few bytes become much memory. NULL where bytes are not such a message or
 * exceed a limit. Also for what is not going to be printed. */
ProtobufCMessage *pbjson_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                                struct arena *arena);

#endif
