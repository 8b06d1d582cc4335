/* x = a, b[20];   c = X[1000][20], y[1000]

   a ~ Normal(0, 5)   b ~ Normal(0, 1)   y ~ Bernoulli(logits = a + X b)

   X is read once: what a block of rows needs for its residuals is still in the nearest cache when they are multiplied back. */
#include "density.h"

enum { ROWS = 1000, COLUMNS = 20, BLOCK = 40 };

void logistic(ARGUMENTS) {
    const double *y = c + ROWS * COLUMNS, *b = x + 1;
    const double a = x[0];
    double value = -a * a / 50, by_a = -a / 25, by_b[COLUMNS];
    for (int j = 0; j < COLUMNS; j++) {
        value -= 0.5 * b[j] * b[j];
        by_b[j] = -b[j];
    }
    for (int start = 0; start < ROWS; start += BLOCK) {
        const double *rows = c + start * COLUMNS, *seen = y + start;
        double residual[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            double eta = a;
            for (int j = 0; j < COLUMNS; j++) eta += rows[i * COLUMNS + j] * b[j];
            residual[i] = eta;
        }
        for (int i = 0; i < BLOCK; i++) {
            const double eta = residual[i], e = exp(-fabs(eta)), share = 1 / (1 + e);
            value += seen[i] * eta - fmax(eta, 0) - log(1 + e);
            residual[i] = seen[i] - (eta > 0 ? share : e * share);
            by_a += residual[i];
        }
        for (int i = 0; i < BLOCK; i++)
            for (int j = 0; j < COLUMNS; j++) by_b[j] += residual[i] * rows[i * COLUMNS + j];
    }
    out[0] = value;
    out[1] = by_a;
    for (int j = 0; j < COLUMNS; j++) out[2 + j] = by_b[j];
}
