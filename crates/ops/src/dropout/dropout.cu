// Eq. (1) of mod.rs, the same bits as cpu.rs: a draw of SplitMix64 decides on four elements.

#define THREADS 256
#define ELEMENTS 4 // that share one draw

// Grid: (length / 1024). A block's threads first make its draws, then take its elements in order.
extern "C" __global__ void __launch_bounds__(THREADS) dropout(
    float* __restrict__ out, const float* __restrict__ in, unsigned long long seed,
    int threshold, // bits below it mean "drop"
    float scale, int length)
{
    __shared__ unsigned long long draws[THREADS];
    const unsigned long long draw = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
    unsigned long long z = seed + (draw + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    draws[threadIdx.x] = z ^ (z >> 31);
    __syncthreads();

    const size_t first = (size_t)blockIdx.x * THREADS * ELEMENTS;
    for (int i = 0; i < ELEMENTS; ++i) {
        const int place = i * THREADS + threadIdx.x;
        if (first + place >= (size_t)length) return;
        const int bits = draws[place / ELEMENTS] >> (16 * (place % ELEMENTS)) & 0xffff;
        out[first + place] = bits >= threshold ? in[first + place] * scale : 0.0f;
    }
}
