/*
 * Which fields of which messages the proxy acts upon, accepts because they change nothing that a
 * client or a back end can see, or checks and refuses; "name=0" stands for a field that is accepted
 * where its wrapped value is 0, because that is what the proxy does. A message that has no row is
 * taken as a whole by whoever reads it.
 */
#ifndef DATAPLANE_XDS_HONOURED_FIELDS_H
#define DATAPLANE_XDS_HONOURED_FIELDS_H

#include <protobuf-c/protobuf-c.h>

struct honoured_row {
    const ProtobufCMessageDescriptor *message;
    const char *fields; /* names, separated by single spaces */
};

extern const struct honoured_row honoured_rows[];
extern const size_t honoured_row_count;

#endif
