#include "common/base/hash.h"

#include "common/base/assert.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <sys/random.h>

static uint64_t process_key[2];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void draw_process_key(void)
{
    ssize_t got = getrandom(process_key, sizeof process_key, 0);
    ASSERT(got == (ssize_t)sizeof process_key);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0], v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2], v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

uint64_t hash_keyed(struct str s)
{
    pthread_once(&process_key_once, draw_process_key);
    uint64_t v[4] = {process_key[0] ^ 0x736f6d6570736575, process_key[1] ^ 0x646f72616e646f6d,
                     process_key[0] ^ 0x6c7967656e657261, process_key[1] ^ 0x7465646279746573};
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (size_t shift = 0; i < s.len; i++, shift += 8)
        last |= (uint64_t)(unsigned char)s.data[i] << shift;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct content_hash content_hash_of(struct str s)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)s.data, s.len, digest);
    struct content_hash hash;
    for (size_t i = 0; i < 16; i++) {
        hash.hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hash.hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hash.hex[32] = '\0';
    return hash;
}
