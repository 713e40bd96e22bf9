#include "common/io/checked_file.h"

#include "common/io/file.h"

#include <endian.h>
#include <openssl/sha.h>

/* As it lies in the file. */
struct head {
    char kind[CHECKED_FILE_KIND_BYTES]; /* filled up with NUL */
    uint64_t len;                       /* of the content, little-endian */
    unsigned char digest[SHA256_DIGEST_LENGTH];
};
_Static_assert(sizeof(struct head) == CHECKED_FILE_HEAD_BYTES, "the head has no holes");

static struct head head_of(const char *kind, struct str content)
{
    struct head head = {.len = htole64(content.len)};
    size_t len = strlen(kind);
    ASSERT(len <= sizeof head.kind);
    memcpy(head.kind, kind, len);
    SHA256((const unsigned char *)content.data, content.len, head.digest);
    return head;
}

void checked_file_begin(struct buf *buf)
{
    static const struct head none;
    ASSERT(buf->len == 0);
    buf_append(buf, &none, sizeof none);
}

int checked_file_write(const char *path, const char *kind, struct buf *buf, struct errmsg *msg)
{
    if (buf->is_overflown)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s would be over %zu bytes", path, buf->max);
    ASSERT(buf->len >= sizeof(struct head));
    struct head head = head_of(kind, str_slice(buf_str(buf), sizeof head, buf->len));
    memcpy(buf->data, &head, sizeof head);
    return file_replace(path, buf_str(buf), true, msg);
}

int checked_file_read(const char *path, const char *kind, struct buf *buf, struct str *ret_content,
                      struct errmsg *msg)
{
    struct head head;
    int err = file_read(path, buf, msg);
    if (err)
        return err;
    if (buf->len < sizeof head)
        return errmsg_set(msg, ERR_INVALID, "%s is too short to be what it should", path);
    memcpy(&head, buf->data, sizeof head);
    struct str content = str_slice(buf_str(buf), sizeof head, buf->len);
    struct head right = head_of(kind, content);
    if (memcmp(head.kind, right.kind, sizeof head.kind) != 0)
        return errmsg_set(msg, ERR_INVALID, "%s is no file of kind %s", path, kind);
    if (head.len != right.len)
        return errmsg_set(msg, ERR_INVALID, "%s is damaged: its length is wrong", path);
    if (memcmp(head.digest, right.digest, sizeof head.digest) != 0)
        return errmsg_set(msg, ERR_INVALID, "%s is damaged: its SHA-256 is wrong", path);
    *ret_content = content;
    return 0;
}
