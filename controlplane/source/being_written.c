#include "controlplane/source/being_written.h"

#include "common/base/mem.h"

#include <limits.h>
#include <stdio.h>

/* More are not remembered: protects memory. */
enum { FILES_MAX = 10 * 1000 };
enum { KEY_BYTES = NAME_MAX + 16 };

static struct str key_of(char key[KEY_BYTES], int watch, const char *name)
{
    int len = snprintf(key, KEY_BYTES, "%d/%s", watch, name);
    return (struct str){.data = key, .len = len < KEY_BYTES ? (size_t)len : KEY_BYTES - 1};
}

void being_written_done(struct being_written *files)
{
    MAP_FOR_EACH(entry, &files->files)
        mem_free(entry->value);
    map_done(&files->files);
    files->files = (struct map){0};
}

static void add(struct being_written *files, struct str key)
{
    if (files->files.len >= FILES_MAX || map_find(&files->files, key))
        return;
    char *copy = mem_copy_string(key.data, key.len);
    map_put(&files->files, (struct str){.data = copy, .len = key.len}, copy);
}

bool being_written_note(struct being_written *files, const struct inotify_event *event)
{
    char key[KEY_BYTES];
    /* What was missed, or a folder that is not watched any more: nobody will tell of the end. */
    if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED))
        being_written_done(files);
    if (event->len == 0 || event->mask & IN_ISDIR)
        return true;
    struct str file = key_of(key, event->wd, event->name);
    if (event->mask & IN_MODIFY) {
        add(files, file);
        return false;
    }
    if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE))
        mem_free(map_remove(&files->files, file));
    return true;
}

bool being_written_has(const struct being_written *files, int watch, const char *name)
{
    char key[KEY_BYTES];
    return map_find(&files->files, key_of(key, watch, name)) != NULL;
}
