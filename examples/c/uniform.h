/* Uniform numbers in [0, 1), the same for a seed as Reprise draws with: Philox 4x64-10 with the key (seed, 0). */
#ifndef UNIFORM_H
#define UNIFORM_H

#include <stdint.h>

struct uniform {
    uint64_t seed, counter, numbers[4];
    int used;
};

static inline uint64_t uniform_high(uint64_t a, uint64_t b)
{
    uint64_t low = (a & 0xffffffff) * (b & 0xffffffff);
    uint64_t one = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    uint64_t other = (a & 0xffffffff) * (b >> 32) + (one & 0xffffffff);
    return (a >> 32) * (b >> 32) + (one >> 32) + (other >> 32);
}

static inline struct uniform uniform_of(uint64_t seed)
{
    struct uniform made = {seed, 0, {0, 0, 0, 0}, 4};
    return made;
}

static inline double uniform_next(struct uniform *u)
{
    const uint64_t first = 0xD2E7470EE14C6C93u, second = 0xCA5A826395121157u;
    if (u->used == 4) {
        uint64_t a = ++u->counter, b = 0, c = 0, d = 0, k = u->seed, l = 0;
        for (int round = 0; round < 10; round++) {
            uint64_t p = uniform_high(first, a), q = uniform_high(second, c);
            uint64_t next[4] = {q ^ b ^ k, second * c, p ^ d ^ l, first * a};
            a = next[0], b = next[1], c = next[2], d = next[3];
            k += 0x9E3779B97F4A7C15u;
            l += 0xBB67AE8584CAA73Bu;
        }
        u->numbers[0] = a, u->numbers[1] = b, u->numbers[2] = c, u->numbers[3] = d;
        u->used = 0;
    }
    return (double)(u->numbers[u->used++] >> 11) / 9007199254740992.0;
}

#endif
