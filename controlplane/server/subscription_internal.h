/*
 * Shared by the files of subscription.h:
 *
 *     subscription.c           life, requests, questions
 *     subscription_names.c     what the client asks for, and says it has
 *     subscription_answer.c    what it accepts and refuses
 *     subscription_send.c      what is sent next
 *     subscription_entries.c   the list of exceptions
 */
#ifndef CONTROLPLANE_SERVER_SUBSCRIPTION_INTERNAL_H
#define CONTROLPLANE_SERVER_SUBSCRIPTION_INTERNAL_H

#include "controlplane/server/subscription.h"

/* Content that is none of ours: the client has, or may have, something of that name that is to be
 * replaced or removed. Never the same as any resource. */
struct resource *content_unknown(void);

/* The entry of that name or NULL. */
struct subscription_entry *entry_find(const struct subscription *sub, struct str name);
/* Makes entries for those names (sorted, no name twice) that have none, saying what holds without
 * an entry. Pointers to entries become invalid. */
void entries_ensure(struct subscription *sub, const struct str *names, size_t count);
struct subscription_entry *entry_ensure(struct subscription *sub, struct str name);
/* Removes the entries that say nothing that does not hold without them. */
void entries_sweep(struct subscription *sub);
/* All that was refused together in the response with that nonce may be sent again. */
void release_group(struct subscription *sub, uint64_t nonce);
/* The client does not ask for it any more, or asks anew, or its content has changed: with a suspect
 * the reason may have gone for which the others of its group wait. */
void entry_leave_group(struct subscription *sub, struct subscription_entry *entry);
void entries_clear(struct subscription *sub);

/* The setters keep references and counts. content may be NULL. */
void entry_set_has(struct subscription_entry *entry, struct resource *content);
void entry_set_named(struct subscription *sub, struct subscription_entry *entry, bool is_named);
void entry_set_refused(struct subscription *sub, struct subscription_entry *entry, uint64_t nonce,
                       struct resource *content);

/* A name that ends in a slash and a star asks for all names that begin with "prefix/". */
bool name_is_glob(struct str name);
struct str glob_prefix(struct str glob);

/* Whether the client asks for the name; entry is its entry or NULL. */
bool is_subscribed(const struct subscription *sub, struct str name,
                   const struct subscription_entry *entry);

/* Turns a covering subscription into one with an entry per name. */
void subscription_uncover(struct subscription *sub);
/* Turns a large explicit subscription that is at its target into "all of target, but …". */
void subscription_cover(struct subscription *sub);
/* The client now has all of set, where base says what it has at all. */
void subscription_advance_base(struct subscription *sub, struct resource_set *set);

/* --- requests, piece by piece
 * --------------------------------------------------------------------------------- */

/* The names of a request, and what a first one says that the client has. Errors as
 * subscription_request. */
int subscription_take_names(struct subscription *sub, const struct subscription_request *request,
                            struct errmsg *ret_msg) MUST_CHECK;
/* The outstanding response was accepted, or refused with that text. */
void subscription_take_ack(struct subscription *sub);
void subscription_take_nack(struct subscription *sub, struct str text,
                            subscription_refused_fn *on_refused, void *arg);

/* --- outstanding --------------------------------------------------------------------------------
 */

void outstanding_clear(struct subscription_outstanding *out);

/* A change that a response tells. */
struct pending_item {
    struct str name;
    struct resource *before; /* NULL: nothing */
    struct resource *after;  /* NULL: removed */
    bool is_suspect;         /* after a refusal: may be at fault */
};

#endif
