/* A listener whose socket the kernel does not watch: epoll_ctl of this file stands before libc's.
 */
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int refusals;

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (operation == EPOLL_CTL_ADD && refusals > 0) {
        refusals--;
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

START_TEST(a_listener_that_cannot_be_watched_is_tried_again)
{
    struct proxy_rig *rig = proxy_rig_new(1);
    struct rig_config *config = rig_config_new(rig);
    rig_config_routes(config, "name: r\n");
    refusals = 3;
    rig_publish(rig, config);
    ck_assert_begins(rig_get(rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 404 ");
    ck_assert_int_eq(refusals, 0);
    proxy_rig_free(rig);
}
END_TEST

TEST_MAIN("accept_again", a_listener_that_cannot_be_watched_is_tried_again)
