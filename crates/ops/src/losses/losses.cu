// The losses of mod.rs and their gradients: sums over all pixels in two stages, then pixel by pixel.
//
//   logits, gradient  [pixels, C]
//   labels            [pixels], bytes below C
//   totals            [4, C]: sum p^2, sum p g, sum ln clip(p_g), pixels
//
// All sums have a fixed order: in a block in double, so that their rounding is that of one number
// per block.

#define THREADS 256
#define PIXELS 4               // of a thread, in the kernels that sum
#define PROBABILITY_MIN 0.005f // of the true class: below, clipped
#define DICE_EPSILON 1e-7
#define COUNT_EPSILON 1e-6

// The sum over all threads, in the first.
__device__ __forceinline__ double summed_over_block(double own)
{
    __shared__ double values[THREADS];
    for (int half = THREADS / 2; half > 0; half /= 2) {
        values[threadIdx.x] = own;
        __syncthreads();
        if ((int)threadIdx.x < half) own += values[threadIdx.x + half];
        __syncthreads();
    }
    return own;
}

// Probability of a class: exp(z - largest) scale.
struct Softmax {
    float largest, scale;
};

__device__ __forceinline__ Softmax softmax_of(const float* logits, int classes)
{
    float largest = logits[0], sum = 0.0f;
    for (int c = 1; c < classes; ++c) largest = fmaxf(largest, logits[c]);
    for (int c = 0; c < classes; ++c) sum += expf(logits[c] - largest);
    return {largest, 1.0f / sum};
}

__device__ __forceinline__ float probability(const Softmax& softmax, float logit)
{
    return expf(logit - softmax.largest) * softmax.scale;
}

// The totals of 1024 pixels. Grid: (pixels / 1024).
extern "C" __global__ void __launch_bounds__(THREADS) segmentation_totals(
    float* __restrict__ parts, // [blocks, 4, C]
    const float* __restrict__ logits, const unsigned char* __restrict__ labels, int classes, int pixels)
{
    const int first = blockIdx.x * THREADS * PIXELS + threadIdx.x;
    Softmax softmax[PIXELS];
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) {
        const int pixel = first + i * THREADS;
        if (pixel < pixels) softmax[i] = softmax_of(logits + (size_t)pixel * classes, classes);
    }
    for (int c = 0; c < classes; ++c) {
        float squares = 0.0f, overlap = 0.0f, logarithms = 0.0f, count = 0.0f;
#pragma unroll
        for (int i = 0; i < PIXELS; ++i) {
            const int pixel = first + i * THREADS;
            if (pixel >= pixels) continue;
            const float p = probability(softmax[i], logits[(size_t)pixel * classes + c]);
            squares += p * p;
            if (labels[pixel] != c) continue;
            overlap += p;
            // Not fmaxf, which would make a number of what is none.
            logarithms += logf(p < PROBABILITY_MIN ? PROBABILITY_MIN : p);
            count += 1.0f;
        }
        const float sums[4] = {squares, overlap, logarithms, count};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const double sum = summed_over_block(sums[i]);
            if (threadIdx.x == 0) parts[((size_t)blockIdx.x * 4 + i) * classes + c] = (float)sum;
        }
    }
}

// The sum of every number over all blocks of an earlier launch. Grid: (numbers).
extern "C" __global__ void __launch_bounds__(THREADS) sum_of_blocks(
    float* __restrict__ totals, const float* __restrict__ parts, int blocks)
{
    double own = 0.0;
    for (int block = threadIdx.x; block < blocks; block += THREADS) own += parts[(size_t)block * gridDim.x + blockIdx.x];
    own = summed_over_block(own);
    if (threadIdx.x == 0) totals[blockIdx.x] = (float)own;
}

// Dice and cross-entropy, and what the gradient of a pixel needs to know of the batch:
//
//   slopes [3, C]: of Dice times p, of Dice in pixels of the class, of cross-entropy against ln p
//
// One block of one thread: there are as many numbers as classes.
extern "C" __global__ void segmentation_losses(
    float* __restrict__ losses, float* __restrict__ slopes, const float* __restrict__ totals, int classes, int pixels)
{
    double dice = 0.0, cross_entropy = 0.0;
    for (int c = 0; c < classes; ++c) {
        const double squares = totals[c], overlap = totals[classes + c], logarithms = totals[2 * classes + c];
        const double count = totals[3 * classes + c], denominator = squares + count + DICE_EPSILON;
        const double weight = 1.0 - count / pixels, scale = -2.0 / classes;
        dice += 2.0 * overlap / denominator;
        cross_entropy -= weight * logarithms;
        slopes[c] = (float)(-2.0 * scale * overlap / (denominator * denominator));
        slopes[classes + c] = (float)(scale / denominator);
        slopes[2 * classes + c] = (float)(-weight / pixels);
    }
    losses[0] = (float)(1.0 - dice / classes);
    losses[1] = (float)(cross_entropy / pixels);
}

// dL/dz_j = p_j (h_j - sum_c p_c h_c) of incoming[0] dice + incoming[1] cross-entropy; the latter's
// part is s ([j = g] - p_j), without a division by a small probability. One thread per pixel.
extern "C" __global__ void __launch_bounds__(THREADS) segmentation_gradient(
    float* __restrict__ gradient, const float* __restrict__ logits, const float* __restrict__ slopes,
    const float* __restrict__ incoming, const unsigned char* __restrict__ labels, int classes, int pixels)
{
    const int pixel = blockIdx.x * THREADS + threadIdx.x;
    if (pixel >= pixels) return;
    const float* z = logits + (size_t)pixel * classes;
    const float by_dice = incoming[0];
    const int label = labels[pixel];
    const Softmax softmax = softmax_of(z, classes);
    const float p_label = probability(softmax, z[label]), on_class = p_label * slopes[classes + label] * by_dice;
    const float slope = p_label < PROBABILITY_MIN ? 0.0f : slopes[2 * classes + label] * incoming[1];
    float mean = on_class + slope;
    for (int c = 0; c < classes; ++c) {
        const float p = probability(softmax, z[c]);
        mean += p * p * slopes[c] * by_dice;
    }
    for (int c = 0; c < classes; ++c) {
        const float p = probability(softmax, z[c]), own = c == label ? on_class + slope : 0.0f;
        gradient[(size_t)pixel * classes + c] = p * (p * slopes[c] * by_dice - mean) + own;
    }
}

// The logits of every class's pixels, summed, and their number, over 1024 pixels. Grid: (pixels / 1024).
extern "C" __global__ void __launch_bounds__(THREADS) class_sums(
    float* __restrict__ parts, // [blocks, C, C + 1]
    const float* __restrict__ logits, const unsigned char* __restrict__ labels, int classes, int pixels)
{
    const int first = blockIdx.x * THREADS * PIXELS + threadIdx.x;
    for (int number = 0; number < classes * (classes + 1); ++number) {
        const int label = number / (classes + 1), column = number % (classes + 1);
        float own = 0.0f;
#pragma unroll
        for (int i = 0; i < PIXELS; ++i) {
            const int pixel = first + i * THREADS;
            if (pixel < pixels && labels[pixel] == label)
                own += column < classes ? logits[(size_t)pixel * classes + column] : 1.0f;
        }
        const double sum = summed_over_block(own);
        if (threadIdx.x == 0) parts[(size_t)blockIdx.x * classes * (classes + 1) + number] = (float)sum;
    }
}

// Sums [C, C + 1] to means, the last column kept. One thread per number.
extern "C" __global__ void __launch_bounds__(THREADS) class_means(
    float* __restrict__ means, const float* __restrict__ sums, int classes, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const int row = index / (classes + 1), column = index % (classes + 1);
    const double count = sums[row * (classes + 1) + classes];
    means[index] = column < classes ? (float)(sums[index] / (count + COUNT_EPSILON)) : (float)count;
}

// The gradient of the means with respect to the logits: every pixel takes the row of its class. One
// thread per element.
extern "C" __global__ void __launch_bounds__(THREADS) class_means_gradient(
    float* __restrict__ gradient,
    const float* __restrict__ incoming, // [C, C + 1], the last column without a part
    const float* __restrict__ means,    // [C, C + 1]
    const unsigned char* __restrict__ labels, int classes, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const int row = labels[index / classes] * (classes + 1);
    gradient[index] = incoming[row + index % classes] / (means[row + classes] + (float)COUNT_EPSILON);
}
