#include "tests/support/etcd.h"

#include "common/base/arena.h"
#include "tests/support/loop_until.h"
#include "tests/support/port.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <etcd/rpc.pb-c.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the keeper's side ------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static pid_t spawn(const struct etcd_server *server, const char *const *extra)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char data[80], client_url[64], peer_url[64], cluster[80], log_path[80];
    snprintf(data, sizeof data, "%s/data", server->directory);
    snprintf(log_path, sizeof log_path, "%s/log", server->directory);
    snprintf(client_url, sizeof client_url, "%s", server->endpoint);
    snprintf(peer_url, sizeof peer_url, "http://127.0.0.1:%u", server->peer_port);
    snprintf(cluster, sizeof cluster, "test=%s", peer_url);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    const char *args[40] = {"etcd",     "--name",
                            "test",     "--data-dir",
                            data,       "--listen-client-urls",
                            client_url, "--advertise-client-urls",
                            client_url, "--listen-peer-urls",
                            peer_url,   "--initial-advertise-peer-urls",
                            peer_url,   "--initial-cluster",
                            cluster,    "--heartbeat-interval",
                            "20",       "--election-timeout",
                            "200"};
    for (size_t count = 19; extra && *extra && count < 39; extra++)
        args[count++] = *extra;
    execv("/usr/bin/etcd", (char *const *)(uintptr_t)args);
    _exit(127);
}

static void kill_and_wait(pid_t *pid)
{
    if (*pid <= 0)
        return;
    kill(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}

/* Does what the test says until it says no more, because it ended. */
static void keep(const struct etcd_server *server, const char *const *extra, int commands,
                 int answers)
{
    char data[80], command;
    snprintf(data, sizeof data, "%s/data", server->directory);
    pid_t pid = spawn(server, extra);
    while (read(commands, &command, 1) == 1 && command != 'q') {
        if (command == 'k')
            kill_and_wait(&pid);
        else if (command == 'e')
            remove_tree(data);
        else if (command == 's')
            pid = spawn(server, extra);
        else if (command == 'p')
            kill(pid, SIGSTOP);
        else if (command == 'c')
            kill(pid, SIGCONT);
        if (write(answers, &command, 1) != 1)
            break;
    }
    kill_and_wait(&pid);
    remove_tree(server->directory);
    if (write(answers, "q", 1) != 1)
        _exit(1);
    _exit(0);
}

/* --- the test's side -------------------------------------------------------------------------- */

static void wait_for_port(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    for (int i = 0; i < 1000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int failed = connect(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (!failed)
            return;
        usleep(10000);
    }
    ck_abort_msg("etcd does not take connections");
}

static void command(struct etcd_server *server, char name)
{
    char answer;
    ck_assert_int_eq(write(server->commands, &name, 1), 1);
    ck_assert_int_eq(read(server->answers, &answer, 1), 1);
}

void etcd_server_start(struct etcd_server *server, const char *const *extra)
{
    *server = (struct etcd_server){.directory = "/tmp/weir-etcd-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(server->directory));
    server->port = reserve_port();
    server->peer_port = reserve_port();
    bool is_tls = false;
    for (size_t i = 0; extra && extra[i]; i++)
        is_tls |= strcmp(extra[i], "--cert-file") == 0;
    snprintf(server->endpoint, sizeof server->endpoint, "%s://127.0.0.1:%u",
             is_tls ? "https" : "http", server->port);
    int commands[2], answers[2];
    ck_assert_int_eq(pipe2(commands, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(answers, O_CLOEXEC), 0);
    pid_t keeper = fork();
    ck_assert_int_ge(keeper, 0);
    if (keeper == 0) {
        close(commands[1]);
        close(answers[0]);
        setpgid(0, 0); /* Check kills the test's process group */
        signal(SIGPIPE, SIG_IGN);
        keep(server, extra, commands[0], answers[1]);
    }
    close(commands[0]);
    close(answers[1]);
    server->commands = commands[1];
    server->answers = answers[0];
    wait_for_port(server->port);
}

void etcd_server_kill(struct etcd_server *server)
{
    command(server, 'k');
}

void etcd_server_restart(struct etcd_server *server)
{
    command(server, 's');
    wait_for_port(server->port);
}

void etcd_server_restart_empty(struct etcd_server *server)
{
    command(server, 'e');
    etcd_server_restart(server);
}

void etcd_server_pause(struct etcd_server *server)
{
    command(server, 'p');
}

void etcd_server_resume(struct etcd_server *server)
{
    command(server, 'c');
}

void etcd_server_stop(struct etcd_server *server)
{
    command(server, 'q');
    close(server->commands);
    close(server->answers);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* --- access ----------------------------------------------------------------------------------- */

void etcd_access_init(struct etcd_access *access, struct rpc_runtime *runtime,
                      const struct etcd_server *server)
{
    struct rpc_credentials *credentials = rpc_credentials_new_insecure();
    struct rpc_channel_options options = {.reconnect_backoff_max_ms = 100,
                                          .has_own_connection = true};
    *access = (struct etcd_access){.runtime = runtime};
    access->channel = rpc_channel_new(runtime, server->endpoint + 7, credentials, &options);
    rpc_credentials_unref(credentials);
}

void etcd_access_done(struct etcd_access *access)
{
    rpc_channel_free(access->channel);
}

struct answer {
    bool is_done;
    enum rpc_status status;
    char text[256];
    struct buf *bytes;
};

static void on_done(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct answer *answer = arg;
    answer->is_done = true;
    answer->status = status;
    snprintf(answer->text, sizeof answer->text, "%s", text);
    if (answer->bytes)
        buf_append_str(answer->bytes, response);
}

void etcd_request(struct etcd_access *access, const char *method, const ProtobufCMessage *request,
                  struct buf *ret_answer)
{
    struct rpc_metadata token = {.key = "token", .value = str_from(access->token)};
    char path[80];
    snprintf(path, sizeof path, "/etcdserverpb.%s", method);
    struct rpc_buf *bytes = rpc_buf_pack(request);
    struct answer answer = {.bytes = ret_answer};
    for (int i = 0; i < 100; i++) { /* it may be starting */
        answer.is_done = false;
        rpc_call_start(access->channel, path, bytes, &token, access->token[0] != '\0', 5000,
                       on_done, &answer);
        ck_assert(loop_until_flag(rpc_runtime_loop(access->runtime), 10000, &answer.is_done));
        if (answer.status != RPC_STATUS_UNAVAILABLE)
            break;
        loop_for(rpc_runtime_loop(access->runtime), 50);
    }
    rpc_buf_unref(bytes);
    ck_assert_msg(answer.status == RPC_STATUS_OK, "%s: %s", method, answer.text);
}

static ProtobufCBinaryData binary(struct str s)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)s.data, .len = s.len};
}

int64_t etcd_put(struct etcd_access *access, const char *key, struct str value)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    request.key = binary(str_from(key));
    request.value = binary(value);
    struct buf answer;
    buf_init(&answer, 1024 * 1024);
    etcd_request(access, "KV/Put", &request.base, &answer);
    Etcdserverpb__PutResponse *response =
        etcdserverpb__put_response__unpack(NULL, answer.len, (const uint8_t *)answer.data);
    ck_assert_ptr_nonnull(response);
    int64_t revision = response->header->revision;
    etcdserverpb__put_response__free_unpacked(response, NULL);
    buf_done(&answer);
    return revision;
}

static int64_t delete_range(struct etcd_access *access, struct str from, struct str end)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = binary(from);
    request.range_end = binary(end);
    struct buf answer;
    buf_init(&answer, 1024 * 1024);
    etcd_request(access, "KV/DeleteRange", &request.base, &answer);
    Etcdserverpb__DeleteRangeResponse *response =
        etcdserverpb__delete_range_response__unpack(NULL, answer.len, (const uint8_t *)answer.data);
    ck_assert_ptr_nonnull(response);
    int64_t revision = response->header->revision;
    etcdserverpb__delete_range_response__free_unpacked(response, NULL);
    buf_done(&answer);
    return revision;
}

int64_t etcd_delete(struct etcd_access *access, const char *key)
{
    return delete_range(access, str_from(key), (struct str){0});
}

int64_t etcd_delete_prefix(struct etcd_access *access, const char *prefix)
{
    char end[256];
    snprintf(end, sizeof end, "%s", prefix);
    end[strlen(end) - 1]++;
    return delete_range(access, str_from(prefix), str_from(end));
}

int64_t etcd_put_many(struct etcd_access *access, const char *prefix, size_t count,
                      struct str value)
{
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    request.n_success = count;
    request.success = arena_alloc_array(&arena, count, sizeof *request.success);
    for (size_t i = 0; i < count; i++) {
        Etcdserverpb__PutRequest *put = ARENA_NEW(&arena, Etcdserverpb__PutRequest);
        etcdserverpb__put_request__init(put);
        put->key = binary(str_from(arena_printf(&arena, "%s%zu", prefix, i)));
        put->value = binary(value);
        request.success[i] = ARENA_NEW(&arena, Etcdserverpb__RequestOp);
        etcdserverpb__request_op__init(request.success[i]);
        request.success[i]->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        request.success[i]->request_put = put;
    }
    struct buf answer;
    buf_init(&answer, 1024 * 1024);
    etcd_request(access, "KV/Txn", &request.base, &answer);
    Etcdserverpb__TxnResponse *response =
        etcdserverpb__txn_response__unpack(NULL, answer.len, (const uint8_t *)answer.data);
    int64_t revision = response->header->revision;
    etcdserverpb__txn_response__free_unpacked(response, NULL);
    buf_done(&answer);
    arena_done(&arena);
    return revision;
}

void etcd_compact(struct etcd_access *access, int64_t revision)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    request.revision = revision;
    request.physical = true;
    etcd_request(access, "KV/Compact", &request.base, NULL);
}

bool etcd_get(struct etcd_access *access, const char *key, struct buf *ret_value)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = binary(str_from(key));
    struct buf answer;
    buf_init(&answer, 64 * 1024 * 1024);
    etcd_request(access, "KV/Range", &request.base, &answer);
    Etcdserverpb__RangeResponse *response =
        etcdserverpb__range_response__unpack(NULL, answer.len, (const uint8_t *)answer.data);
    bool is_there = response->n_kvs == 1;
    if (is_there)
        buf_append(ret_value, response->kvs[0]->value.data, response->kvs[0]->value.len);
    etcdserverpb__range_response__free_unpacked(response, NULL);
    buf_done(&answer);
    return is_there;
}
