/* Threads of libraries, at the end of a test. */
#ifndef TESTS_SUPPORT_THREADS_H
#define TESTS_SUPPORT_THREADS_H

/* Waits until the caller is the only thread, a second at most. gRPC's threads are still on their
 * way out when it is shut down; a leak check at that moment takes what OpenSSL frees at the very
 * end of a thread (its queue of errors) for lost. */
void threads_wait_until_alone(void);

#endif
