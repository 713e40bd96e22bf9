/* A directory tree as a source: inotify says that something changed, then everything is read and
 * compared, which is right whatever an editor or a volume mount did to get there. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/file.h"
#include "controlplane/source/being_written.h"
#include "controlplane/source/directory_status.h"
#include "controlplane/source/source_internal.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* <kind>/<name> and <kind>/<service>/<instance>. */
enum { FOLDERS_DEEP = 3 };
/* Files that keep changing are read after this, and a root that is not there is looked for. */
enum { DEBOUNCE_MAX_MS = 500, ABSENT_MS = 1000 };

struct directory_source {
    struct source base;
    struct loop *loop;
    char *path, *status_path;
    int debounce_ms, rescan_ms, settle_ms;
    int inotify_fd;
    struct event *event;
    struct being_written being_written;
    struct loop_timer debounce, rescan, settle;
    uint64_t first_event_ms; /* of those not acted on; 0: none */
    int64_t revision;
    bool is_started, is_stopped, has_settled;
    bool has_told_statuses;

    /* While scanning. */
    struct source_store staging;
    bool sees_allow_empty;
    int failure; /* an errno for the root; 0: it was read */
};

static struct directory_source *of(struct source *base)
{
    return CONTAINER_OF(base, struct directory_source, base);
}

/* --- events ----------------------------------------------------------------------------------- */

static void note_change(struct directory_source *source)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (source->first_event_ms == 0)
        source->first_event_ms = now_ms;
    if (now_ms - source->first_event_ms < DEBOUNCE_MAX_MS)
        loop_timer_start(&source->debounce, (uint64_t)source->debounce_ms);
}

/* Apart from files that are being written, what exactly happened does not matter. */
static void take_events(struct directory_source *source)
{
    _Alignas(struct inotify_event) char events[16 * 1024];
    ssize_t got;
    while (source->inotify_fd >= 0 && (got = read(source->inotify_fd, events, sizeof events)) > 0) {
        bool has_changed = false;
        for (size_t at = 0; at < (size_t)got;) {
            const struct inotify_event *event = (const struct inotify_event *)&events[at];
            has_changed |= being_written_note(&source->being_written, event);
            at += sizeof *event + event->len;
        }
        if (has_changed)
            note_change(source);
    }
}

static void on_inotify(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    take_events(arg);
}

/* --- scanning --------------------------------------------------------------------------------- */

/* Keeps what is known of keys that begin so: a file or folder that cannot be read is not gone. */
static void keep_known(struct directory_source *source, struct str key_start, bool is_folder)
{
    MAP_FOR_EACH(slot, &source->base.store.objects) {
        const struct source_store_object *object = slot->value;
        if (is_folder ? str_starts_with(slot->key, key_start) : str_equal(slot->key, key_start))
            source_store_put(&source->staging, &object->entry);
    }
}

/* The format by the name's ending; the key's last part is the name without it. */
static bool is_object_file(struct str name, struct str *ret_stem, bool *ret_is_yaml)
{
    static const struct {
        const char *ending;
        bool is_yaml;
    } formats[] = {{".json", false}, {".yaml", true}, {".yml", true}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct str ending = str_from(formats[i].ending);
        if (name.len > ending.len && str_ends_with(name, ending)) {
            *ret_stem = str_slice(name, 0, name.len - ending.len);
            *ret_is_yaml = formats[i].is_yaml;
            return true;
        }
    }
    return false;
}

/* A folder that is read. */
struct folder {
    const char *path;
    const char *key_start;
    int depth;
    int watch;
};

/* Somebody has begun to write it, and may have done so before it was read. */
static bool is_half(struct directory_source *source, const struct folder *folder, const char *name)
{
    take_events(source);
    return being_written_has(&source->being_written, folder->watch, name);
}

static void stage_file(struct directory_source *source, const struct folder *folder,
                       const char *name, const char *path, struct str key, bool is_yaml,
                       size_t size)
{
    const struct source_store_object *other = source_store_find(&source->staging, key);
    if (other)
        log_warning("directory_object_twice key=%.*s action=\"of .json, .yaml and .yml the first "
                    "that is there counts\"",
                    STR_ARGS(key));
    bool is_second_choice =
        other && is_yaml && (!other->entry.is_yaml || str_ends_with(str_from(path), STR(".yml")));
    if (is_second_choice)
        return;
    struct source_entry entry = {.key = key, .is_yaml = is_yaml, .value_bytes = size};
    struct buf bytes;
    struct errmsg msg;
    buf_init(&bytes, source->base.limits.value_bytes_max);
    int err = file_read(path, &bytes, &msg);
    if (is_half(source, folder, name)) {
        keep_known(source, key, false); /* it is read when it is closed */
    } else if (err == ERR_TOO_LARGE) {
        entry.is_oversized = true;
        source_store_put(&source->staging, &entry);
    } else if (!err) {
        entry.value = buf_str(&bytes);
        source_store_limit(&source->staging, &source->base.limits, &entry);
        source_store_put(&source->staging, &entry);
    } else if (err != ERR_NOT_FOUND) {
        log_warning("directory_file_unreadable reason=\"%s\"", msg.text);
        keep_known(source, key, false);
    }
    buf_done(&bytes);
}

static void scan(struct directory_source *source, struct folder folder);

static void scan_name(struct directory_source *source, const struct folder *folder,
                      const char *name)
{
    int depth = folder->depth;
    char path[PATH_MAX], key[PATH_MAX];
    struct stat status;
    int path_len = snprintf(path, sizeof path, "%s/%s", folder->path, name);
    if (path_len >= (int)sizeof path || stat(path, &status) != 0)
        return;
    if (depth == 0 && strcmp(name, SOURCE_ALLOW_EMPTY_KEY) == 0) {
        source->sees_allow_empty = true;
    } else if (S_ISDIR(status.st_mode) && depth + 1 < FOLDERS_DEEP) {
        int key_len = snprintf(key, sizeof key, "%s%s/", folder->key_start, name);
        if (key_len < (int)sizeof key)
            scan(source, (struct folder){.path = path, .key_start = key, .depth = depth + 1});
    } else if (S_ISREG(status.st_mode) && depth > 0) {
        struct str stem;
        bool is_yaml;
        if (!is_object_file(str_from(name), &stem, &is_yaml))
            return;
        int key_len = snprintf(key, sizeof key, "%s%.*s", folder->key_start, STR_ARGS(stem));
        if (key_len < (int)sizeof key)
            stage_file(source, folder, name, path, str_from(key), is_yaml, (size_t)status.st_size);
    }
}

/* Recursion ends at FOLDERS_DEEP. */
static void scan(struct directory_source *source, struct folder folder)
{
    /* Before reading, so that what changes meanwhile is told. */
    folder.watch =
        inotify_add_watch(source->inotify_fd, folder.path,
                          IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                              IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    DIR *items = opendir(folder.path);
    if (!items) {
        if (folder.depth == 0)
            source->failure = errno;
        else if (errno != ENOENT)
            keep_known(source, str_from(folder.key_start), true);
        return;
    }
    struct dirent *item;
    while ((item = readdir(items)) &&
           source->staging.objects.len <= source->base.limits.objects_max)
        if (item->d_name[0] != '.')
            scan_name(source, &folder, item->d_name);
    closedir(items);
}

/* --- comparing -------------------------------------------------------------------------------- */

static bool is_same(const struct source_entry *a, const struct source_entry *b)
{
    return str_equal(a->value, b->value) && a->value_bytes == b->value_bytes &&
           a->is_oversized == b->is_oversized && a->is_yaml == b->is_yaml;
}

/* Gives each staged object the revision at which it last changed; returns what changed, for
 * mem_free, or NULL. The changes borrow the strings of both stores. */
static struct source_change *compare(struct directory_source *source, size_t *ret_count)
{
    size_t count = 0;
    struct source_store *known = &source->base.store, *now = &source->staging;
    struct source_change *changes =
        mem_alloc_zero(known->objects.len + now->objects.len + 1, sizeof *changes);
    MAP_FOR_EACH(slot, &now->objects) {
        struct source_store_object *object = slot->value;
        const struct source_store_object *old = source_store_find(known, slot->key);
        bool is_changed = !old || !is_same(&old->entry, &object->entry);
        object->entry.mod_revision = is_changed ? source->revision + 1 : old->entry.mod_revision;
        if (is_changed)
            changes[count++].entry = object->entry;
    }
    MAP_FOR_EACH(slot, &known->objects) {
        const struct source_store_object *old = slot->value;
        if (source_store_find(now, slot->key))
            continue;
        changes[count] = (struct source_change){
            .entry = {.key = old->entry.key, .mod_revision = source->revision + 1},
            .is_deleted = true};
        count++;
    }
    *ret_count = count;
    return changes;
}

static void deliver(struct directory_source *source)
{
    struct source *base = &source->base;
    size_t count;
    struct source_change *changes = compare(source, &count);
    bool is_snapshot = !base->has_delivered || base->is_held;
    if (count > 0 || is_snapshot)
        source->staging.revision = ++source->revision;
    if (is_snapshot) {
        source_deliver_snapshot(base, &source->staging, false);
    } else if (count > 0) {
        /* The keys of what is deleted live in the old store. */
        struct source_store old = base->store;
        base->store = source->staging;
        source->staging = old;
        base->listener->on_changes(base->arg, changes, count, source->revision);
    }
    mem_free(changes);
}

static void conclude(struct directory_source *source)
{
    struct source *base = &source->base;
    base->allows_empty = source->sees_allow_empty;
    bool is_wipe = source_is_wipe(base, source->staging.objects.len);
    bool waits = base->is_held && !source->has_settled && !base->allows_empty;
    if (is_wipe && !base->is_held)
        log_error("directory_emptied path=%s objects=%zu action=\"the last state is kept\"",
                  source->path, base->store.objects.len);
    if (is_wipe || waits)
        base->is_held = true;
    else
        deliver(source);
    if (is_wipe)
        loop_timer_stop(&source->settle);
    else if (waits)
        loop_timer_start(&source->settle, (uint64_t)source->settle_ms);
    char where[192];
    snprintf(where, sizeof where, "directory %s", source->path);
    source_report_synced(base, where);
    if (source->status_path && !source->has_told_statuses) {
        source->has_told_statuses = true;
        directory_status_tell(source->status_path, base->listener, base->arg);
    }
}

static void scan_all(struct directory_source *source)
{
    struct source *base = &source->base;
    source->first_event_ms = 0;
    source->failure = 0;
    source->sees_allow_empty = false;
    loop_timer_stop(&source->debounce);
    scan(source, (struct folder){.path = source->path, .key_start = ""});
    enum source_state state = base->has_delivered ? SOURCE_DISCONNECTED : SOURCE_CONNECTING;
    if (source->failure)
        source_report(base, state, "directory %s cannot be read: %s", source->path,
                      strerror(source->failure));
    else if (source->staging.objects.len > base->limits.objects_max)
        source_report(base, state, "directory %s has more than %zu objects", source->path,
                      base->limits.objects_max);
    else
        conclude(source);
    source_store_done(&source->staging);
    source->has_settled = false;
    loop_timer_start(&source->rescan, (uint64_t)(source->failure ? ABSENT_MS : source->rescan_ms));
}

/* --- timers ----------------------------------------------------------------------------------- */

static void on_debounced(struct loop_timer *timer)
{
    scan_all(CONTAINER_OF(timer, struct directory_source, debounce));
}

static void on_rescan(struct loop_timer *timer)
{
    struct directory_source *source = CONTAINER_OF(timer, struct directory_source, rescan);
    if (source->base.is_held && loop_timer_is_running(&source->settle))
        loop_timer_start(&source->rescan, (uint64_t)source->rescan_ms); /* it will scan */
    else
        scan_all(source);
}

static void on_settled(struct loop_timer *timer)
{
    struct directory_source *source = CONTAINER_OF(timer, struct directory_source, settle);
    source->has_settled = true;
    scan_all(source);
}

/* --- statuses --------------------------------------------------------------------------------- */

/* Relative, without empty and dot segments: it stays below the status directory. */
static bool is_safe_key(struct str key)
{
    size_t start = 0;
    while (start <= key.len) {
        size_t end = str_find_char(key, '/', start);
        if (end == start || key.data[start] == '.')
            return false;
        start = end + 1;
    }
    return key.len < 1024 && !memchr(key.data, '\0', key.len);
}

static bool status_file(const struct directory_source *source, struct str key, char *path,
                        size_t size)
{
    if (!source->status_path || !is_safe_key(key))
        return false;
    int len = snprintf(path, size, "%s/%.*s.json", source->status_path, STR_ARGS(key));
    return len > 0 && (size_t)len < size;
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
}

static void put_status(struct source *base, struct str key, struct str value)
{
    char path[PATH_MAX];
    struct errmsg msg;
    if (!status_file(of(base), key, path, sizeof path))
        return;
    make_folders(path);
    if (file_replace(path, value, false, &msg) != 0)
        log_warning("directory_status_not_written reason=\"%s\"", msg.text);
}

static void delete_status(struct source *base, struct str key)
{
    char path[PATH_MAX];
    if (status_file(of(base), key, path, sizeof path))
        unlink(path);
}

/* --- life ------------------------------------------------------------------------------------- */

static void start(struct source *base)
{
    struct directory_source *source = of(base);
    source->is_started = true;
    if (source->inotify_fd >= 0)
        event_add(source->event, NULL);
    loop_timer_start(&source->rescan, 0);
}

static void stop(struct source *base)
{
    struct directory_source *source = of(base);
    source->is_stopped = true;
    event_del(source->event);
    loop_timer_stop(&source->debounce);
    loop_timer_stop(&source->rescan);
    loop_timer_stop(&source->settle);
}

static void destroy(struct source *base)
{
    struct directory_source *source = of(base);
    ASSERT(source->is_stopped || !source->is_started);
    event_free(source->event);
    if (source->inotify_fd >= 0)
        close(source->inotify_fd);
    source_store_done(&source->staging);
    being_written_done(&source->being_written);
    mem_free(source->path);
    mem_free(source->status_path);
    source_done(base);
    mem_free(source);
}

static const struct source_type directory_type = {.start = start,
                                                  .stop = stop,
                                                  .destroy = destroy,
                                                  .put_status = put_status,
                                                  .put_passing_status = put_status,
                                                  .delete_status = delete_status};

struct source *source_directory_new(struct loop *loop,
                                    const struct source_directory_options *options,
                                    const struct source_listener *listener, void *arg)
{
    struct directory_source *source = MEM_NEW(struct directory_source);
    source_init(&source->base, &directory_type, &options->limits, listener, arg);
    source->loop = loop;
    source->path = mem_copy_string(options->path, strlen(options->path));
    if (options->status_path)
        source->status_path = mem_copy_string(options->status_path, strlen(options->status_path));
    source->debounce_ms = options->debounce_ms ? options->debounce_ms : 20;
    source->rescan_ms = options->rescan_ms ? options->rescan_ms : 30000;
    source->settle_ms = options->settle_ms ? options->settle_ms : 5000;
    source->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (source->inotify_fd < 0) {
        log_warning("directory_not_watched reason=\"%s\" action=\"reading it every second\"",
                    strerror(errno));
        source->rescan_ms = 1000;
    }
    source->event = event_new(loop_event_base(loop), source->inotify_fd, EV_READ | EV_PERSIST,
                              on_inotify, source);
    ASSERT(source->event);
    loop_timer_init(&source->debounce, loop, on_debounced);
    loop_timer_init(&source->rescan, loop, on_rescan);
    loop_timer_init(&source->settle, loop, on_settled);
    return &source->base;
}
