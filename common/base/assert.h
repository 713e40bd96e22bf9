/* ASSERT: for our own bugs only, never for what a peer, a file or etcd sent. Always compiled in. */
#ifndef COMMON_BASE_ASSERT_H
#define COMMON_BASE_ASSERT_H

/* Logs the failed expression with its place and aborts. */
_Noreturn void assert_failed(const char *expression, const char *file, int line);

/* Branch hint and check in one; the expression must have no side effects. */
#define ASSERT(expression)                                                                         \
    (__builtin_expect(!!(expression), 1) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

/* Returns from a `void *` callback argument to the object it was made from, given its member. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* Marks a function whose result says whether it worked. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first) __attribute__((format(printf, format_at, first)))

#endif
