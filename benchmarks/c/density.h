/* Log densities with their gradients by hand, with the signature of ppgen's machine code:

     x     position in the program's unconstrained coordinates
     c     data, as gradients.py lays them out
     out   the log density up to a constant, then its gradient
     n, k, w, m are not used

   Compiled by gcc -O3 -march=native -ffast-math, which takes exp and log of four or eight numbers at once from glibc's libmvec. */
#include <math.h>
#include <stdint.h>

#define ARGUMENTS                                                                                                                          \
    const double *restrict x, const int64_t *restrict n, const double *restrict c, const int64_t *restrict k, double *restrict w,          \
        int64_t *restrict m, double *restrict out
