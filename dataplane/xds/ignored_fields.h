/*
 * What was received and has no effect here: fields that the proxy does not know or does not
 * implement, and optional filters that it does not have. Each is reported once, with a log line,
 * and listed by the admin page. Fields whose absence would weaken a protection are not ignored but
 * refused, by the decoder that knows them.
 *
 * Main thread.
 */
#ifndef DATAPLANE_XDS_IGNORED_FIELDS_H
#define DATAPLANE_XDS_IGNORED_FIELDS_H

#include "common/pbjson/pbjson.h"

struct ignored_fields;

/* Different fields that are remembered and logged; beyond that they are only counted. */
enum { IGNORED_FIELDS_MAX = 512 };

/* types: the messages that may be in an Any; borrowed for good. */
struct ignored_fields *ignored_fields_new(const struct pbjson_registry *types);
/* NULL is fine. */
void ignored_fields_free(struct ignored_fields *fields);

/* Looks through message, payloads of known Any included, and notes each field that is set and not
 * implemented. label: of the resource, "listener public/http". */
void ignored_fields_scan(struct ignored_fields *fields, struct str label,
                         const ProtobufCMessage *message);
/* Notes something else that is ignored; what: "Listener: http_filters: type x". */
void ignored_fields_note(struct ignored_fields *fields, struct str label, const char *what);

/* How often something was ignored, since the start. */
uint64_t ignored_fields_total(const struct ignored_fields *fields);
/* Calls visit for each: what (a type and a path in it), how often, and the first resource that had
 * it. */
typedef void ignored_fields_visit_fn(const char *what, uint64_t count, const char *first_label,
                                     void *arg);
void ignored_fields_visit(const struct ignored_fields *fields, ignored_fields_visit_fn *visit,
                          void *arg);

#endif
