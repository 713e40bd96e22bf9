/*
 * Golden tests: for each folder tests/golden/<case>/ the policy in in/ must become what is in out/.
 *
 *     in/<kind>/<name>.json|yaml    the policy; in2/, in3/ …: what it is changed to, one after
 * another out/verdicts.txt              what became of each object out/<gateway>.<client>.json the
 * resources each kind of client gets
 *
 * With GOLDEN_UPDATE=1 in the environment out/ is written instead of compared (make golden-update).
 * The encoded resources are left in build/golden/<case>/<gateway>.<client>.bin, each file an
 * envoy.service.discovery.v3.DiscoveryResponse, for tests that decode them with other programs.
 */
#include "tests/support/test.h"

#include "common/base/mem.h"
#include "common/pbjson/pbjson.h"
#include "common/rpc/rpc.h"
#include "controlplane/model/store.h"
#include "controlplane/policy/policy.h"
#include "controlplane/translate/translate.h"

#include <dirent.h>
#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>
#include <envoy/extensions/access_loggers/file/v3/file.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h>
#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb-c.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <weir/v1/extension.pb-c.h>

#define GOLDEN_DIR "tests/golden"
#define BINARY_DIR "build/golden"

enum { TEXT_BYTES_MAX = 64 * 1024 * 1024, STEPS_MAX = 9 };

/* --- files ------------------------------------------------------------------------------------ */

/* The whole file, or false where there is none. */
static bool read_file(const char *path, struct buf *ret_bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    buf_init(ret_bytes, TEXT_BYTES_MAX);
    char block[4096];
    size_t len;
    while ((len = fread(block, 1, sizeof block, file)) > 0)
        buf_append(ret_bytes, block, len);
    fclose(file);
    return true;
}

static void make_dirs(const char *path)
{
    char part[1024];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ck_assert(mkdir(part, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void write_file(const char *path, struct str bytes)
{
    make_dirs(path);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    ck_assert_int_eq(fclose(file), 0);
}

static bool is_update(void)
{
    return getenv("GOLDEN_UPDATE") != NULL;
}

/* Fails where the file does not hold text, at the first line that differs. */
static void compare_file(const char *path, struct str text)
{
    struct buf expected;
    ck_assert_msg(read_file(path, &expected), "%s is missing; make golden-update writes it", path);
    size_t at = 0, line = 1, line_at = 0;
    while (at < text.len && at < expected.len && text.data[at] == expected.data[at]) {
        if (text.data[at++] == '\n') {
            line++;
            line_at = at;
        }
    }
    if (at != text.len || at != expected.len) {
        struct str is = str_slice(text, line_at, str_find_char(text, '\n', at));
        struct str should =
            str_slice(buf_str(&expected), line_at, str_find_char(buf_str(&expected), '\n', at));
        ck_abort_msg("%s:%zu differs\n  is:     %.*s\n  should: %.*s", path, line, STR_ARGS(is),
                     STR_ARGS(should));
    }
    buf_done(&expected);
}

static void check_file(const char *path, struct str text)
{
    if (is_update())
        write_file(path, text);
    else
        compare_file(path, text);
}

/* --- policy in -------------------------------------------------------------------------------- */

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

struct input {
    struct arena arena;
    struct model_change changes[1000];
    size_t count;
    int64_t revision;
    const struct input *previous; /* what has not changed since keeps its revision */
};

static int64_t revision_of(const struct input *input, struct str key, struct str value)
{
    const struct input *previous = input->previous;
    for (size_t i = 0; previous && i < previous->count; i++) {
        const struct model_change *change = &previous->changes[i];
        if (str_equal(change->key, key) && str_equal(change->value, value))
            return change->revision;
    }
    return input->revision;
}

static void add_value(struct input *input, const char *path, const char *key)
{
    struct buf bytes;
    ck_assert(read_file(path, &bytes));
    struct str name = str_from(key);
    bool is_yaml = str_ends_with(name, STR(".yaml"));
    name.len -= is_yaml ? 5 : strlen(".json");
    ck_assert_uint_lt(input->count, 1000);
    input->changes[input->count++] = (struct model_change){
        .key = arena_copy_str(&input->arena, name),
        .value = arena_copy_str(&input->arena, buf_str(&bytes)),
        .revision = revision_of(input, name, buf_str(&bytes)),
        .format = is_yaml ? MODEL_YAML : MODEL_JSON,
        .is_oversize = str_ends_with(name, STR("oversize")),
    };
    buf_done(&bytes);
}

/* All files below directory/folder; keys are paths below directory. */
static void add_folder(struct input *input, const char *directory, const char *folder)
{
    char path[512];
    struct dirent **entries;
    snprintf(path, sizeof path, "%s/%s", directory, folder);
    int count = scandir(path, &entries, is_visible, alphasort);
    ck_assert_msg(count >= 0, "cannot read %s", path);
    for (int i = 0; i < count; i++) {
        struct stat status;
        char key[300];
        snprintf(key, sizeof key, "%s%s%.200s", folder, *folder ? "/" : "", entries[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", directory, key);
        ck_assert_int_eq(stat(path, &status), 0);
        if (S_ISDIR(status.st_mode))
            add_folder(input, directory, key);
        else
            add_value(input, path, key);
        free(entries[i]);
    }
    free(entries);
}

static void input_free(struct input *input)
{
    if (input)
        arena_done(&input->arena);
    mem_free(input);
}

/* Applies directory as the whole policy in place of *input; false where there is no such directory.
 */
static bool apply_directory(struct model_store *store, const char *directory, int64_t revision,
                            struct input **input)
{
    struct stat status;
    if (stat(directory, &status) != 0)
        return false;
    struct input *next = MEM_NEW(struct input);
    next->revision = revision;
    next->previous = *input;
    arena_init(&next->arena, 4096);
    add_folder(next, directory, "");
    model_store_apply(store, next->changes, next->count, true);
    input_free(*input);
    *input = next;
    return true;
}

/* --- verdicts and resources out --------------------------------------------------------------- */

struct lines {
    struct arena arena;
    struct str items[2000];
    size_t count;
};

static void add_verdict(const struct model_verdict *verdict, void *arg)
{
    struct lines *lines = arg;
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    if (verdict->is_deleted)
        buf_printf(&text, "%.*s: deleted\n", STR_ARGS(verdict->key));
    else if (verdict->is_accepted)
        buf_printf(&text, "%.*s: accepted\n", STR_ARGS(verdict->key));
    else
        buf_printf(&text, "%s [refused%s]\n", verdict->message,
                   verdict->is_using_last_good ? ", using the last good version" : "");
    for (size_t i = 0; i < verdict->warning_count; i++)
        buf_printf(&text, "    %s\n", verdict->warnings[i]);
    ck_assert_uint_lt(lines->count, 2000);
    lines->items[lines->count++] = arena_copy_str(&lines->arena, buf_str(&text));
    buf_done(&text);
}

static int compare_lines(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void print_verdicts(struct model_store *store, const char *title, struct buf *out)
{
    struct lines *lines = MEM_NEW(struct lines);
    arena_init(&lines->arena, 4096);
    model_store_take_verdicts(store, add_verdict, lines);
    qsort(lines->items, lines->count, sizeof *lines->items, compare_lines);
    buf_printf(out, "%s\n", title);
    for (size_t i = 0; i < lines->count; i++)
        buf_append_str(out, lines->items[i]);
    arena_done(&lines->arena);
    mem_free(lines);
}

static struct pbjson_registry *make_registry(void)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &envoy__config__route__v3__filter_config__descriptor,
        &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation_per_route__descriptor,
        &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor,
        &envoy__extensions__filters__http__router__v3__router__descriptor,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
        &envoy__extensions__http__early_header_mutation__header_mutation__v3__header_mutation__descriptor,
        &weir__v1__cluster_extension__descriptor,
    };
    struct pbjson_registry *registry = pbjson_registry_new();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        pbjson_registry_add(registry, types[i]);
    return registry;
}

static const ProtobufCMessageDescriptor *type_of(enum resource_type type)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        [RESOURCE_CLUSTER] = &envoy__config__cluster__v3__cluster__descriptor,
        [RESOURCE_ENDPOINTS] = &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
        [RESOURCE_LISTENER] = &envoy__config__listener__v3__listener__descriptor,
        [RESOURCE_ROUTES] = &envoy__config__route__v3__route_configuration__descriptor,
    };
    return types[type];
}

static void print_resource(const struct resource *resource, struct buf *out)
{
    struct pbjson_registry *registry = make_registry();
    struct pbjson_options options = {.registry = registry, .indent = 2};
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    ProtobufCMessage *message =
        pbjson_unpack(type_of(resource->type), resource_message_bytes(resource), &arena);
    ck_assert_msg(message != NULL, "%.*s cannot be decoded", STR_ARGS(resource->name));
    ck_assert_uint_eq(message->n_unknown_fields, 0);
    ck_assert_int_eq(pbjson_print(message, &options, out), 0);
    buf_append_char(out, '\n');
    arena_done(&arena);
    pbjson_registry_free(registry);
}

static void check_snapshot(const char *name, const struct world_entry *entry)
{
    static const char *const kinds[CLIENT_KIND_COUNT] = {
        [CLIENT_ENVOY] = "envoy", [CLIENT_GRPC] = "grpc"};
    char path[512];
    struct buf text, bytes;
    struct errmsg msg;
    buf_init(&text, TEXT_BYTES_MAX);
    buf_init(&bytes, TEXT_BYTES_MAX);
    ck_assert_int_eq(snapshot_check(entry->snapshot, &msg), 0);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        const struct resource_set *set = entry->snapshot->sets[type];
        for (size_t i = 0; i < set->len; i++) {
            print_resource(set->items[i], &text);
            buf_append_str(&bytes, rpc_buf_str(set->items[i]->sotw_field));
        }
    }
    snprintf(path, sizeof path, GOLDEN_DIR "/%s/out/%.*s.%s.json", name, STR_ARGS(entry->gateway),
             kinds[entry->kind]);
    check_file(path, buf_str(&text));
    snprintf(path, sizeof path, BINARY_DIR "/%s/%.*s.%s.bin", name, STR_ARGS(entry->gateway),
             kinds[entry->kind]);
    write_file(path, buf_str(&bytes));
    buf_done(&text);
    buf_done(&bytes);
}

/* --- cases ------------------------------------------------------------------------------------ */

/* A world made at once must be the one that was made step by step. */
static void check_same_from_scratch(struct model *model, const struct world *world)
{
    struct translator *translator = translator_new();
    struct world *again = translator_run(translator, model, NULL, NULL);
    ck_assert_uint_eq(again->len, world->len);
    for (size_t i = 0; i < world->len; i++) {
        for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
            ck_assert_str_eq(again->entries[i].snapshot->sets[type]->version.hex,
                             world->entries[i].snapshot->sets[type]->version.hex);
    }
    world_free(again);
    translator_free(translator);
}

static void check_case(const char *name)
{
    struct model_store *store = model_store_new(policy_check);
    struct translator *translator = translator_new();
    struct world *world = NULL;
    struct model *model = NULL;
    struct input *input = NULL;
    struct buf verdicts;
    char path[512];
    buf_init(&verdicts, TEXT_BYTES_MAX);
    for (int step = 1; step <= STEPS_MAX; step++) {
        char folder[8] = "in";
        if (step > 1)
            snprintf(folder, sizeof folder, "in%d", step);
        snprintf(path, sizeof path, GOLDEN_DIR "/%s/%s", name, folder);
        if (!apply_directory(store, path, step, &input))
            break;
        model_free(model);
        world_free(world);
        model = model_store_build(store, step);
        print_verdicts(store, folder, &verdicts);
        world = translator_run(translator, model, NULL, NULL);
        check_same_from_scratch(model, world);
    }
    ck_assert_msg(world != NULL, "%s has no in/", name);
    snprintf(path, sizeof path, GOLDEN_DIR "/%s/out/verdicts.txt", name);
    check_file(path, buf_str(&verdicts));
    for (size_t i = 0; i < world->len; i++)
        check_snapshot(name, &world->entries[i]);
    world_free(world);
    model_free(model);
    translator_free(translator);
    model_store_free(store);
    input_free(input);
    buf_done(&verdicts);
}

START_TEST(policy_of_every_golden_case_becomes_the_expected_resources)
{
    struct dirent **entries;
    int count = scandir(GOLDEN_DIR, &entries, is_visible, alphasort);
    int cases = 0;
    ck_assert_msg(count > 0, "no " GOLDEN_DIR " here: run it from the top of the checkout");
    for (int i = 0; i < count; i++) {
        struct stat status;
        char path[512];
        snprintf(path, sizeof path, GOLDEN_DIR "/%.200s", entries[i]->d_name);
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
            check_case(entries[i]->d_name);
            cases++;
        }
        free(entries[i]);
    }
    free(entries);
    ck_assert_int_gt(cases, 0);
}
END_TEST

TEST_MAIN("golden", policy_of_every_golden_case_becomes_the_expected_resources)
