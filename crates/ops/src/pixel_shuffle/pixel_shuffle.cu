// Eq. (1) of mod.rs and its inverse. CUDA twin of cpu.rs.
//
//   coarse  [B, h, w, f^2 C]
//   fine    [B, f h, f w, C]
//
// A block moves the channels of one coarse pixel, in the order in which the fine ones lie.

#define THREADS 256

// Where one of a coarse pixel's channels lies in both images.
struct Places {
    size_t coarse, fine;
};

__device__ __forceinline__ Places places_of(int element, int width, int channels, int factor)
{
    const unsigned pixel = blockIdx.x; // (b h + i) w + j
    const int c = element % channels, fine_column = element / channels % factor, fine_row = element / channels / factor;
    const size_t row = pixel / width * factor + fine_row;
    const int column = pixel % width * factor + fine_column;
    const int channel = (c * factor + fine_row) * factor + fine_column;
    return {(size_t)pixel * channels * factor * factor + channel, (row * width * factor + column) * channels + c};
}

// Grid: (B h w).
extern "C" __global__ void __launch_bounds__(THREADS) pixel_shuffle(
    float* __restrict__ fine, const float* __restrict__ coarse, int width, int channels, int factor)
{
    for (int element = threadIdx.x; element < channels * factor * factor; element += THREADS) {
        const Places places = places_of(element, width, channels, factor);
        fine[places.fine] = coarse[places.coarse];
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) pixel_unshuffle(
    float* __restrict__ coarse, const float* __restrict__ fine, int width, int channels, int factor)
{
    for (int element = threadIdx.x; element < channels * factor * factor; element += THREADS) {
        const Places places = places_of(element, width, channels, factor);
        coarse[places.coarse] = fine[places.fine];
    }
}
