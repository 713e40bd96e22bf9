/*
 * The canonical form of a request path: what routes, every policy, cache keys and the upstream see
 * is one and the same string. Follows Envoy 1.40's normalize_path, merge_slashes and
 * path_with_escaped_slashes_action (seen side by side on random paths). No I/O; any thread.
 *
 * With `normalizes`: escapes of letters, digits, '-', '.', '_' and '~' are decoded, other escapes
 * stay as they are (also the case of their digits); '"', '<', '>', '^', '`', '{', '|' and '}' are
 * escaped; '\' becomes '/'; then dot segments go, also "..;x" (RFC 3986 5.2.4, but empty segments
 * count as segments); then, with `merges_slashes`, runs of '/' become one. %00 is refused.
 *
 * Stricter than Envoy: a malformed escape ("%", "%4", "%zz") is refused where Envoy lets it pass;
 * "/%2e%2e;x" and a "..;x" behind a backslash are dot segments too, where Envoy leaves a "..;x";
 * "//" alone becomes "/".
 */
#ifndef DATAPLANE_HTTP_PATH_H
#define DATAPLANE_HTTP_PATH_H

#include "common/base/arena.h"
#include "common/base/err.h"

/* What to do with %2F, %2f, %5C and %5c in a path. Envoy's names and order. */
enum path_escaped_slashes {
    PATH_ESCAPED_SLASHES_KEEP_UNCHANGED,
    PATH_ESCAPED_SLASHES_REJECT_REQUEST,
    PATH_ESCAPED_SLASHES_UNESCAPE_AND_REDIRECT,
    PATH_ESCAPED_SLASHES_UNESCAPE_AND_FORWARD,
};

struct path_options {
    bool normalizes;     /* normalize_path */
    bool merges_slashes; /* merge_slashes */
    enum path_escaped_slashes escaped_slashes;
};

enum path_action {
    PATH_CONTINUE, /* with the path returned */
    PATH_REDIRECT, /* 307 to the path returned (location), with its query */
};

/* The canonical form of path_and_query ("/…" or "*"; the query is left as it is). Where nothing
 * needs a change it returns its argument after one scan and allocates nothing; otherwise the result
 * is in arena (at most three times as long). Other bytes than visible ASCII, and '#', are refused
 * in the path; the query is the codec's business. Returns 0, or ERR_INVALID: answer 400 with
 * details "path_normalization_failed". Normalising the result again changes nothing. */
int path_normalise(struct str path_and_query, const struct path_options *options,
                   struct arena *arena, struct str *ret_path,
                   enum path_action *ret_action) MUST_CHECK;

/* Where the query begins: index of '?', or the length. */
size_t path_query_at(struct str path_and_query);

#endif
