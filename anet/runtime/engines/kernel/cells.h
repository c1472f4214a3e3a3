// What a row is made of, and how cells become floats in registers and are stored: floats; bfloat16 where this is compiled
// for AVX512_BF16; codes of 8 bits where it is compiled with ANET_INT8, for AVX512_VNNI or AVX_VNNI. Vectors are the
// compiler's own (GCC, Clang): 16 floats where the target has AVX-512, else 8.

#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX512BF16__) || defined(ANET_INT8)
#include <immintrin.h>
#endif

namespace anet {

#ifdef __AVX512F__
constexpr int LANE = 16, REGISTERS = 4;
#else
constexpr int LANE = 8, REGISTERS = 2;
#endif
constexpr uint8_t GREY = 128;  // of 0..255: what fills a pixel up where cells go in groups

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
template <class F> using Of = Vector<sizeof(F) / 4>;  // its companions of as many lanes

template <class F> inline F load(const float* p) {  // any address
    F v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class F> inline void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }

#if defined(ANET_INT8)
// Code c stands for c - NOUGHT, in steps that differ by channel: the export folds them into the weights. 255 steps reach as
// far as any picture went that it was shown; beyond, values stay at the end.
typedef uint8_t Cell;
typedef int8_t Tap;
inline Tap tap(float steps) { return Tap(std::nearbyint(steps)); }
constexpr int GROUP = 4, NOUGHT = 128;
constexpr bool CODES = true;
template <class F> inline F raw(const Cell* p) {  // codes as they are, NOUGHT not taken off
#ifdef __AVX512F__
    if constexpr (sizeof(F) == 64) return (F)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
#endif
    if constexpr (sizeof(F) == 32) return (F)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
template <class F> inline F load(const Cell* p) { return raw<F>(p) - float(NOUGHT); }
template <class F> inline void store(Cell* p, F v) {  // to the nearest, ties to even
    __m128i codes;
#ifdef __AVX512F__
    if constexpr (sizeof(F) == 64)
        codes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32((__m512)v));
    else
        codes = _mm256_cvtsepi32_epi8(_mm256_cvtps_epi32((__m256)v));
#else
    const __m256i whole = _mm256_cvtps_epi32((__m256)v);
    codes = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    codes = _mm_packs_epi16(codes, codes);
#endif
    codes = _mm_xor_si128(codes, _mm_set1_epi8(char(NOUGHT)));  // from -128..127 to 0..255
    std::memcpy(p, &codes, sizeof(F) / 4);
}
template <class F> using Sum = typename Of<F>::I;
// sum + codes times taps, in fours. Not by intrinsics: with them, GCC 12 loads weights anew for each pixel.
template <class I> inline I fours(I sum, I codes, I taps) {
#ifdef __AVX512F__
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(taps));
#else
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(taps));
#endif
    return sum;
}
// sum + the four codes at `in` times each lane's four taps.
template <class I> inline I dot(I sum, const Cell* in, I taps) {
    typedef int32_t Four __attribute__((may_alias, aligned(1)));
    I codes;
#ifdef __AVX512F__
    if constexpr (sizeof(I) == 64) codes = (I)_mm512_set1_epi32(*(const Four*)in);
#endif
    if constexpr (sizeof(I) == 32) codes = (I)_mm256_set1_epi32(*(const Four*)in);
    return fours(sum, codes, taps);
}
// sum + the codes at `in`, a vector of them, times as many taps, in fours.
template <class I> inline I dots(I sum, const Cell* in, const Tap* taps) {
    I codes, other;
    std::memcpy(&codes, in, sizeof codes);
    std::memcpy(&other, taps, sizeof other);
    return fours(sum, codes, other);
}

#elif defined(__AVX512BF16__)
struct Cell {  // bfloat16: the upper half of a float
    uint16_t bits;
    operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};
typedef Cell Tap;
inline Tap tap(float v) {  // to the nearest, ties to even, as the processor rounds
    const uint32_t all = std::bit_cast<uint32_t>(v);
    return {uint16_t((all + 0x7fff + (all >> 16 & 1)) >> 16)};
}
constexpr int GROUP = 2, NOUGHT = 0;
constexpr bool CODES = false;
template <class F> inline F load(const Cell* p) {
    typename Of<F>::H half;
    std::memcpy(&half, p, sizeof half);
    return (F)(__builtin_convertvector(half, typename Of<F>::I) << 16);
}
template <class F> inline F raw(const Cell* p) { return load<F>(p); }
template <class F> inline void store(Cell* p, F v) {
    if constexpr (sizeof(F) == 64)
        _mm256_storeu_si256((__m256i*)p, (__m256i)_mm512_cvtneps_pbh((__m512)v));
    else
        _mm_storeu_si128((__m128i*)p, (__m128i)_mm256_cvtneps_pbh((__m256)v));
}
template <class F> using Sum = F;
// sum + the pair of values at `in` times each lane's pair of weights. Not by intrinsics: with them, GCC 12 loads weights
// anew for each pixel, and loads are what is short.
template <class F> inline F dot(F sum, const Cell* in, F weights) {
    typedef int32_t Pair __attribute__((may_alias, aligned(2)));
    const Pair& pair = *(const Pair*)in;
    if constexpr (sizeof(F) == 64)
        asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(pair));
    else
        asm("vdpbf16ps %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(pair));
    return sum;
}
// sum + 32 values at `in` times as many weights, in pairs.
template <class F> inline F dots(F sum, const Cell* in, const Tap* weights) {
    static_assert(sizeof(F) == 64);
    const __m512i a = _mm512_loadu_si512(in), b = _mm512_loadu_si512(weights);
    return (F)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

#else
typedef float Cell;
typedef float Tap;
inline Tap tap(float v) { return v; }
constexpr int GROUP = 1, NOUGHT = 0;
constexpr bool CODES = false;
template <class F> inline F raw(const Cell* p) { return load<F>(p); }
template <class F> using Sum = F;
template <class F> inline F dot(F sum, const Cell* in, F weights) { return sum + *in * weights; }
template <class F> inline F dots(F sum, const Cell* in, const Tap* weights) {
    return sum + load<F>(in) * load<F>(weights);
}
#endif

constexpr int PIXEL = GROUP == 1 ? 3 : 4;  // cells of a picture's pixel: RGB, and GREY where they go in groups

}  // namespace anet
