// Arithmetic on rows of pixels. A row is `w` pixels of `c` cells each (cells.h), with EDGE pixels of nothing on either
// side. Nothing is read beyond those.

#pragma once
#include "cells.h"

namespace anet {

constexpr int EDGE = 2;  // pixels of nothing beside a row: a 1x5 convolution looks that far

template <int C> constexpr int LANES = C % LANE ? 8 : LANE;
template <int C> using V = typename Vector<LANES<C>>::F;

template <class F> inline F prelu(F v, float slope) { return v > 0 ? v : v * slope; }  // NaN stays NaN

// Weights of a convolution of CI channels to CO: [tap][CI / GROUP][CO][GROUP]. Of codes, too: what each sum starts at, so
// that NOUGHT counts as none, and the step of each channel's taps.
struct Kernel {
    const Tap* taps;
    const int32_t* start;
    const float* step;
};

// Convolution of one row, as a sum over taps. tap[t] points at the input pixel of output pixel 0; STEP is the
// distance in cells between two input pixels that neighbour in the output.
template <int TAPS, int CI, int CO, int STEP, int P, class Then>
inline void tile(const Cell* const* tap, const Kernel& kernel, const float* bias, int x, Then& then) {
    constexpr int L = LANES<CO>, N = CO / L < REGISTERS ? CO / L : REGISTERS;
    using S = Sum<V<CO>>;
    for (int c = 0; c < CO; c += N * L) {
        S sum[P][N];
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 16
            for (int j = 0; j < N; j++)
                if constexpr (CODES)
                    std::memcpy(&sum[i][j], kernel.start + c + j * L, sizeof(S));
                else
                    sum[i][j] = load<S>(bias + c + j * L);
        for (int t = 0; t < TAPS; t++) {
            const Cell* in = tap[t] + x * STEP;
            const Tap* row = kernel.taps + t * CI * CO + c * GROUP;
            for (int k = 0; k < CI; k += GROUP, row += CO * GROUP) {
                S weight[N];
#pragma GCC unroll 16
                for (int j = 0; j < N; j++) std::memcpy(&weight[j], row + j * L * GROUP, sizeof weight[j]);
#pragma GCC unroll 16
                for (int i = 0; i < P; i++)
#pragma GCC unroll 16
                    for (int j = 0; j < N; j++) sum[i][j] = dot(sum[i][j], in + i * STEP + k, weight[j]);
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 16
            for (int j = 0; j < N; j++)
                if constexpr (CODES) {
                    const int to = c + j * L;
                    const auto steps = __builtin_convertvector(sum[i][j], V<CO>);
                    then(x + i, to, steps * load<V<CO>>(kernel.step + to) + load<V<CO>>(bias + to));
                } else
                    then(x + i, c + j * L, sum[i][j]);
    }
}

// P pixels at once, then half as many of what is left.
template <int TAPS, int CI, int CO, int STEP, int P, class Then>
inline void tiles(const Cell* const* tap, const Kernel& kernel, const float* bias, int x, int n, Then& then) {
    for (; x + P <= n; x += P) tile<TAPS, CI, CO, STEP, P>(tap, kernel, bias, x, then);
    if constexpr (P > 1)
        if (x < n) tiles<TAPS, CI, CO, STEP, P / 2>(tap, kernel, bias, x, n, then);
}

template <int TAPS, int CI, int CO, int STEP, class Then>
inline void conv(const Cell* const* tap, const Kernel& kernel, const float* bias, int n, Then then) {
    tiles<TAPS, CI, CO, STEP, CO / LANES<CO> >= REGISTERS ? 4 : 8>(tap, kernel, bias, 0, n, then);
}

// Depthwise 3x3 of P pixels of one row. Weights: [9][C].
template <int C, int P>
inline void depth(const Cell* const rows[3], const V<C>* weight, V<C> nothing, int x, int c, Cell* out, int pitch) {
    V<C> sum[P];
#pragma GCC unroll 16
    for (int i = 0; i < P; i++) sum[i] = nothing;
#pragma GCC unroll 3
    for (int t = 0; t < 3; t++) {
        const Cell* in = rows[t] + (x - 1) * C + c;
        V<C> seen[P + 2];
#pragma GCC unroll 16
        for (int i = 0; i < P + 2; i++) seen[i] = raw<V<C>>(in + i * C);
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) sum[i] += seen[i + k] * weight[3 * t + k];
    }
#pragma GCC unroll 16
    for (int i = 0; i < P; i++) store(out + (x + i) * pitch + c, sum[i]);
}

// rows[k]: pixel 0 of the row above, at and below.
template <int C> void depthwise(const Cell* const rows[3], const float* weights, int n, Cell* out, int pitch = C) {
    constexpr int P = LANE == 16 ? 8 : REGISTERS;
    for (int c = 0; c < C; c += LANES<C>) {
        V<C> weight[9], nothing{};  // what sums start at, so that NOUGHT counts as none
        for (int t = 0; t < 9; t++) {
            weight[t] = load<V<C>>(weights + t * C + c);
            if constexpr (CODES) nothing -= weight[t] * float(NOUGHT);
        }
        int x = 0;
        for (; x + P <= n; x += P) depth<C, P>(rows, weight, nothing, x, c, out, pitch);
        for (; x < n; x++) depth<C, 1>(rows, weight, nothing, x, c, out, pitch);
    }
}

// Sums of neighbours: of a's lanes, then of b's.
template <class F, size_t... I> inline F pairs(F a, F b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, (2 * I)...) + __builtin_shufflevector(a, b, (2 * I + 1)...);
}

// e^v within 2 units in the last place, for v in -87..87, else that of the nearer end.
template <int L> inline typename Vector<L>::F exponential(typename Vector<L>::F v) {
    using F = typename Vector<L>::F;
    using I = typename Vector<L>::I;
    v = v < -87 ? F{} - 87 : v > 87 ? F{} + 87 : v;
    const I whole = __builtin_convertvector(v * 1.44269504f + (v < 0 ? F{} - 0.5f : F{} + 0.5f), I);
    const F n = __builtin_convertvector(whole, F), r = v - n * 0.693359375f + n * 2.12194440e-4f;  // ln 2 in two parts
    F sum = F{} + 1 / 5040.f;
    for (float next : {1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, 1 / 2.f, 1.f, 1.f}) sum = sum * r + next;
    const I power = (whole + 127) << 23;
    F two;
    std::memcpy(&two, &power, sizeof two);
    return sum * two;
}

}  // namespace anet
