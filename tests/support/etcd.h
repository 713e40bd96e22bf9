/*
 * A real etcd for tests: on free ports of the loopback interface, in a temporary directory. A small
 * process of its own starts, pauses and kills it, and removes everything when the test's process
 * ends, however that ends. Start it before libgrpc, which does not survive a fork.
 */
#ifndef TESTS_SUPPORT_ETCD_H
#define TESTS_SUPPORT_ETCD_H

#include "common/base/buf.h"
#include "common/rpc/rpc.h"

struct etcd_server {
    int commands, answers; /* pipes to its keeper */
    uint16_t port, peer_port;
    char directory[64];
    char endpoint[64]; /* "http://127.0.0.1:4711"; https where extra has --cert-file */
};

/* extra: more arguments for etcd, NULL-terminated, or NULL. Waits until it takes connections. */
void etcd_server_start(struct etcd_server *server, const char *const *extra);
/* SIGKILL; the data stay. */
void etcd_server_kill(struct etcd_server *server);
/* After a kill: the same ports and data. */
void etcd_server_restart(struct etcd_server *server);
/* The same, with empty data: another cluster. */
void etcd_server_restart_empty(struct etcd_server *server);
/* SIGSTOP and SIGCONT. */
void etcd_server_pause(struct etcd_server *server);
void etcd_server_resume(struct etcd_server *server);
/* Kills it and removes its files. */
void etcd_server_stop(struct etcd_server *server);

/* A client for the test itself; each function waits for the answer, and fails the test on errors.
 */
struct etcd_access {
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    char token[128]; /* sent where it is not empty */
};

void etcd_access_init(struct etcd_access *access, struct rpc_runtime *runtime,
                      const struct etcd_server *server);
void etcd_access_done(struct etcd_access *access);
/* Sends request to /etcdserverpb.<method> and appends its answer to ret_answer (may be NULL). */
void etcd_request(struct etcd_access *access, const char *method, const ProtobufCMessage *request,
                  struct buf *ret_answer);
/* These return the revision. */
int64_t etcd_put(struct etcd_access *access, const char *key, struct str value);
int64_t etcd_delete(struct etcd_access *access, const char *key);
int64_t etcd_delete_prefix(struct etcd_access *access, const char *prefix);
/* One transaction that puts value at each of the keys prefix0, prefix1, … */
int64_t etcd_put_many(struct etcd_access *access, const char *prefix, size_t count,
                      struct str value);
void etcd_compact(struct etcd_access *access, int64_t revision);
/* Appends the value; false where there is no such key. */
bool etcd_get(struct etcd_access *access, const char *key, struct buf *ret_value);

#endif
