#include "tests/support/temp_folder.h"

#include "tests/support/test.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static char path[] = "/tmp/weir-test-XXXXXX"; /* mkdtemp fills in the end */
static pid_t owner;

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(name);
}

static void remove_all(void)
{
    if (getpid() == owner) /* and not what it has forked */
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *temp_folder(void)
{
    if (!owner) {
        ck_assert_ptr_nonnull(mkdtemp(path));
        owner = getpid();
        atexit(remove_all);
    }
    return path;
}
