// A-Net in one call: (h, w, 3) uint8 RGB -> (h, w, classes) float32 probabilities. See docs/speed.md, "A compiled kernel".
//
// Threads share the rows of each map and meet where one is complete. Each value is one sum in one order, whoever computes
// it, so that any number of threads gives the same bits.

#include <atomic>
#include <thread>

#include "stages.h"

namespace anet {

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// All threads of a run wait here for one another; spinning, since a wait is shorter than a system call.
struct Barrier {
    const int threads;
    std::atomic<int> here{0}, round{0};
    void wait() {
        if (threads == 1) return;
        const int now = round.load(std::memory_order_acquire);
        if (here.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
            here.store(0, std::memory_order_relaxed);
            round.store(now + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round.load(std::memory_order_acquire) == now; spins++)
            spins < 4096 ? pause() : std::this_thread::yield();  // the other one may have lost its core
    }
};

// The stages of one thread. Segments end in complete maps that all threads share.
struct Worker {
    std::vector<std::unique_ptr<Stage>> stages;
    std::vector<Stage*> ends;

    template <class S, class... A> S& add(A&&... a) {
        auto made = std::make_unique<S>(std::forward<A>(a)...);
        S& stage = *made;
        stages.push_back(std::move(made));
        return stage;
    }
    template <class S, class... A> Stage& ring(A&&... a) {
        S& stage = add<S>(std::forward<A>(a)...);
        stage.keep();
        return stage;
    }
    template <int C, int M> Stage& light(Stage& x, Weights& from) {
        Stage& t = ring<Point<C, M>>(x, from);
        return add<Light<C, M>>(x, t, from);
    }
    template <int C, int M> Stage& wide(Stage& x, Weights& from) {
        Stage& t = ring<Point<C, M>>(x, from);
        return add<Wide<C, M>>(x, t, from);
    }
    template <int CI, int M, int CO> Stage& up(Stage& x, Weights& from) {
        Stage& r = ring<Point<CI, CO>>(x, from);
        return add<Up<CI, M, CO>>(x, r, from);
    }
};

struct Net {
    const int h, w, classes, threads;
    const std::vector<float> weights;
    // Complete maps: two in turn, which nobody asks for pixels beside them, and the two of which somebody does.
    const size_t largest;
    const Memory turns[2], detail, upped, zero;
    const size_t size;  // bytes of what the weights are made into
    const Memory room;
    const uint8_t* pixels = nullptr;
    float* out = nullptr;
    std::vector<Worker> workers;
    Barrier barrier;
    std::vector<std::thread> helpers;
    std::atomic<int> runs{0};  // -1: the end

    Net(int h, int w, int classes, int threads, const float* from, size_t count)
        : h(h), w(w), classes(classes), threads(threads), weights(from, from + count),
          largest(size_t(h / 4) * (w / 4 + 2 * EDGE) * 64), turns{zeros(largest), zeros(largest)},
          detail(zeros(largest)), upped(zeros(largest)), zero(zeros(size_t(w + 2 * EDGE) * 128)),
          size(GROUP > 1 ? count * sizeof(float) + (1 << 16) : 0), room(zeros(size / sizeof(Cell))), workers(threads),
          barrier{threads} {
        for (Worker& one : workers) build(one);
        try {
            for (int k = 1; k < threads; k++) helpers.emplace_back([this, k] { help(k); });
        } catch (...) {
            stop();
            throw;
        }
    }
    ~Net() { stop(); }

    void stop() {
        runs.store(-1);
        runs.notify_all();
        for (auto& one : helpers) one.join();
    }

    void build(Worker& to) {  // Table II, in the order of anet/nets/anet.py
        char* first = reinterpret_cast<char*>(room.get());
        Weights from{weights.data(), weights.data() + weights.size(), first, first + size};
        int turn = 0;
        auto whole = [&](Stage& last, Cell* map = nullptr) -> Stage& {  // all threads meet when this one is complete
            map = map ? map : turns[turn++ % 2].get();
            last.keep(map);
            to.ends.push_back(&last);
            return to.add<Map>(last.h, last.w, last.c, map);
        };
        auto near = [&](Stage& last) -> Stage& {  // each thread makes the rows that it needs, some of them twice
            last.keep();
            return last;
        };
        Stage* x = &to.ring<Picture>(h, w, pixels);
        x = &to.ring<Down<PIXEL, 8, 32>>(*x, from);
        x = &near(to.light<32, 8>(*x, from));
        x = &near(to.wide<32, 8>(*x, from));
        x = &whole(to.add<Down<32, 16, 64>>(*x, from));
        x = &whole(to.light<64, 16>(*x, from));
        Stage& half = whole(to.wide<64, 16>(*x, from), detail.get());
        x = &whole(to.add<Down<64, 32, 128>>(half, from));
        x = &whole(to.light<128, 32>(*x, from));
        x = &whole(to.wide<128, 32>(*x, from));
        for (int level = 4; level <= 5; level++) {
            x = &whole(to.add<Down<128, 32, 128>>(*x, from));
            for (int pair = 0; pair < 2; pair++) {
                x = &whole(to.light<128, 32>(*x, from));
                x = &whole(to.wide<128, 32>(*x, from));
            }
        }
        for (int level = 4; level >= 3; level--) {
            x = &whole(to.up<128, 32, 128>(*x, from));
            x = &whole(to.light<128, 32>(*x, from));
            x = &whole(to.wide<128, 32>(*x, from));
        }
        x = &whole(to.up<128, 16, 64>(*x, from), upped.get());
        x = &whole(to.add<Squeeze<64>>(half, *x, from));
        x = &whole(to.light<64, 16>(*x, from));
        x = &whole(to.wide<64, 16>(*x, from));
        x = &near(to.up<64, 8, 32>(*x, from));
        x = &near(to.light<32, 8>(*x, from));
        x = &near(to.wide<32, 8>(*x, from));
        x = &to.ring<HeadUp<32, 16>>(*x, from);
        x = &to.ring<HeadMid<16>>(*x, from);
        to.ends.push_back(&to.add<HeadEnd<16>>(*x, classes, out, from));
        if (from.next != from.end) throw std::length_error("weights");
        for (auto& stage : to.stages) stage->zero = zero.get();
    }

    void work(int k) {
        for (auto& stage : workers[k].stages) stage->made = -1;
        for (Stage* end : workers[k].ends) {
            const int units = end->h / end->step, last = units * (k + 1) / threads * end->step;
            for (int y = units * k / threads * end->step; y < last; y++) end->need(y);
            barrier.wait();
        }
    }

    void help(int k) {
        for (int seen = 0;;) {
            // Pictures come one after another: spin for a moment before sleeping, which costs as much as a small stage.
            for (int spins = 0; spins < 20000 && runs.load(std::memory_order_acquire) == seen; spins++) pause();
            runs.wait(seen, std::memory_order_acquire);
            if (runs.load(std::memory_order_acquire) < 0) return;
            seen = seen == 1 << 30 ? 1 : seen + 1;
            work(k);
        }
    }

    void run(const uint8_t* image, float* probs) {
        pixels = image;
        out = probs;
        const int before = runs.load(std::memory_order_relaxed);
        runs.store(before == 1 << 30 ? 1 : before + 1, std::memory_order_release);
        runs.notify_all();
        work(0);
    }
};

}  // namespace anet

// Whether this processor can run what this file was compiled for.
extern "C" int anet_supported() {
#if defined(ANET_INT8) && defined(__AVX512F__)
    if (!__builtin_cpu_supports("avx512vnni")) return 0;
#elif defined(ANET_INT8)
    if (!__builtin_cpu_supports("avxvnni")) return 0;
#elif defined(__AVX512BF16__)
    if (!__builtin_cpu_supports("avx512bf16")) return 0;
#endif
#if defined(__AVX512F__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
    return 1;
#endif
}

// A network for pictures of one size, h and w multiples of 32. 0 where memory or threads are short, or where `count` is
// not the number of weights of A-Net with so many classes.
extern "C" void* anet_open(int h, int w, int classes, int threads, const float* weights, size_t count) {
    try {
        return new anet::Net(h, w, classes, threads, weights, count);
    } catch (const std::exception&) {
        return nullptr;
    }
}

extern "C" void anet_close(void* net) { delete static_cast<anet::Net*>(net); }

// One call at a time for one `net`.
extern "C" void anet_run(void* net, const uint8_t* image, float* probs) {
    static_cast<anet::Net*>(net)->run(image, probs);
}
