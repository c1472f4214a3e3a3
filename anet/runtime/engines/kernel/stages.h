// The blocks of A-Net (paper Fig. 3 and 4), as maps whose rows are made when the next block asks for them: what lies
// between two layers is a few rows and stays in a core's caches.

#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "rows.h"

namespace anet {

struct Free { void operator()(void* p) const { std::free(p); } };
using Memory = std::unique_ptr<Cell[], Free>;

Memory zeros(size_t count) {  // of cells
    size_t bytes = (count * sizeof(Cell) + 64) / 64 * 64;
    void* p = std::aligned_alloc(64, bytes);
    if (!p) throw std::bad_alloc();
    std::memset(p, NOUGHT, bytes);
    return Memory(static_cast<Cell*>(p));
}

// A feature map of which rows are made when asked for. Kept are the last RING of them, or all, in a map of its own.
struct Stage {
    static constexpr int RING = 8;
    const int h, w, c, step;  // `step` rows are made at once
    Stage(int h, int w, int c, int step = 1) : h(h), w(w), c(c), step(step) {}
    virtual ~Stage() = default;
    virtual void make(int y) = 0;

    size_t pitch() const { return size_t(w + 2 * EDGE) * c; }
    void keep() { own = zeros(RING * pitch()); rows = own.get(); }
    void keep(Cell* map) { rows = map; mask = -1; }
    Cell* at(int y) { return rows + (y & mask) * pitch() + EDGE * c; }
    void need(int y) {
        if (made < 0) made = y - y % step;  // the first row that this thread needs
        for (; made <= y; made += step) make(made);
    }
    const Cell* row(int y) {
        if (y < 0 || y >= h) return zero + EDGE * c;
        need(y);
        return at(y);
    }
    int made = -1;
    const Cell* zero = nullptr;

  private:
    Memory own;
    Cell* rows = nullptr;
    int mask = RING - 1;
};

// A map that a segment before has completed.
struct Map : Stage {
    Map(int h, int w, int c, Cell* map) : Stage(h, w, c) { keep(map); }
    void make(int) override {}
};

struct Picture : Stage {  // 0..255, as they are: mean and standard deviation are folded into the first weights
    const uint8_t* const& pixels;
    Picture(int h, int w, const uint8_t* const& pixels) : Stage(h, w, PIXEL), pixels(pixels) {}
    void make(int y) override {
        Cell* out = at(y);
        const uint8_t* in = pixels + size_t(y) * w * 3;
        if constexpr (PIXEL == 3)
            for (int i = 0; i < 3 * w; i++) out[i] = tap(in[i]);
        else {
            for (int x = 0; x < w - 4; x += 4) four<16>(in + 3 * x, out + 4 * x);  // w is a multiple of 32
            four<12>(in + 3 * (w - 4), out + 4 * (w - 4));
        }
    }
    template <int BYTES> static void four(const uint8_t* in, Cell* out) {  // pixels; the last ones are read alone
        typedef uint8_t B __attribute__((vector_size(16)));
        B rgb{};
        std::memcpy(&rgb, in, BYTES);
        rgb = __builtin_shufflevector(rgb, B{} + GREY, 0, 1, 2, 16, 3, 4, 5, 16, 6, 7, 8, 16, 9, 10, 11, 16);
        if constexpr (CODES)
            std::memcpy(out, &rgb, sizeof rgb);
        else
            store(out, __builtin_convertvector(rgb, Vector<16>::F));
    }
};

// The step of 8-bit taps that reach as far as the largest of `count` weights.
inline float step_of(const float* weights, int count, int stride = 1) {
    float most = 0;
    for (int k = 0; k < count; k++) most = std::max(most, std::fabs(weights[k * stride]));
    return most > 0 ? most / 127 : 1;
}

// Weights in the order in which the stages are built, as anet/export/native.py writes them.
struct Weights {
    const float *next, *end;
    char *room, *full;  // for those of convolutions as `tile` takes them, for all threads the same
    const float* take(size_t count) {
        if (size_t(end - next) < count) throw std::length_error("weights");
        return std::exchange(next, next + count);
    }
    float one() { return *take(1); }
    template <class T> T* space(size_t count) {  // from a cache line's start
        const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        if (size_t(full - room) < bytes) throw std::length_error("room");
        return reinterpret_cast<T*>(std::exchange(room, room + bytes));
    }
    template <int TAPS, int CI, int CO> Kernel kernel() {
        constexpr int GIVEN = CI == PIXEL ? 3 : CI;  // a pixel's fourth cell gets its weight here
        const float* from = take(TAPS * GIVEN * CO);
        if constexpr (GROUP == 1)
            return {reinterpret_cast<const Tap*>(from), nullptr, nullptr};  // floats are taken as they are
        else
            return grouped<TAPS, CI, GIVEN, CO>(from);
    }
    template <int TAPS, int CI, int GIVEN, int CO> Kernel grouped(const float* from) {
        Tap* to = space<Tap>(TAPS * CI * CO);
        int32_t* start = CODES ? space<int32_t>(CO) : nullptr;
        float* step = CODES ? space<float>(CO) : nullptr;
        for (int c = 0; c < CO; c++) {
            if constexpr (CODES) {
                step[c] = step_of(from + c, TAPS * GIVEN, CO);
                start[c] = 0;
            }
            for (int k = 0, given = 0; k < TAPS * CI; k++) {
                Tap& one = to[(k / GROUP * CO + c) * GROUP + k % GROUP];
                const bool grey = CI != GIVEN && k % CI == GIVEN;
                const float weight = grey ? 0 : from[given++ * CO + c];
                if constexpr (CODES) {  // a grey cell is NOUGHT already
                    one = tap(weight / step[c]);
                    start[c] -= NOUGHT * one;
                } else
                    one = tap(grey ? lost(from + given * CO + c, CO) : weight);
            }
        }
        return {to, start, step};
    }
    // What rounding takes from a grey pixel's sum, which is far larger than what differs between its colours.
    static float lost(const float* end, int co) {
        float all = 0;
        for (int k = -3; k < 0; k++) all += end[k * co] - tap(end[k * co]);
        return all;
    }
};

// One convolution with its norm and its slope (1: none). ADDS: a map is added before the slope; its codes have steps of
// their own.
template <int TAPS, int CI, int CO, bool ADDS = false> struct Layer {
    const Kernel kernel;
    const float* bias;
    const float slope;
    const float* steps;
    explicit Layer(Weights& from)
        : kernel(from.kernel<TAPS, CI, CO>()), bias(from.take(CO)), slope(from.one()),
          steps(CODES && ADDS ? from.take(CO) : nullptr) {}
    template <int STEP = CI> void operator()(const Cell* const* tap, int n, Cell* out, int pitch = CO) const {
        conv<TAPS, CI, CO, STEP>(tap, kernel, bias, n, [&](int x, int c, V<CO> v) {
            store(out + x * pitch + c, prelu(v, slope));
        });
    }
    void add(const Cell* in, int n, const Cell* more, Cell* out) const {
        static_assert(ADDS);
        conv<1, CI, CO, CI>(&in, kernel, bias, n, [&](int x, int c, V<CO> v) {
            const V<CO> other = load<V<CO>>(more + x * CO + c);
            store(out + x * CO + c, prelu(v + (CODES ? other * load<V<CO>>(steps + c) : other), slope));
        });
    }
};

template <int CI, int CO> struct Point : Stage {
    Stage& x;
    Layer<1, CI, CO> layer;
    Point(Stage& x, Weights& from) : Stage(x.h, x.w, CO), x(x), layer(from) {}
    void make(int y) override {
        const Cell* in = x.row(y);
        layer(&in, w, at(y));
    }
};

template <int C, int M> struct Light : Stage {  // the rest of a light block, after its first 1x1
    Stage &x, &t;
    const float* depth;
    Layer<1, M, M> point;
    Layer<1, M, C, true> last;
    Memory a, b;
    Light(Stage& x, Stage& t, Weights& from)
        : Stage(x.h, x.w, C), x(x), t(t), depth(from.take(9 * M)), point(from), last(from), a(zeros(w * M)),
          b(zeros(w * M)) {}
    void make(int y) override {
        const Cell* rows[] = {t.row(y - 1), t.row(y), t.row(y + 1)};
        depthwise<M>(rows, depth, w, a.get());
        const Cell* in = a.get();
        point(&in, w, b.get());
        last.add(b.get(), w, x.row(y), at(y));
    }
};

template <int C, int M> struct Wide : Stage {  // the rest of a wide block, after its first 1x1
    Stage &x, &t;
    Layer<5, M, M> down, across;
    Layer<1, M, C, true> last;
    Memory a, b;
    Wide(Stage& x, Stage& t, Weights& from)
        : Stage(x.h, x.w, C), x(x), t(t), down(from), across(from), last(from), a(zeros((w + 2 * EDGE) * M)),
          b(zeros(w * M)) {}
    void make(int y) override {
        const Cell* rows[5];
        for (int k = 0; k < 5; k++) rows[k] = t.row(y + k - 2);
        down(rows, w, a.get() + EDGE * M);
        for (int k = 0; k < 5; k++) rows[k] = a.get() + k * M;
        across(rows, w, b.get());
        last.add(b.get(), w, x.row(y), at(y));
    }
};

template <int CI, int M, int CO> struct Down : Stage {
    Stage& x;
    Layer<1, CI, M> first;
    Layer<4, M, M> halve;
    Layer<1, CI, CO> residual;
    Layer<1, M, CO, true> last;
    Memory a, b, most;
    Down(Stage& x, Weights& from)
        : Stage(x.h / 2, x.w / 2, CO), x(x), first(from), halve(from), residual(from), last(from),
          a(zeros(4 * w * M)), b(zeros(w * M)), most(zeros(w * CI)) {}
    void make(int y) override {
        const Cell* in[] = {x.row(2 * y), x.row(2 * y + 1)};
        for (int k = 0; k < 2; k++) first(in + k, 2 * w, a.get() + k * 2 * w * M);
        const Cell* taps[4];
        for (int k = 0; k < 4; k++) taps[k] = a.get() + (k / 2 * 2 * w + k % 2) * M;
        halve.template operator()<2 * M>(taps, w, b.get());
        for (int i = 0; i < w; i++) largest(in[0] + 2 * i * CI, in[1] + 2 * i * CI, most.get() + i * CI);
        const Cell* from = most.get();
        residual(&from, w, at(y));
        last.add(b.get(), w, at(y), at(y));
    }
    static void largest(const Cell* up, const Cell* low, Cell* out) {  // of 2x2 pixels
        if constexpr (CODES || (GROUP > 1 && CI == PIXEL)) {  // codes, or bfloat16 of 0..255: in the order of their bits
            using Bits = std::conditional_t<CODES, uint8_t, uint16_t>;
            constexpr int L = CI < 16 ? CI : 16;
            typedef Bits B __attribute__((vector_size(L * sizeof(Bits))));
            for (int c = 0; c < CI; c += L) {
                B of[4];
                for (int k = 0; k < 4; k++) std::memcpy(&of[k], (k / 2 ? low : up) + k % 2 * CI + c, sizeof(B));
                const B m = of[0] > of[1] ? of[0] : of[1], n = of[2] > of[3] ? of[2] : of[3], most = m > n ? m : n;
                std::memcpy(out + c, &most, sizeof most);
            }
        } else if constexpr (CI % 8)
            for (int c = 0; c < CI; c++) {
                const Cell a = up[c] > up[CI + c] ? up[c] : up[CI + c], b = low[c] > low[CI + c] ? low[c] : low[CI + c];
                out[c] = a > b ? a : b;
            }
        else
            for (int c = 0; c < CI; c += LANES<CI>) {
                using F = V<CI>;
                const F a = load<F>(up + c), b = load<F>(up + CI + c), d = load<F>(low + c), e = load<F>(low + CI + c);
                const F m = a > b ? a : b, n = d > e ? d : e;
                store(out + c, m > n ? m : n);
            }
    }
};

// Row or column 2y + odd of the doubled map lies between y - 1 + odd and the next, this far towards it (align_corners).
inline float towards(int y, int odd, int n) {
    return odd ? float(n - 1 - y) / float(2 * n - 1) : 1 - float(y) / float(2 * n - 1);
}

template <int CI, int M, int CO> struct Up : Stage {
    Stage &x, &r;  // r: the residual's 1x1, not yet doubled
    Layer<1, CI, M> first;
    const Kernel twice[4];  // by row and column
    const float* bias;
    float slope;
    Layer<1, M, CO, true> last;
    Memory a, b, between, doubled;
    Up(Stage& x, Stage& r, Weights& from)
        : Stage(2 * x.h, 2 * x.w, CO, 2), x(x), r(r), first(from), twice{from.kernel<1, M, M>(), from.kernel<1, M, M>(), from.kernel<1, M, M>(), from.kernel<1, M, M>()}, bias(from.take(M)),
          slope(from.one()), last(from), a(zeros(x.w * M)), b(zeros(w * M)), between(zeros(r.pitch())),
          doubled(zeros(w * CO)) {}
    void make(int y2) override {
        const int y = y2 / 2, n = x.w;
        const Cell* low[] = {r.row(y - 1), r.row(y), r.row(y + 1)};
        const Cell* in = x.row(y);
        first(&in, n, a.get());
        for (int odd = 0; odd < 2; odd++) {
            for (int side = 0; side < 2; side++) {
                const Cell* from = a.get();
                conv<1, M, M, M>(&from, twice[2 * odd + side], bias, n, [&](int i, int c, V<M> v) {
                    store(b.get() + (2 * i + side) * M + c, prelu(v, slope));
                });
            }
            blend(low[odd], low[odd + 1], towards(y, odd, x.h));
            last.add(b.get(), w, doubled.get(), at(y2 + odd));
        }
    }
    void blend(const Cell* up, const Cell* down, float t) {
        using F = V<CO>;
        constexpr int L = LANES<CO>;
        Cell* mid = between.get() + EDGE * CO;
        for (int i = 0; i < x.w * CO; i += L) store(mid + i, load<F>(up + i) * (1 - t) + load<F>(down + i) * t);
        for (int i = 0; i < w; i++) {
            const float s = towards(i / 2, i % 2, x.w);
            const Cell* left = mid + (i / 2 - 1 + i % 2) * CO;
            for (int c = 0; c < CO; c += L)
                store(doubled.get() + i * CO + c, load<F>(left + c) * (1 - s) + load<F>(left + CO + c) * s);
        }
    }
};

template <int C> struct Squeeze : Stage {  // dwConv of two maps side by side: 2C -> C
    Stage &one, &two;
    const float *first, *second;
    Layer<1, 2 * C, C> point;
    Memory a;
    Squeeze(Stage& one, Stage& two, Weights& from)
        : Stage(one.h, one.w, C), one(one), two(two), first(from.take(9 * C)), second(from.take(9 * C)), point(from),
          a(zeros(w * 2 * C)) {}
    void make(int y) override {
        const Cell* rows[] = {one.row(y - 1), one.row(y), one.row(y + 1)};
        depthwise<C>(rows, first, w, a.get(), 2 * C);
        const Cell* more[] = {two.row(y - 1), two.row(y), two.row(y + 1)};
        depthwise<C>(more, second, w, a.get() + C, 2 * C);
        const Cell* in = a.get();
        point(&in, w, at(y));
    }
};

template <int CI, int M> struct HeadUp : Stage {  // transposed 2x2, slope, then norm
    Stage& x;
    const Kernel kernels[4];  // by row and column
    const float slope;
    const float *none, *scale, *shift;
    HeadUp(Stage& x, Weights& from)
        : Stage(2 * x.h, 2 * x.w, M, 2), x(x), kernels{from.kernel<1, CI, M>(), from.kernel<1, CI, M>(), from.kernel<1, CI, M>(), from.kernel<1, CI, M>()}, slope(from.one()), none(from.take(M)),
          scale(from.take(M)), shift(from.take(M)) {}
    void make(int y) override {
        const Cell* in = x.row(y / 2);
        for (int k = 0; k < 4; k++) {
            Cell* out = at(y + k / 2) + k % 2 * M;
            conv<1, CI, M, CI>(&in, kernels[k], none, x.w, [&](int i, int c, V<M> v) {
                store(out + 2 * i * M + c, prelu(v, slope) * load<V<M>>(scale + c) + load<V<M>>(shift + c));
            });
        }
    }
};

template <int M> struct HeadMid : Stage {
    Stage& x;
    const float* depth;
    Layer<1, M, M> point;
    Memory a;
    HeadMid(Stage& x, Weights& from) : Stage(x.h, x.w, M), x(x), depth(from.take(9 * M)), point(from), a(zeros(w * M)) {}
    void make(int y) override {
        const Cell* rows[] = {x.row(y - 1), x.row(y), x.row(y + 1)};
        depthwise<M>(rows, depth, w, a.get());
        const Cell* in = a.get();
        point(&in, w, at(y));
    }
};

template <int M> struct HeadEnd : Stage {  // 3x3 M -> classes, and probabilities
    Stage& x;
    float* const& out;
    const int classes;
    static constexpr int PIXELS = LANE * GROUP > M ? LANE * GROUP / M : 1;  // side by side in a vector
    std::vector<Tap> taps;                           // [classes][9][PIXELS][M]
    std::vector<float> bias, step, logits;
    HeadEnd(Stage& x, int classes, float* const& out, Weights& from)
        : Stage(x.h, x.w, classes), x(x), out(out), classes(classes), step(classes, 1), logits(classes * w) {
        const float* given = from.take(classes * 9 * M);
        for (int k = 0; k < classes; k++, given += 9 * M) {
            if constexpr (CODES) step[k] = step_of(given, 9 * M);
            bias.push_back(0);
            for (int t = 0; t < 9; t++)
                for (int i = 0; i < PIXELS * M; i++) taps.push_back(rounded(given[t * M + i % M], k, i < M));
        }
        const float* last = from.take(classes);
        for (int k = 0; k < classes; k++) bias[k] += last[k];
    }
    Tap rounded(float weight, int k, bool once) {
        const Tap found = tap(weight / step[k]);
        if (CODES && once) bias[k] -= NOUGHT * found * step[k];
        return found;
    }
    void make(int y) override {
        const Cell* rows[] = {x.row(y - 1), x.row(y), x.row(y + 1)};
        for (int k = 0; k < classes; k++) one(rows, taps.data() + k * 9 * PIXELS * M, k);
        float* to = out + size_t(y) * w * classes;
        if (classes == 1)
            for (int i = 0; i < w; i += 8) {
                using F = Vector<8>::F;
                store(to + i, 1 / (1 + exponential<8>(F{} - load<F>(&logits[i]))));
            }
        else
            for (int i = 0; i < w; i++) softmax(&logits[i * classes], to + i * classes);
    }
    void one(const Cell* const rows[3], const Tap* weight, int k) {
        constexpr int L = LANE, PART = L * GROUP;  // cells of a vector of sums
        constexpr int SUMS = L / PIXELS;
        using S = Sum<typename Vector<L>::F>;
        for (int x0 = 0; x0 < w; x0 += L) {  // w is a multiple of 32
            S sum[SUMS] = {};
            for (int t = 0; t < 9; t++) {
                const Cell* in = rows[t / 3] + (x0 + t % 3 - 1) * M;
#pragma GCC unroll 16
                for (int c = 0; c < PIXELS * M; c += PART)
#pragma GCC unroll 16
                    for (int i = 0; i < SUMS; i++)
                        sum[i] = dots(sum[i], in + i * PIXELS * M + c, weight + t * PIXELS * M + c);
            }
#pragma GCC unroll 4
            for (int left = SUMS / 2; left; left /= 2)
#pragma GCC unroll 8
                for (int i = 0; i < left; i++) sum[i] = pairs(sum[2 * i], sum[2 * i + 1], std::make_index_sequence<L>());
            for (int i = 0; i < L; i++) logits[(x0 + i) * classes + k] = sum[0][i] * step[k] + bias[k];
        }
    }
    void softmax(const float* in, float* to) const {
        float most = in[0], all = 0;
        for (int k = 1; k < classes; k++) most = in[k] > most ? in[k] : most;
        for (int k = 0; k < classes; k++) all += to[k] = std::exp(in[k] - most);
        for (int k = 0; k < classes; k++) to[k] /= all;
    }
};

}  // namespace anet
