/* x = logit w, m[2], log sd[2];   c = data[500]

   w ~ Beta(5, 5)   m ~ Normal(0, 2)   sd ~ HalfNormal(2)
   data ~ w Normal(m0, sd0) + (1 - w) Normal(m0 + exp m1, sd1) */
#include "density.h"

enum { ROWS = 500 };

void mixture(ARGUMENTS) {
    const double gap = exp(x[2]), mean0 = x[1], mean1 = x[1] + gap, sd0 = exp(x[3]), sd1 = exp(x[4]);
    const double e = exp(-fabs(x[0])), log_larger = -log1p(e), log_smaller = log_larger - fabs(x[0]);
    const double log_w = x[0] > 0 ? log_larger : log_smaller, log_rest = x[0] > 0 ? log_smaller : log_larger, w_share = exp(log_w);
    const double scale0 = 1 / sd0, scale1 = 1 / sd1, base0 = log_w - x[3], base1 = log_rest - x[4];
    double value = 0, first = 0, z0_sum = 0, z1_sum = 0, z0_squares = 0, z1_squares = 0;
    for (int i = 0; i < ROWS; i++) {
        const double z0 = (c[i] - mean0) * scale0, z1 = (c[i] - mean1) * scale1;
        const double log0 = base0 - 0.5 * z0 * z0, log1 = base1 - 0.5 * z1 * z1, apart = log0 - log1;
        const double smaller = exp(-fabs(apart)), share = 1 / (1 + smaller);
        const double of0 = apart > 0 ? share : smaller * share, of1 = 1 - of0;
        value += fmax(log0, log1) + log(1 + smaller);
        first += of0;
        z0_sum += of0 * z0;
        z1_sum += of1 * z1;
        z0_squares += of0 * z0 * z0;
        z1_squares += of1 * z1 * z1;
    }
    const double second = ROWS - first;
    value += 5 * (log_w + log_rest) - (x[1] * x[1] + x[2] * x[2]) / 8 - (sd0 * sd0 + sd1 * sd1) / 8 + x[3] + x[4];
    out[0] = value;
    out[1] = 5 - 10 * w_share + first - ROWS * w_share;
    out[2] = -x[1] / 4 + z0_sum * scale0 + z1_sum * scale1;
    out[3] = -x[2] / 4 + z1_sum * scale1 * gap;
    out[4] = z0_squares - first - sd0 * sd0 / 4 + 1;
    out[5] = z1_squares - second - sd1 * sd1 / 4 + 1;
}
