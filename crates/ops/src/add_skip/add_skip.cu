// Eq. (1) of mod.rs. CUDA twin of cpu.rs.
//
//   main, out  [pixels, C2]
//   skip       [pixels, C1], its channels in the middle of the others from `before` on

#define THREADS 256

// One thread per element of the sum.
extern "C" __global__ void __launch_bounds__(THREADS) add_skip(
    float* __restrict__ out, const float* __restrict__ main, const float* __restrict__ skip,
    int main_channels, int skip_channels, int before, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const unsigned pixel = index / main_channels;
    const int channel = (int)(index % main_channels) - before;
    const bool padded = channel < 0 || channel >= skip_channels;
    out[index] = padded ? main[index] : main[index] + skip[(size_t)pixel * skip_channels + channel];
}
