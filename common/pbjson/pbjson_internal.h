/* What the files of pbjson share; not for others. */
#ifndef COMMON_PBJSON_PBJSON_INTERNAL_H
#define COMMON_PBJSON_PBJSON_INTERNAL_H

#include "common/pbjson/pbjson.h"

#include <jansson.h>

/* --- fields (field.c) --------------------------------------------------------------------------*/

/* Bytes that one value of the field takes in a message or in a repeated field's array. */
size_t pbjson_field_value_size(const ProtobufCFieldDescriptor *field);
bool pbjson_field_is_oneof_member(const ProtobufCFieldDescriptor *field);
/* Whether the field is a map; its descriptor is then that of the entries. */
bool pbjson_field_is_map(const ProtobufCFieldDescriptor *field);
/* The field of that name in either spelling, or NULL. */
const ProtobufCFieldDescriptor *pbjson_field_find(const ProtobufCMessageDescriptor *message,
                                                  const char *name);
/* Whether two values of a map's key field come in this order, for sorting: <0, 0, >0. */
int pbjson_field_compare_keys(const ProtobufCFieldDescriptor *key, const void *a, const void *b);

enum { MAP_KEY = 0, MAP_VALUE = 1 }; /* indexes of the fields of a map's entry */

static inline void *field_member(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->offset;
}

static inline const void *field_member_const(const ProtobufCMessage *message,
                                             const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->offset;
}

/* A repeated field's count, a oneof's case. */
static inline void *field_quantifier(ProtobufCMessage *message,
                                     const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->quantifier_offset;
}

static inline const void *field_quantifier_const(const ProtobufCMessage *message,
                                                 const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->quantifier_offset;
}

/* How many values a repeated field has. */
static inline size_t field_count(const ProtobufCMessage *message,
                                 const ProtobufCFieldDescriptor *field)
{
    return *(const size_t *)field_quantifier_const(message, field);
}

/* --- reading (parse.c, scalar.c, error.c) ------------------------------------------------------*/

struct parser {
    const struct pbjson_options *options;
    struct arena *arena;
    struct errmsg *msg;
    size_t decoded_bytes; /* held against PBJSON_DECODED_BYTES_MAX */
};

/* Where in the document we are: a list on the stack from a value up to the document itself, whose
 * path is NULL. */
struct path {
    const struct path *parent;
    const char *field; /* a step by field name, … */
    const char *key;   /* … by the key of a map, … */
    size_t index;      /* … or, where both are NULL, by index */
    unsigned depth;
};

/* The paths of a field, of an element and of a map's entry below parent. */
struct path pbjson_path_field(const struct path *parent, const char *field);
struct path pbjson_path_index(const struct path *parent, size_t index);
struct path pbjson_path_key(const struct path *parent, const char *key);

/* Writes "<path>: <sentence>" (the sentence alone for the document) and returns err. */
int pbjson_parser_fail(struct parser *parser, int err, const struct path *path, const char *format,
                       ...) PRINTF_LIKE(4, 5);
/* `expected <what>, got a number` and the like. */
int pbjson_parser_fail_type(struct parser *parser, const struct path *path, const char *what,
                            const json_t *json);
/* Calls options->on_unknown_field, if there is one. */
void pbjson_parser_tell_skipped(const struct parser *parser, const struct path *path);
/* Text from the document as it may stand in a sentence: in quotes, shortened. In the arena. */
const char *pbjson_parser_quote(struct parser *parser, const char *text);
/* An object, an array and so on, for sentences. */
const char *pbjson_json_kind(const json_t *json);

/* The name nearest to what was written, for "did you mean"; NULL where none is near. */
struct suggestion {
    const char *wanted;
    const char *best;
    size_t distance;
};
void pbjson_suggestion_init(struct suggestion *suggestion, const char *wanted);
void pbjson_suggestion_offer(struct suggestion *suggestion, const char *name);

/* Zeroed memory from the arena for a message's content, or NULL with the error said. */
void *pbjson_parser_alloc(struct parser *parser, const struct path *path, size_t count,
                          size_t size);

/* A whole message, of whatever JSON form its type has. */
MUST_CHECK int pbjson_parse_message(struct parser *parser, const struct path *path,
                                    const ProtobufCMessageDescriptor *descriptor,
                                    const json_t *json, ProtobufCMessage **ret_message);
/* The members of an object into message's fields; those of an Any have an "@type" to skip. */
MUST_CHECK int pbjson_parse_fields(struct parser *parser, const struct path *path,
                                   const json_t *json, bool is_any, ProtobufCMessage *message);
/* One value (not a repeated field) into member, which is of pbjson_field_value_size bytes. */
MUST_CHECK int pbjson_parse_value(struct parser *parser, const struct path *path,
                                  const ProtobufCFieldDescriptor *field, const json_t *json,
                                  void *member);
/* An array into the repeated field of message. */
MUST_CHECK int pbjson_parse_repeated(struct parser *parser, const struct path *path,
                                     const ProtobufCFieldDescriptor *field, const json_t *json,
                                     ProtobufCMessage *message);
/* An object into the map field of message. */
MUST_CHECK int pbjson_parse_map(struct parser *parser, const struct path *path,
                                const ProtobufCFieldDescriptor *field, const json_t *json,
                                ProtobufCMessage *message);
/* A scalar, an enum value, a string or bytes, from a JSON value or from the key of a map. */
MUST_CHECK int pbjson_parse_scalar(struct parser *parser, const struct path *path,
                                   const ProtobufCFieldDescriptor *field, const json_t *json,
                                   void *member);
MUST_CHECK int pbjson_parse_map_key(struct parser *parser, const struct path *path,
                                    const ProtobufCFieldDescriptor *field, const char *text,
                                    void *member);
MUST_CHECK int pbjson_parse_bytes(struct parser *parser, const struct path *path,
                                  const json_t *json, ProtobufCBinaryData *ret_bytes);

/* A YAML text as the tree of the JSON text that says the same; the caller decrefs it. */
MUST_CHECK int pbjson_yaml_to_json(struct str yaml, json_t **ret_json, struct errmsg *msg);

/* --- printing (print.c) ------------------------------------------------------------------------*/

struct printer {
    const struct pbjson_options *options;
    struct buf *out;
    unsigned depth;
    bool is_too_deep;     /* sticky */
    size_t unpack_budget; /* what payloads of Any may still take, all inside each other together */
};

/* Brackets; between them, pbjson_printer_item before each item. False where it gets too deep. */
bool pbjson_printer_open(struct printer *printer, char bracket);
void pbjson_printer_close(struct printer *printer, char bracket, bool is_empty);
/* The comma, line break and indentation before an item. */
void pbjson_printer_item(struct printer *printer, bool is_first);
/* The name of a member and its colon. */
void pbjson_printer_name(struct printer *printer, struct str name);

void pbjson_print_message(struct printer *printer, const ProtobufCMessage *message);
/* The fields of message that are set, as members of an object. is_first: no member is before them;
 * returns whether that is still so. */
bool pbjson_print_fields(struct printer *printer, const ProtobufCMessage *message, bool is_first);
void pbjson_print_value(struct printer *printer, const ProtobufCFieldDescriptor *field,
                        const void *member);
void pbjson_print_repeated(struct printer *printer, const ProtobufCFieldDescriptor *field,
                           size_t count, const void *values);
void pbjson_print_map(struct printer *printer, const ProtobufCFieldDescriptor *field, size_t count,
                      ProtobufCMessage *const *entries);
void pbjson_print_base64(struct printer *printer, ProtobufCBinaryData bytes);
bool pbjson_print_is_redacted(const struct printer *printer,
                              const ProtobufCMessageDescriptor *message,
                              const ProtobufCFieldDescriptor *field);

/* --- binary form (wire.c) --------------------------------------------------------------------*/

/* pbjson_unpack with at most *budget bytes of memory, which it counts down. */
ProtobufCMessage *pbjson_unpack_within(size_t *budget, const ProtobufCMessageDescriptor *descriptor,
                                       struct str bytes, struct arena *arena);

/* --- well-known types (wkt.c, wkt_struct.c, wkt_time.c) ----------------------------------------*/

/* A message type with a JSON form of its own. */
struct wkt {
    const ProtobufCMessageDescriptor *descriptor;
    /* Fills message, which is of this type and initialised. NULL: read like any message. */
    int (*parse)(struct parser *parser, const struct path *path, const json_t *json,
                 ProtobufCMessage *message);
    void (*print)(struct printer *printer, const ProtobufCMessage *message);
};

/* The entry for a type, or NULL for one without a form of its own. */
const struct wkt *wkt_find(const ProtobufCMessageDescriptor *descriptor);
/* The well-known type of that full name, or NULL. */
const ProtobufCMessageDescriptor *wkt_find_by_name(struct str name);
/* Whether null is a value of the field rather than its absence: a Value or a NullValue. */
bool wkt_takes_null(const ProtobufCFieldDescriptor *field);

int wkt_parse_any(struct parser *parser, const struct path *path, const json_t *json,
                  ProtobufCMessage *message);
void wkt_print_any(struct printer *printer, const ProtobufCMessage *message);
int wkt_parse_struct(struct parser *parser, const struct path *path, const json_t *json,
                     ProtobufCMessage *message);
void wkt_print_struct(struct printer *printer, const ProtobufCMessage *message);
int wkt_parse_value(struct parser *parser, const struct path *path, const json_t *json,
                    ProtobufCMessage *message);
void wkt_print_value(struct printer *printer, const ProtobufCMessage *message);
int wkt_parse_list(struct parser *parser, const struct path *path, const json_t *json,
                   ProtobufCMessage *message);
void wkt_print_list(struct printer *printer, const ProtobufCMessage *message);
int wkt_parse_duration(struct parser *parser, const struct path *path, const json_t *json,
                       ProtobufCMessage *message);
void wkt_print_duration(struct printer *printer, const ProtobufCMessage *message);
int wkt_parse_timestamp(struct parser *parser, const struct path *path, const json_t *json,
                        ProtobufCMessage *message);
void wkt_print_timestamp(struct printer *printer, const ProtobufCMessage *message);

#endif
