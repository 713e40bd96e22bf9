/*
 * The straight line of a change of policy: source -> model store -> translation -> publication, and
 * the verdicts on the way back as statuses.
 *
 *     source   on_snapshot, on_changes            controlplane/source/
 *     model    model_store_apply, _build          controlplane/model/
 *     world    translator_run                     controlplane/translate/
 *     streams  ads_publish                        controlplane/server/
 *     status   status_take_verdict                controlplane/status/
 *
 * A single change is published at once; of a burst, what has come by the end of the loop's turn is
 * published together, and again not before PIPELINE_PAUSE_MS have passed.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_PIPELINE_H
#define CONTROLPLANE_SERVER_PIPELINE_H

#include "controlplane/server/ads.h"
#include "controlplane/source/source.h"
#include "controlplane/status/status.h"

enum { PIPELINE_PAUSE_MS = 10 };

struct pipeline;

/* What the daemon knows about its source and its work. */
struct pipeline_stats {
    enum source_state source_state;
    const char *source_detail; /* borrowed until the next change */
    bool is_published;         /* anything at all */
    bool is_stale;             /* what is published came from the copy on disk */
    int64_t revision;          /* published */
    uint64_t changes;          /* objects put or deleted */
    uint64_t snapshots;
    size_t problems;                    /* gateways that could not be translated */
    struct histogram build_seconds;     /* model */
    struct histogram translate_seconds; /* world */
};

/* ads is borrowed and must outlive the pipeline. served_by: how this weir-control is called in
 * status documents. */
struct pipeline *pipeline_new(struct loop *loop, struct ads_server *ads, struct ledger *ledger,
                              const char *served_by);
/* The source must have been stopped; before the loop is freed. NULL is fine. */
void pipeline_free(struct pipeline *pipeline);
/* What a source is to be made with; arg is the pipeline. Static storage. */
const struct source_listener *pipeline_listener(void);
/* Where statuses go; borrowed. NULL: nowhere (any more). */
void pipeline_set_source(struct pipeline *pipeline, struct source *source);
/* Streams are about to be ended (status_close). */
void pipeline_close_statuses(struct pipeline *pipeline);
/* Writes all statuses that wait, now. */
void pipeline_flush_statuses(struct pipeline *pipeline);

struct pipeline_stats pipeline_stats(const struct pipeline *pipeline);
struct status_counts pipeline_status_counts(const struct pipeline *pipeline);

#endif
