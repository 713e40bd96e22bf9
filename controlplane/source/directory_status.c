#include "controlplane/source/directory_status.h"

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/io/file.h"
#include "controlplane/source/source_internal.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* Of folders inside each other: kind, and service for endpoints. More documents are left alone:
 * bounds the memory that whoever may write there can make us use. */
enum { FOLDERS_DEEP = 3, DOCUMENTS_MAX = 300 * 1000 };

struct reading {
    struct arena arena;
    struct source_status *documents; /* their strings are in arena */
    size_t len, cap;
};

static void add(struct reading *reading, const char *path, struct str key)
{
    struct buf bytes;
    struct errmsg msg;
    buf_init(&bytes, SOURCE_STATUS_BYTES_MAX);
    if (reading->len == reading->cap) {
        reading->cap = reading->cap ? reading->cap * 2 : 64;
        reading->documents =
            mem_resize(reading->documents, reading->cap, sizeof *reading->documents);
    }
    /* What cannot be read says nothing that could be true. */
    if (file_read(path, &bytes, &msg) != 0)
        buf_reset(&bytes);
    reading->documents[reading->len++] =
        (struct source_status){.key = arena_copy_str(&reading->arena, key),
                               .value = arena_copy_str(&reading->arena, buf_str(&bytes))};
    buf_done(&bytes);
}

static void read_folder(struct reading *reading, const char *path, const char *key_start,
                        int depth);

static void read_name(struct reading *reading, const char *folder, const char *key_start,
                      const char *name, int depth)
{
    char path[PATH_MAX], key[PATH_MAX];
    struct stat status;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path ||
        snprintf(key, sizeof key, "%s%s", key_start, name) >= (int)sizeof key - 1 ||
        lstat(path, &status) != 0)
        return;
    struct str whole = str_from(key);
    if (S_ISDIR(status.st_mode) && depth + 1 < FOLDERS_DEEP) {
        memcpy(key + whole.len, "/", 2);
        read_folder(reading, path, key, depth + 1);
    } else if (S_ISREG(status.st_mode) && depth > 0 && str_ends_with(whole, STR(".json"))) {
        add(reading, path, str_slice(whole, 0, whole.len - strlen(".json")));
    }
}

/* Recursion ends at FOLDERS_DEEP. */
static void read_folder(struct reading *reading, const char *path, const char *key_start, int depth)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    struct dirent *item;
    while ((item = readdir(folder)) && reading->len < DOCUMENTS_MAX)
        if (item->d_name[0] != '.')
            read_name(reading, path, key_start, item->d_name, depth);
    closedir(folder);
}

void directory_status_tell(const char *path, const struct source_listener *listener, void *arg)
{
    if (!listener->on_statuses)
        return;
    struct reading reading = {.len = 0};
    arena_init(&reading.arena, 64 * 1024);
    read_folder(&reading, path, "", 0);
    listener->on_statuses(arg, reading.documents, reading.len);
    mem_free(reading.documents);
    arena_done(&reading.arena);
}
