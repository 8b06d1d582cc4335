/* Nanoseconds of one call, the mean over many; whose code it is makes no difference here. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <time.h>

typedef void density(const double *, const int64_t *, const double *, const int64_t *, double *, int64_t *, double *);

double spin(density *f, int64_t times, double *x, const int64_t *n, const double *c, const int64_t *k, double *w, int64_t *m, double *out) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int64_t i = 0; i < times; i++) f(x, n, c, k, w, m, out);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (1e9 * (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec)) / (double)times;
}
