/* x = mu, log tau, effect[8];   c = y[8], 1 / sigma[8]

   mu ~ Normal(0, 5)   tau ~ HalfCauchy(5)   effect ~ Normal(0, 1)   y ~ Normal(mu + tau effect, sigma) */
#include "density.h"

enum { SCHOOLS = 8 };

void eight_schools(ARGUMENTS) {
    const double *effect = x + 2, *y = c, *precision = c + SCHOOLS;
    double *slope = out + 3;
    const double mu = x[0], log_tau = x[1], tau = exp(log_tau);
    const double ratio = tau * tau / 25;
    double value = -mu * mu / 50 - log1p(ratio) + log_tau;
    double by_mu = -mu / 25, by_tau = 0;
    for (int j = 0; j < SCHOOLS; j++) {
        const double z = (y[j] - mu - tau * effect[j]) * precision[j], pull = z * precision[j];
        value -= 0.5 * (z * z + effect[j] * effect[j]);
        by_mu += pull;
        by_tau += pull * effect[j];
        slope[j] = pull * tau - effect[j];
    }
    out[0] = value;
    out[1] = by_mu;
    out[2] = by_tau * tau - 2 * ratio / (1 + ratio) + 1;
}
