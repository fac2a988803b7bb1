// The maximum of every window of 2 x 2 pixels, and its gradient. CUDA twin of cpu.rs.
//
//   input     [B, H, W, C]
//   output    [B, H / 2, W / 2, C]

#define THREADS 256

// Where the window of a result begins in the input.
struct Window {
    int row, column; // of its first pixel
    size_t first;    // its element of the result's channel
};

__device__ __forceinline__ Window window_of(unsigned index, int rows, int columns, int height, int width, int channels)
{
    const unsigned channel = index % channels, pixel = index / channels;
    const int column = 2 * (pixel % columns), row = 2 * (pixel / columns % rows);
    const size_t image = pixel / columns / rows;
    return {row, column, ((image * height + row) * width + column) * channels + channel};
}

// The first largest of the window's four elements; a NaN counts as largest.
__device__ __forceinline__ size_t winner(const float* __restrict__ input, size_t first, int width, int channels)
{
    const size_t below = first + (size_t)width * channels;
    const size_t places[4] = {first, first + channels, below, below + channels};
    size_t best = first;
    for (int i = 1; i < 4; ++i) {
        const float value = input[places[i]];
        if (value > input[best] || value != value) best = places[i];
    }
    return best;
}

// One thread per element of the output.
extern "C" __global__ void __launch_bounds__(THREADS) max_pool2(
    float* __restrict__ output, const float* __restrict__ input, int height, int width, int channels, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const Window window = window_of(index, height / 2, width / 2, height, width, channels);
    output[index] = input[winner(input, window.first, width, channels)];
}

// One thread per window and channel, those that an odd last row or column cuts off included: their
// pixels have no gradient.
extern "C" __global__ void __launch_bounds__(THREADS) max_pool2_gradient(
    float* __restrict__ input_gradient, const float* __restrict__ input, const float* __restrict__ gradient,
    int height, int width, int channels, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const int rows = (height + 1) / 2, columns = (width + 1) / 2;
    const Window window = window_of(index, rows, columns, height, width, channels);
    const bool has_right = window.column + 1 < width, has_below = window.row + 1 < height;
    const size_t right = window.first + channels, below = window.first + (size_t)width * channels;
    input_gradient[window.first] = 0.0f;
    if (has_right) input_gradient[right] = 0.0f;
    if (has_below) input_gradient[below] = 0.0f;
    if (has_right && has_below) {
        input_gradient[below + channels] = 0.0f;
        const size_t image = index / channels / columns / rows;
        const size_t pixel = (image * (height / 2) + window.row / 2) * (width / 2) + window.column / 2;
        input_gradient[winner(input, window.first, width, channels)] = gradient[pixel * channels + index % channels];
    }
}
