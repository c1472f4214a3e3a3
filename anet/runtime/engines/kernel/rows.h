// Arithmetic on rows of pixels, in the compiler's own vectors (GCC, Clang): 16 floats where the target has AVX-512,
// else 8. A row is `w` pixels of `c` cells each, with EDGE zero pixels on either side. Nothing is read beyond those.
// Cells are floats; where the target has AVX512_BF16, bfloat16, and convolutions multiply pairs of them. All else is
// float in registers and is rounded once, when it is stored.

#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace anet {

#ifdef __AVX512F__
constexpr int LANE = 16, REGISTERS = 4;
#else
constexpr int LANE = 8, REGISTERS = 2;
#endif
constexpr uint8_t GREY = 128;  // of 0..255: what fills a pixel up where cells go in pairs
constexpr int EDGE = 2;  // zero pixels beside a row: a 1x5 convolution looks that far

template <int L> struct Vector;
template <> struct Vector<8> {
    typedef float F __attribute__((vector_size(32)));
    typedef int32_t I __attribute__((vector_size(32)));
    typedef uint16_t H __attribute__((vector_size(16)));
};
template <> struct Vector<16> {
    typedef float F __attribute__((vector_size(64)));
    typedef int32_t I __attribute__((vector_size(64)));
    typedef uint16_t H __attribute__((vector_size(32)));
};
template <int C> constexpr int LANES = C % LANE ? 8 : LANE;
template <int C> using V = typename Vector<LANES<C>>::F;

template <class F> inline F load(const float* p) {  // any address
    F v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class F> inline void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }

#ifdef __AVX512BF16__
struct Brief {  // bfloat16: the upper half of a float
    uint16_t bits;
    operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
    static Brief of(float v) {  // to the nearest, ties to even, as the processor rounds
        const uint32_t all = std::bit_cast<uint32_t>(v);
        return {uint16_t((all + 0x7fff + (all >> 16 & 1)) >> 16)};
    }
};
template <class F> inline F load(const Brief* p) {
    using Of = Vector<sizeof(F) / 4>;
    typename Of::H half;
    std::memcpy(&half, p, sizeof half);
    return (F)(__builtin_convertvector(half, typename Of::I) << 16);
}
template <class F> inline void store(Brief* p, F v) {
    if constexpr (sizeof(F) == 64)
        _mm256_storeu_si256((__m256i*)p, (__m256i)_mm512_cvtneps_pbh((__m512)v));
    else
        _mm_storeu_si128((__m128i*)p, (__m128i)_mm256_cvtneps_pbh((__m256)v));
}
// sum + the pair of values at `in` times each lane's pair of weights. Not by intrinsics: with them, GCC 12 loads weights
// anew for each pixel, and loads are what is short.
template <class F> inline F dot(F sum, const Brief* in, F weights) {
    typedef int32_t Pair __attribute__((may_alias, aligned(2)));
    const Pair& pair = *(const Pair*)in;
    if constexpr (sizeof(F) == 64)
        asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(pair));
    else
        asm("vdpbf16ps %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(pair));
    return sum;
}
// sum + 32 values at `in` times as many weights, in pairs.
template <class F> inline F dots(F sum, const Brief* in, const Brief* weights) {
    static_assert(sizeof(F) == 64);
    const __m512i a = _mm512_loadu_si512(in), b = _mm512_loadu_si512(weights);
    return (F)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
using Cell = Brief;
constexpr bool PAIRS = true;
constexpr int PIXEL = 4;  // cells of a picture's pixel: RGB and GREY, so that they are pairs
inline Cell cell(float v) { return Brief::of(v); }
#else
using Cell = float;
constexpr bool PAIRS = false;
constexpr int PIXEL = 3;
inline Cell cell(float v) { return v; }
template <class F> F dot(F sum, const Cell*, F);  // never called
template <class F> inline F dots(F sum, const Cell* in, const Cell* weights) {
    return sum + load<F>(in) * load<F>(weights);
}
#endif
// Weights of a convolution of CI channels: pairs of channels need an even number of them.
template <int CI> using Kernel = std::conditional_t<CI % 2 == 0, Cell, float>;

template <class F> inline F prelu(F v, float slope) { return v > 0 ? v : v * slope; }  // NaN stays NaN

// Convolution of one row, as a sum over taps. tap[t] points at the input pixel of output pixel 0; STEP is the
// distance in cells between two input pixels that neighbour in the output. Weights: [tap][CI][CO], in pairs
// [tap][CI / 2][CO][2].
template <int TAPS, int CI, int CO, int STEP, int P, class Then>
inline void tile(const Cell* const* tap, const Kernel<CI>* weights, const float* bias, int x, Then& then) {
    constexpr int L = LANES<CO>, N = CO / L < REGISTERS ? CO / L : REGISTERS, PAIR = PAIRS && CI % 2 == 0 ? 2 : 1;
    for (int c = 0; c < CO; c += N * L) {
        V<CO> sum[P][N];
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 16
            for (int j = 0; j < N; j++) sum[i][j] = load<V<CO>>(bias + c + j * L);
        for (int t = 0; t < TAPS; t++) {
            const Cell* in = tap[t] + x * STEP;
            const Kernel<CI>* row = weights + t * CI * CO + c * PAIR;
            for (int k = 0; k < CI; k += PAIR, row += CO * PAIR) {
                V<CO> weight[N];
#pragma GCC unroll 16
                for (int j = 0; j < N; j++) std::memcpy(&weight[j], row + j * L * PAIR, sizeof weight[j]);
#pragma GCC unroll 16
                for (int i = 0; i < P; i++)
#pragma GCC unroll 16
                    for (int j = 0; j < N; j++)
                        if constexpr (PAIR == 2)
                            sum[i][j] = dot(sum[i][j], in + i * STEP + k, weight[j]);
                        else
                            sum[i][j] += float(in[i * STEP + k]) * weight[j];
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < P; i++)
#pragma GCC unroll 16
            for (int j = 0; j < N; j++) then(x + i, c + j * L, sum[i][j]);
    }
}

// P pixels at once, then half as many of what is left.
template <int TAPS, int CI, int CO, int STEP, int P, class Then>
inline void tiles(const Cell* const* tap, const Kernel<CI>* weights, const float* bias, int x, int n, Then& then) {
    for (; x + P <= n; x += P) tile<TAPS, CI, CO, STEP, P>(tap, weights, bias, x, then);
    if constexpr (P > 1)
        if (x < n) tiles<TAPS, CI, CO, STEP, P / 2>(tap, weights, bias, x, n, then);
}

template <int TAPS, int CI, int CO, int STEP, class Then>
inline void conv(const Cell* const* tap, const Kernel<CI>* weights, const float* bias, int n, Then then) {
    tiles<TAPS, CI, CO, STEP, CO / LANES<CO> >= REGISTERS ? 4 : 8>(tap, weights, bias, 0, n, then);
}

// Depthwise 3x3 of P pixels of one row. Weights: [9][C].
template <int C, int P>
inline void depth(const Cell* const rows[3], const V<C>* weight, int x, int c, Cell* out, int pitch) {
    V<C> sum[P] = {};
#pragma GCC unroll 3
    for (int t = 0; t < 3; t++) {
        const Cell* in = rows[t] + (x - 1) * C + c;
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
template <int C> void depthwise(const Cell* const rows[3], const float* weights, int n, Cell* out, int pitch = C) {
    constexpr int P = LANE == 16 ? 8 : REGISTERS;
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
