/* Messages to JSON. */
#include "common/base/mem.h"
#include "common/pbjson/base64.h"
#include "common/pbjson/pbjson_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- layout ------------------------------------------------------------------------------------*/

static void break_line(struct printer *printer)
{
    unsigned indent = printer->options->indent;
    if (!indent)
        return;
    buf_append_char(printer->out, '\n');
    for (unsigned i = 0; i < indent * printer->depth; i++)
        buf_append_char(printer->out, ' ');
}

bool pbjson_printer_open(struct printer *printer, char bracket)
{
    if (printer->depth >= PBJSON_DEPTH_MAX) {
        printer->is_too_deep = true;
        return false;
    }
    printer->depth++;
    buf_append_char(printer->out, bracket);
    return true;
}

void pbjson_printer_close(struct printer *printer, char bracket, bool is_empty)
{
    printer->depth--;
    if (!is_empty)
        break_line(printer);
    buf_append_char(printer->out, bracket);
}

void pbjson_printer_item(struct printer *printer, bool is_first)
{
    if (!is_first)
        buf_append_char(printer->out, ',');
    break_line(printer);
}

void pbjson_printer_name(struct printer *printer, struct str name)
{
    buf_append_json_string(printer->out, name);
    buf_append_str(printer->out, printer->options->indent ? STR(": ") : STR(":"));
}

/* --- values ------------------------------------------------------------------------------------*/

/* The shortest text that reads back as the same double, or as the same float. */
static void print_real(struct printer *printer, double real, bool is_float)
{
    if (isnan(real) || isinf(real)) {
        buf_printf(printer->out, "\"%s\"",
                   isnan(real) ? "NaN"
                   : real < 0  ? "-Infinity"
                               : "Infinity");
        return;
    }
    char text[32];
    int digits = is_float ? 6 : 15, digits_max = is_float ? 9 : 17;
    do
        snprintf(text, sizeof text, "%.*g", digits, real);
    while (digits++ < digits_max &&
           (is_float ? (double)strtof(text, NULL) != real : strtod(text, NULL) != real));
    bool is_minus_zero = strcmp(text, "-0") == 0; /* an integer would lose the sign */
    buf_append_str(printer->out, is_minus_zero ? STR("-0.0") : str_from(text));
}

static void print_enum(struct printer *printer, const ProtobufCFieldDescriptor *field, int number)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(field->descriptor, number);
    if (wkt_takes_null(field))
        buf_append_str(printer->out, STR("null"));
    else if (value)
        buf_append_json_string(printer->out, str_from(value->name));
    else
        buf_printf(printer->out, "%d", number);
}

void pbjson_print_base64(struct printer *printer, ProtobufCBinaryData bytes)
{
    buf_append_char(printer->out, '"');
    base64_append(printer->out, (struct str){(const char *)bytes.data, bytes.len});
    buf_append_char(printer->out, '"');
}

/* A message that is not there where there must be one (the value of a map's entry may be left out
 * on the wire) means an empty one. */
static void print_empty(struct printer *printer, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = mem_alloc_zero(1, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    pbjson_print_message(printer, message);
    mem_free(message);
}

static void print_sub_message(struct printer *printer, const ProtobufCFieldDescriptor *field,
                              const ProtobufCMessage *message)
{
    if (message)
        pbjson_print_message(printer, message);
    else
        print_empty(printer, field->descriptor);
}

void pbjson_print_value(struct printer *printer, const ProtobufCFieldDescriptor *field,
                        const void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buf_printf(printer->out, "%" PRId32, *(const int32_t *)member);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_printf(printer->out, "%" PRIu32, *(const uint32_t *)member);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buf_printf(printer->out, "\"%" PRId64 "\"", *(const int64_t *)member);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_printf(printer->out, "\"%" PRIu64 "\"", *(const uint64_t *)member);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        print_real(printer, (double)*(const float *)member, true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        print_real(printer, *(const double *)member, false);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_append_str(printer->out,
                       *(const protobuf_c_boolean *)member ? STR("true") : STR("false"));
        break;
    case PROTOBUF_C_TYPE_ENUM:
        print_enum(printer, field, *(const int *)member);
        break;
    case PROTOBUF_C_TYPE_STRING:
        buf_append_json_string(printer->out, str_from(*(const char *const *)member));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        pbjson_print_base64(printer, *(const ProtobufCBinaryData *)member);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        print_sub_message(printer, field, *(ProtobufCMessage *const *)member);
        break;
    }
}

void pbjson_print_repeated(struct printer *printer, const ProtobufCFieldDescriptor *field,
                           size_t count, const void *values)
{
    if (!pbjson_printer_open(printer, '['))
        return;
    for (size_t i = 0; i < count; i++) {
        pbjson_printer_item(printer, i == 0);
        pbjson_print_value(printer, field,
                           (const char *)values + i * pbjson_field_value_size(field));
    }
    pbjson_printer_close(printer, ']', count == 0);
}

/* --- maps --------------------------------------------------------------------------------------*/

/* An entry with its place, so that of equal keys the last one comes last, as on the wire. */
struct placed_entry {
    const ProtobufCMessage *entry;
    size_t place;
};

static int compare_entries(const struct placed_entry *a, const struct placed_entry *b)
{
    const ProtobufCFieldDescriptor *key = &a->entry->descriptor->fields[MAP_KEY];
    return pbjson_field_compare_keys(key, field_member_const(a->entry, key),
                                     field_member_const(b->entry, key));
}

static int compare_placed_entries(const void *a, const void *b)
{
    const struct placed_entry *entry_a = a, *entry_b = b;
    int order = compare_entries(entry_a, entry_b);
    return order ? order : entry_a->place < entry_b->place ? -1 : 1;
}

static void print_key(struct printer *printer, const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *key = &entry->descriptor->fields[MAP_KEY];
    const void *member = field_member_const(entry, key);
    struct buf *out = printer->out;
    size_t start = out->len;
    pbjson_print_value(printer, key, member);
    /* All but strings and 64-bit numbers lack the quotes that a name needs. */
    if (out->len > start && out->data[start] != '"') {
        struct str bare = {.data = out->data + start, .len = out->len - start};
        char text[32];
        int len = snprintf(text, sizeof text, "%.*s", STR_ARGS(bare));
        out->len = start;
        buf_printf(out, "\"%.*s\"", len, text);
    }
    buf_append_str(out, printer->options->indent ? STR(": ") : STR(":"));
}

void pbjson_print_map(struct printer *printer, const ProtobufCFieldDescriptor *field, size_t count,
                      ProtobufCMessage *const *entries)
{
    if (!pbjson_printer_open(printer, '{'))
        return;
    const ProtobufCMessageDescriptor *descriptor = field->descriptor;
    const ProtobufCFieldDescriptor *value = &descriptor->fields[MAP_VALUE];
    struct placed_entry *sorted = mem_alloc_zero(count + 1, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct placed_entry){.entry = entries[i], .place = i};
    qsort(sorted, count, sizeof *sorted, compare_placed_entries);
    bool is_first = true;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && compare_entries(&sorted[i], &sorted[i + 1]) == 0)
            continue; /* replaced by the next one */
        pbjson_printer_item(printer, is_first);
        print_key(printer, sorted[i].entry);
        pbjson_print_value(printer, value, field_member_const(sorted[i].entry, value));
        is_first = false;
    }
    mem_free(sorted);
    pbjson_printer_close(printer, '}', is_first);
}

/* --- messages ----------------------------------------------------------------------------------*/

/* Whether the value is what proto3 takes for not set; the same test as protobuf-c's when packing.
 */
static bool is_default(const ProtobufCFieldDescriptor *field, const void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return *(const uint32_t *)member == 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return *(const uint64_t *)member == 0;
    case PROTOBUF_C_TYPE_FLOAT:
        return *(const float *)member == 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)member == 0;
    case PROTOBUF_C_TYPE_BOOL:
        return !*(const protobuf_c_boolean *)member;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)member)->len == 0;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(const char *const *)member;
        return !text || !*text;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return !*(ProtobufCMessage *const *)member;
    }
    return true;
}

static bool is_printed(const struct printer *printer, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return field_count(message, field) > 0;
    if (pbjson_field_is_oneof_member(field))
        return *(const uint32_t *)field_quantifier_const(message, field) == field->id;
    if (field->type == PROTOBUF_C_TYPE_BOOL && printer->options->print_false)
        return true;
    return !is_default(field, field_member_const(message, field));
}

bool pbjson_print_is_redacted(const struct printer *printer,
                              const ProtobufCMessageDescriptor *message,
                              const ProtobufCFieldDescriptor *field)
{
    return printer->options->redact && printer->options->redact(message, field);
}

static void print_field(struct printer *printer, const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field)
{
    const void *member = field_member_const(message, field);
    pbjson_printer_name(printer, str_from(field->name));
    if (pbjson_print_is_redacted(printer, message->descriptor, field))
        buf_append_str(printer->out, STR("\"[redacted]\""));
    else if (pbjson_field_is_map(field))
        pbjson_print_map(printer, field, field_count(message, field),
                         *(ProtobufCMessage *const *const *)member);
    else if (field->label == PROTOBUF_C_LABEL_REPEATED)
        pbjson_print_repeated(printer, field, field_count(message, field),
                              *(const void *const *)member);
    else
        pbjson_print_value(printer, field, member);
}

bool pbjson_print_fields(struct printer *printer, const ProtobufCMessage *message, bool is_first)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_printed(printer, message, field))
            continue;
        pbjson_printer_item(printer, is_first);
        print_field(printer, message, field);
        is_first = false;
    }
    return is_first;
}

void pbjson_print_message(struct printer *printer, const ProtobufCMessage *message)
{
    const struct wkt *wkt = wkt_find(message->descriptor);
    if (wkt) {
        wkt->print(printer, message);
        return;
    }
    if (!pbjson_printer_open(printer, '{'))
        return;
    bool is_empty = pbjson_print_fields(printer, message, true);
    pbjson_printer_close(printer, '}', is_empty);
}

int pbjson_print(const ProtobufCMessage *message, const struct pbjson_options *options,
                 struct buf *out)
{
    static const struct pbjson_options defaults;
    struct printer printer = {.options = options ? options : &defaults,
                              .out = out,
                              .unpack_budget = PBJSON_DECODED_BYTES_MAX};
    pbjson_print_message(&printer, message);
    return printer.is_too_deep || out->is_overflown ? ERR_TOO_LARGE : 0;
}
