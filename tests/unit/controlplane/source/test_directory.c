/* The directory source: what editors, scripts and volume mounts do to files. */
#include "common/io/file.h"
#include "controlplane/source/source.h"
#include "tests/support/loop_until.h"
#include "tests/support/source_log.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    const char *root;
    struct loop *loop;
    struct source_log log;
    struct source *source;
    struct source_directory_options options;
    char path[96], status_path[96];
};

static void world_init(struct world *world)
{
    *world = (struct world){.root = temp_folder()};
    snprintf(world->path, sizeof world->path, "%s/policy", world->root);
    snprintf(world->status_path, sizeof world->status_path, "%s/status", world->root);
    ck_assert_int_eq(mkdir(world->path, 0755), 0);
    world->loop = loop_new();
    world->log.loop = world->loop;
    world->options = (struct source_directory_options){
        .path = world->path, .status_path = world->status_path, .settle_ms = 200};
}

static void world_done(struct world *world)
{
    if (world->source)
        source_stop(world->source);
    source_free(world->source);
    source_log_done(&world->log);
    loop_free(world->loop);
}

static void start(struct world *world)
{
    world->source =
        source_directory_new(world->loop, &world->options, &source_log_listener, &world->log);
    source_start(world->source);
}

static void start_synced(struct world *world)
{
    start(world);
    source_log_wait_state(&world->log, SOURCE_SYNCED, 5000);
}

static const char *path_of(const struct world *world, const char *name)
{
    static char paths[2][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    snprintf(path, PATH_MAX, "%s/%s", world->path, name);
    return path;
}

/* Makes the folders of name and writes it as a careless script does: truncate, then write. */
static void write_file(const struct world *world, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", path_of(world, name));
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(files_are_delivered_by_kind_and_name)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/users.json", "{}");
    write_file(&world, "routes/orders.yaml", "a: 1");
    write_file(&world, "services/users.yml", "b: 1");
    write_file(&world, "endpoints/users/10.0.0.1.json", "{\"e\":1}");
    write_file(&world, "routes/.hidden.json", "{}");
    write_file(&world, "routes/users.json~", "{}");
    write_file(&world, "routes/notes.txt", "hello");
    write_file(&world, "README.json", "{}");
    write_file(&world, "routes/too/deep/file.json", "{}");
    start_synced(&world);
    ck_assert_uint_eq(world.log.snapshots, 1);
    ck_assert_uint_eq(world.log.objects.len, 4);
    ck_assert(!source_log_find(&world.log, "routes/users")->is_yaml);
    ck_assert(source_log_find(&world.log, "routes/orders")->is_yaml);
    ck_assert(source_log_find(&world.log, "services/users")->is_yaml);
    ck_assert_str_eq(source_log_find(&world.log, "endpoints/users/10.0.0.1")->value, "{\"e\":1}");
    world_done(&world);
}
END_TEST

START_TEST(changes_are_noticed_however_they_are_made)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/a.json", "1");
    write_file(&world, "routes/b.json", "1");
    start_synced(&world);
    write_file(&world, "routes/a.json", "2");
    source_log_wait_value(&world.log, "routes/a", "2");
    ck_assert_uint_eq(world.log.last_change_count, 1);
    ck_assert_int_eq(source_log_find(&world.log, "routes/a")->mod_revision, world.log.revision);
    ck_assert_int_lt(source_log_find(&world.log, "routes/b")->mod_revision, world.log.revision);

    /* An editor: a new file beside it, renamed over it. */
    write_file(&world, "routes/.a.json.swp", "3");
    ck_assert_int_eq(
        rename(path_of(&world, "routes/.a.json.swp"), path_of(&world, "routes/a.json")), 0);
    source_log_wait_value(&world.log, "routes/a", "3");

    write_file(&world, "limits/new.yaml", "x: 1"); /* in a folder that was not there */
    source_log_wait_value(&world.log, "limits/new", "x: 1");
    write_file(&world, "limits/more.yaml", "x: 2");
    source_log_wait_value(&world.log, "limits/more", "x: 2");
    ck_assert_int_eq(unlink(path_of(&world, "routes/b.json")), 0);
    source_log_wait_value(&world.log, "routes/b", NULL);
    ck_assert_int_eq(rename(path_of(&world, "limits"), path_of(&world, "plans")), 0);
    source_log_wait_value(&world.log, "plans/new", "x: 1");
    ck_assert_ptr_null(source_log_find(&world.log, "limits/new"));
    ck_assert_uint_eq(world.log.snapshots, 1);
    world_done(&world);
}
END_TEST

START_TEST(a_file_that_is_being_written_is_read_when_it_is_closed)
{
    struct world world;
    world_init(&world);
    write_file(&world, "limits/a.yaml", "requests: 1");
    write_file(&world, "limits/b.yaml", "1");
    start_synced(&world);
    FILE *file = fopen(path_of(&world, "limits/a.yaml"), "w");
    ck_assert_ptr_nonnull(file);
    fputs("requests: 5", file);
    fflush(file);
    write_file(&world, "limits/b.yaml", "2"); /* something else makes it look */
    source_log_wait_value(&world.log, "limits/b", "2");
    ck_assert_str_eq(source_log_find(&world.log, "limits/a")->value, "requests: 1");
    fputs("000", file);
    fclose(file);
    source_log_wait_value(&world.log, "limits/a", "requests: 5000");

    file = fopen(path_of(&world, "limits/new.yaml"), "w");
    fputs("half", file);
    fflush(file);
    write_file(&world, "limits/b.yaml", "3");
    source_log_wait_value(&world.log, "limits/b", "3");
    ck_assert_ptr_null(source_log_find(&world.log, "limits/new"));
    ck_assert_int_eq(
        rename(path_of(&world, "limits/new.yaml"), path_of(&world, "limits/other.yaml")), 0);
    source_log_wait_value(&world.log, "limits/other", "half"); /* whoever renames it means it */
    fclose(file);
    world_done(&world);
}
END_TEST

START_TEST(a_burst_of_changes_is_one_call)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/first.json", "0");
    start_synced(&world);
    for (int i = 0; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof name, "routes/r%d.json", i);
        write_file(&world, name, "1");
    }
    source_log_wait_value(&world.log, "routes/r49", "1");
    ck_assert_uint_eq(world.log.changes, 1);
    ck_assert_uint_eq(world.log.last_change_count, 50);
    world_done(&world);
}
END_TEST

START_TEST(a_mounted_volume_is_swapped_as_kubernetes_does)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/..v1/a.json", "1");
    write_file(&world, "routes/..v2/a.json", "2");
    ck_assert_int_eq(symlink("..v1", path_of(&world, "routes/..data")), 0);
    ck_assert_int_eq(symlink("..data/a.json", path_of(&world, "routes/a.json")), 0);
    start_synced(&world);
    ck_assert_str_eq(source_log_find(&world.log, "routes/a")->value, "1");
    ck_assert_int_eq(symlink("..v2", path_of(&world, "routes/..tmp")), 0);
    ck_assert_int_eq(rename(path_of(&world, "routes/..tmp"), path_of(&world, "routes/..data")), 0);
    source_log_wait_value(&world.log, "routes/a", "2");
    ck_assert_uint_eq(world.log.objects.len, 1);
    world_done(&world);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_waited_for)
{
    struct world world;
    world_init(&world);
    ck_assert_int_eq(rmdir(world.path), 0);
    start(&world);
    source_log_wait_state(&world.log, SOURCE_CONNECTING, 2000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "No such file"));
    ck_assert_uint_eq(world.log.snapshots, 0);
    write_file(&world, "routes/a.json", "1");
    source_log_wait_value(&world.log, "routes/a", "1");
    ck_assert_int_eq(world.log.state, SOURCE_SYNCED);
    world_done(&world);
}
END_TEST

START_TEST(a_directory_that_vanishes_keeps_the_last_state)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/a.json", "1");
    write_file(&world, "routes/b.json", "1");
    start_synced(&world);
    char away[PATH_MAX];
    snprintf(away, sizeof away, "%s/away", world.root);
    ck_assert_int_eq(rename(world.path, away), 0);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_int_eq(rename(away, world.path), 0);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_uint_eq(world.log.changes, 0);
    world_done(&world);
}
END_TEST

START_TEST(removing_everything_at_once_is_held_back_until_confirmed)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/a.json", "1");
    write_file(&world, "routes/b.json", "1");
    start_synced(&world);
    unlink(path_of(&world, "routes/a.json"));
    unlink(path_of(&world, "routes/b.json"));
    source_log_wait_state(&world.log, SOURCE_EMPTIED, 5000);
    ck_assert_uint_eq(world.log.objects.len, 2);
    write_file(&world, "allow-empty", "");
    source_log_wait_value(&world.log, "routes/a", NULL);
    ck_assert_uint_eq(world.log.objects.len, 0);
    ck_assert_int_eq(world.log.state, SOURCE_SYNCED);
    world_done(&world);
}
END_TEST

START_TEST(after_an_emptiness_what_is_there_and_quiet_is_delivered)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/a.json", "1");
    write_file(&world, "routes/b.json", "1");
    start_synced(&world);
    unlink(path_of(&world, "routes/a.json"));
    unlink(path_of(&world, "routes/b.json"));
    source_log_wait_state(&world.log, SOURCE_EMPTIED, 5000);
    write_file(&world, "routes/c.json", "1");
    loop_for(world.loop, 100);
    ck_assert_uint_eq(world.log.objects.len, 2);
    source_log_wait_value(&world.log, "routes/c", "1");
    ck_assert_uint_eq(world.log.objects.len, 1);
    ck_assert_uint_eq(world.log.snapshots, 2);
    world_done(&world);
}
END_TEST

START_TEST(limits_mark_or_refuse)
{
    struct world world;
    world_init(&world);
    world.options.limits.value_bytes_max = 10;
    world.options.limits.objects_max = 3;
    write_file(&world, "routes/a.json", "12345678901");
    write_file(&world, "routes/b.json", "1");
    start_synced(&world);
    ck_assert(source_log_find(&world.log, "routes/a")->is_oversized);
    ck_assert_uint_eq(source_log_find(&world.log, "routes/a")->value_bytes, 11);
    ck_assert(!source_log_find(&world.log, "routes/b")->is_oversized);
    write_file(&world, "routes/c.json", "1");
    write_file(&world, "routes/d.json", "1");
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "more than 3"));
    ck_assert_uint_eq(world.log.objects.len, 2);
    world_done(&world);
}
END_TEST

START_TEST(of_several_files_for_one_key_the_json_one_counts_then_the_yaml_one)
{
    struct world world;
    world_init(&world);
    write_file(&world, "routes/a.yaml", "x: 1");
    write_file(&world, "routes/a.json", "{}");
    write_file(&world, "routes/a.yml", "x: 1");
    for (int i = 0; i < 8; i++) { /* in whatever order the file system lists them */
        char name[32];
        snprintf(name, sizeof name, "routes/b%d.%s", i, i % 2 ? "yaml" : "yml");
        write_file(&world, name, i % 2 ? "x: 1" : "x: 2");
        snprintf(name, sizeof name, "routes/b%d.%s", i, i % 2 ? "yml" : "yaml");
        write_file(&world, name, i % 2 ? "x: 2" : "x: 1");
    }
    start_synced(&world);
    ck_assert_uint_eq(world.log.objects.len, 9);
    ck_assert(!source_log_find(&world.log, "routes/a")->is_yaml);
    for (int i = 0; i < 8; i++) {
        char key[32];
        snprintf(key, sizeof key, "routes/b%d", i);
        ck_assert_str_eq(source_log_find(&world.log, key)->value, "x: 1");
    }
    world_done(&world);
}
END_TEST

START_TEST(statuses_are_files_and_stay_in_their_directory)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    source_put_status(world.source, STR("routes/a"), STR("{\"ok\":true}"));
    source_put_status(world.source, STR("../policy/routes/b"), STR("{}"));
    source_put_status(world.source, STR("/routes/b"), STR("{}"));
    source_put_status(world.source, STR("routes//b"), STR("{}"));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/routes/a.json", world.status_path);
    struct buf bytes;
    struct errmsg msg;
    buf_init(&bytes, 100);
    ck_assert_int_eq(file_read(path, &bytes, &msg), 0);
    ck_assert_str_eq_len(buf_str(&bytes), "{\"ok\":true}");
    buf_done(&bytes);
    ck_assert_int_ne(access(path_of(&world, "routes/b.json"), F_OK), 0);
    snprintf(path, sizeof path, "%s/routes/b.json", world.status_path);
    ck_assert_int_ne(access(path, F_OK), 0);
    source_delete_status(world.source, STR("routes/a"));
    snprintf(path, sizeof path, "%s/routes/a.json", world.status_path);
    ck_assert_int_ne(access(path, F_OK), 0);
    world_done(&world);
}
END_TEST

TEST_MAIN("directory source", files_are_delivered_by_kind_and_name,
          changes_are_noticed_however_they_are_made,
          a_file_that_is_being_written_is_read_when_it_is_closed, a_burst_of_changes_is_one_call,
          a_mounted_volume_is_swapped_as_kubernetes_does,
          a_directory_that_is_not_there_is_waited_for,
          a_directory_that_vanishes_keeps_the_last_state,
          removing_everything_at_once_is_held_back_until_confirmed,
          after_an_emptiness_what_is_there_and_quiet_is_delivered, limits_mark_or_refuse,
          of_several_files_for_one_key_the_json_one_counts_then_the_yaml_one,
          statuses_are_files_and_stay_in_their_directory)
