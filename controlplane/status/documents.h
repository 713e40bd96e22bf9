/* The JSON documents of statuses. Pure; any thread. */
#ifndef CONTROLPLANE_STATUS_DOCUMENTS_H
#define CONTROLPLANE_STATUS_DOCUMENTS_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "controlplane/status/ledger.h"

#include <weir/v1/status.pb-c.h>

/* Of a whole document. */
enum { DOCUMENT_BYTES_MAX = 64 * 1024 };

/* Appends message as one line of JSON. False where it does not fit. */
bool document_print(const ProtobufCMessage *message, struct buf *out);

/* The status of a proxy, allocated in arena (it borrows the ledger's strings). updated is not set.
 */
Weir__V1__ProxyStatus *document_of_proxy(const struct ledger_proxy *proxy, const char *served_by,
                                         struct arena *arena);
/* A refusal as it stands in documents. */
Weir__V1__Refusal *document_of_refusal(const struct ledger_client *client,
                                       const struct ledger_refusal *refusal, struct arena *arena);
/* The wall clock's microseconds. */
Google__Protobuf__Timestamp *document_of_time(uint64_t us, struct arena *arena);
/* "proxies/<node id>", with everything but letters, digits and a few signs as %XX, so that no node
 * can name another key. Appended to out. */
void document_key_of_proxy(struct str node_id, struct buf *out);

#endif
