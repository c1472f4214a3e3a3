// Arithmetic on rows of pixels, in the compiler's own vectors (GCC, Clang): 16 floats where the target has AVX-512,
// else 8. A row is `w` pixels of `c` floats each, with EDGE zero pixels on either side. Nothing is read beyond those.

#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

namespace anet {

#ifdef __AVX512F__
constexpr int LANE = 16, REGISTERS = 4;
#else
constexpr int LANE = 8, REGISTERS = 2;
#endif
constexpr int EDGE = 2;  // zero pixels beside a row: a 1x5 convolution looks that far

template <int L> struct Vector;
template <> struct Vector<8> {
    typedef float F __attribute__((vector_size(32)));
    typedef int32_t I __attribute__((vector_size(32)));
};
template <> struct Vector<16> {
    typedef float F __attribute__((vector_size(64)));
    typedef int32_t I __attribute__((vector_size(64)));
};
template <int C> constexpr int LANES = C % LANE ? 8 : LANE;
template <int C> using V = typename Vector<LANES<C>>::F;

template <class F> inline F load(const float* p) {  // any address
    F v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class F> inline void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
template <class F> inline F prelu(F v, float slope) { return v > 0 ? v : v * slope; }  // NaN stays NaN

// Convolution of one row, as a sum over taps. tap[t] points at the input pixel of output pixel 0; STEP is the
// distance in floats between two input pixels that neighbour in the output. Weights: [tap][CI][CO].
template <int TAPS, int CI, int CO, int STEP, int P, class Then>
inline void tile(const float* const* tap, const float* weights, const float* bias, int x, Then& then) {
    constexpr int L = LANES<CO>, N = CO / L < REGISTERS ? CO / L : REGISTERS;
    for (int c = 0; c < CO; c += N * L) {
        V<CO> sum[P][N];
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 16
            for (int j = 0; j < N; j++) sum[i][j] = load<V<CO>>(bias + c + j * L);
        for (int t = 0; t < TAPS; t++) {
            const float *in = tap[t] + x * STEP, *row = weights + t * CI * CO + c;
            for (int k = 0; k < CI; k++, row += CO) {
                V<CO> weight[N];
#pragma GCC unroll 16
                for (int j = 0; j < N; j++) weight[j] = load<V<CO>>(row + j * L);
#pragma GCC unroll 16
                for (int i = 0; i < P; i++)
#pragma GCC unroll 16
                    for (int j = 0; j < N; j++) sum[i][j] += in[i * STEP + k] * weight[j];
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 16
            for (int j = 0; j < N; j++) then(x + i, c + j * L, sum[i][j]);
    }
}

template <int TAPS, int CI, int CO, int STEP, class Then>
inline void conv(const float* const* tap, const float* weights, const float* bias, int n, Then then) {
    constexpr int P = CO / LANES<CO> >= REGISTERS ? 4 : 8;
    int x = 0;
    for (; x + P <= n; x += P) tile<TAPS, CI, CO, STEP, P>(tap, weights, bias, x, then);
    for (; x < n; x++) tile<TAPS, CI, CO, STEP, 1>(tap, weights, bias, x, then);
}

// Depthwise 3x3 of P pixels of one row. Weights: [9][C].
template <int C, int P>
inline void depth(const float* const rows[3], const V<C>* weight, int x, int c, float* out, int pitch) {
    V<C> sum[P] = {};
#pragma GCC unroll 3
    for (int t = 0; t < 3; t++) {
        const float* in = rows[t] + (x - 1) * C + c;
        V<C> seen[P + 2];
#pragma GCC unroll 16
        for (int i = 0; i < P + 2; i++) seen[i] = load<V<C>>(in + i * C);
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) sum[i] += seen[i + k] * weight[3 * t + k];
    }
#pragma GCC unroll 16
    for (int i = 0; i < P; i++) store(out + (x + i) * pitch + c, sum[i]);
}

// rows[k]: pixel 0 of the row above, at and below.
template <int C> void depthwise(const float* const rows[3], const float* weights, int n, float* out, int pitch = C) {
    constexpr int P = REGISTERS;
    for (int c = 0; c < C; c += LANES<C>) {
        V<C> weight[9];
        for (int t = 0; t < 9; t++) weight[t] = load<V<C>>(weights + t * C + c);
        int x = 0;
        for (; x + P <= n; x += P) depth<C, P>(rows, weight, x, c, out, pitch);
        for (; x < n; x++) depth<C, 1>(rows, weight, x, c, out, pitch);
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
