// Runs CUDA kernels on one CPU thread, faithfully thread by thread, for tests.
//
// Every thread of a block has a stack of its own and runs to its next barrier, or to what its warp does
// together (emulator/tensor_cores.hpp); then comes the next thread. Threads and blocks may be taken in
// different orders: a kernel that lacks a barrier, or whose blocks write to the same place, gives other
// bits in another order. Shared memory starts as NaN in every block, as do buffers that nobody has
// written. To read behind a buffer ends the run.

#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

struct double2 {
    double x, y;
};

static dim3 gridDim, blockDim, blockIdx, threadIdx;

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// One section, so that all shared memory can be found and spoilt before a block starts.
#define __shared__ static __attribute__((section("shared_memory")))

extern "C" char __start_shared_memory[] __attribute__((weak));
extern "C" char __stop_shared_memory[] __attribute__((weak));

using std::max;
using std::min;

namespace emulator {

[[noreturn]] inline void fail(const std::string& message) {
    fprintf(stderr, "%s\n", message.c_str());
    exit(1);
}

enum class State { Ready, AtWarp, AtBarrier, Done };

constexpr unsigned WARP = 32;

// What all lanes of a warp do at once, given the first one's number.
using Together = void (*)(unsigned);

constexpr size_t STACK = 64 << 10;

struct Thread {
    // Where it begins, and from then on where it waits: a jump, unlike a switch of contexts, asks nothing of the
    // system.
    ucontext_t context;
    jmp_buf place;
    bool has_begun = false;
    // Not filled: most of it is never touched.
    std::unique_ptr<char[]> stack{new char[STACK]};
    State state;
    Together together; // while it is `AtWarp`
};

inline jmp_buf scheduler;
inline std::vector<Thread> threads;
inline unsigned current;
inline std::function<void()> kernel_call;

// Back to the scheduler, until it is this thread's turn again.
inline void wait_for_turn(State state) {
    Thread& thread = threads[current];
    thread.state = state;
    if (_setjmp(thread.place) == 0) _longjmp(scheduler, 1);
}

// A thread's life: the kernel, once for each block.
inline void enter() {
    for (;;) {
        kernel_call();
        wait_for_turn(State::Done);
    }
}

__attribute__((noinline)) inline void take_turn(Thread& thread) {
    if (_setjmp(scheduler) != 0) return;
    if (thread.has_begun) _longjmp(thread.place, 1);
    thread.has_begun = true;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = STACK;
    makecontext(&thread.context, enter, 0);
    setcontext(&thread.context);
}

// Waits until all lanes of the warp are there, and has `together` done.
inline void with_warp(Together together) {
    threads[current].together = together;
    wait_for_turn(State::AtWarp);
}

// Does what a warp's lanes wait for, if all of them do.
inline bool serve_warp(unsigned lane) {
    const unsigned first = lane / WARP * WARP;
    if (first + WARP > threads.size()) fail("a warp of fewer than 32 threads");
    const auto begin = threads.begin() + first;
    const auto waits = [](const Thread& thread) { return thread.state == State::AtWarp; };
    const auto same = [&](const Thread& thread) { return thread.together == begin->together; };
    if (!std::all_of(begin, begin + WARP, waits)) return false;
    if (!std::all_of(begin, begin + WARP, same)) fail("the lanes of a warp want different things at once");
    begin->together(first);
    std::for_each(begin, begin + WARP, [](Thread& thread) { thread.state = State::Ready; });
    return true;
}

// Runs the threads of a block, or of one of its warps, to the next place where they wait.
inline void run_ready(const std::vector<unsigned>& turns, int warp = -1) {
    for (unsigned turn : turns) {
        Thread& thread = threads[turn];
        if (thread.state != State::Ready || (warp >= 0 && turn / WARP != unsigned(warp))) continue;
        current = threadIdx.x = turn;
        take_turn(thread);
        // A warp whose lanes are all there goes on as far as it can: on a card, warps drift apart.
        while (warp < 0 && thread.state == State::AtWarp && serve_warp(turn)) run_ready(turns, turn / WARP);
    }
}

// Runs every thread of a block to its next barrier, or to its end.
inline void run_to_barrier(const std::vector<unsigned>& turns) {
    for (Thread& thread : threads) thread.state = State::Ready;
    run_ready(turns);
    for (const Thread& thread : threads)
        if (thread.state == State::AtWarp) fail("some lanes of a warp wait for others that do not come");
}

// Runs every thread of a block up to the end, barrier after barrier.
inline void run_block(std::mt19937& random, unsigned order) {
    if (__start_shared_memory) {
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
    }
    std::vector<unsigned> turns(threads.size());
    for (unsigned i = 0; i < turns.size(); ++i) {
        turns[i] = order == 1 ? turns.size() - 1 - i : i;
    }
    for (size_t done = 0; done < threads.size();) {
        if (order > 1) std::shuffle(turns.begin(), turns.end(), random);
        run_to_barrier(turns);
        done = std::count_if(
            threads.begin(), threads.end(), [](const Thread& thread) { return thread.state == State::Done; });
        if (done > 0 && done < threads.size()) fail("some threads end before a barrier of others");
    }
}

inline void run_grid(dim3 grid, unsigned threads_of_block, unsigned order, std::function<void()> call) {
    std::mt19937 random(order);
    kernel_call = std::move(call);
    gridDim = grid;
    blockDim.x = threads_of_block;
    threads.resize(threads_of_block);
    const size_t blocks = size_t(grid.x) * grid.y * grid.z;
    for (size_t i = 0; i < blocks; ++i) {
        const size_t block_index = order == 1 ? blocks - 1 - i : i;
        blockIdx.x = block_index % grid.x;
        blockIdx.y = block_index / grid.x % grid.y;
        blockIdx.z = block_index / grid.x / grid.y;
        run_block(random, order);
    }
}

// Calls a kernel as the driver does: with an array of pointers to its arguments.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void* const* arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
}

struct Kernel {
    std::string name;
    size_t arity;
    std::function<void(void* const*)> call;
};

template <class... A>
Kernel describe(const char* name, void (*kernel)(A...)) {
    return {name, sizeof...(A), [kernel](void* const* arguments) {
                call(kernel, arguments, std::index_sequence_for<A...>());
            }};
}

// Memory that ends where the process may not even read, behind a guard that must stay as it is. All
// bytes 0xff are a NaN, and the integer -1.
struct Buffer {
    size_t length;
    unsigned char *guard, *data;

    explicit Buffer(size_t bytes) : length(bytes) {
        const size_t page = sysconf(_SC_PAGESIZE), size = (bytes / page + 2) * page;
        void* memory = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) fail("no memory");
        guard = static_cast<unsigned char*>(memory);
        data = guard + size - bytes;
        memset(guard, 0xff, size);
        mprotect(guard + size, page, PROT_NONE);
    }
    bool is_guarded() const {
        return std::all_of(guard, data, [](unsigned char byte) { return byte == 0xff; });
    }
};

} // namespace emulator

inline void __syncthreads() {
    emulator::wait_for_turn(emulator::State::AtBarrier);
}
