/* Shared by stream.c (what the client says) and stream_plan.c (what it is sent). */
#ifndef CONTROLPLANE_SERVER_STREAM_INTERNAL_H
#define CONTROLPLANE_SERVER_STREAM_INTERNAL_H

#include "controlplane/server/stream.h"

/* --- stream.c */
/* Brings context->subscription_bytes up to date: entries come and go with requests and when
 * something is sent. */
void stream_count_bytes(struct stream *stream);
/* Notes whether there is a gateway of the node's name. */
void stream_check_gateway(struct stream *stream);

/* --- stream_plan.c */
/* The snapshot published for its node, borrowed. Its node must be known. */
struct snapshot *stream_newest(const struct stream *stream, bool *ret_is_gateway_known);
/* To the newest; also where it is there already, step by step (plan_resume). */
void stream_start_plan(struct stream *stream, uint64_t now_ms);
/* What a client that came back with older content is not told at this step. */
enum subscription_hold stream_hold_of(const struct stream *stream, enum resource_type type);
/* The client has come back with older content. */
void stream_resume(struct stream *stream, uint64_t now_ms);
/* Sends what can be sent, and goes on with the plan as far as the client's answers allow. */
void stream_go_on(struct stream *stream, uint64_t now_ms);

#endif
