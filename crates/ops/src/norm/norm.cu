// Eq. (1) of mod.rs, its statistics and its gradients. CUDA twin of cpu.rs.
//
//   input, gradient, out   [B, pixels, C]
//   gamma, beta, mean ...  [R, C]        `rows` [B] holds each slice's row of these
//   means, squares ...     [S, C]        of segments: S = B * pieces, up to `piece` pixels each
//
// Statistics are taken in two stages: blocks sum segments, then blocks sum the segments of a row. A
// block's threads are `lanes` channels, a power of two, times as many pixels (or segments) as fit,
// so that neighbours read neighbouring channels. All sums have a fixed order.

#define THREADS 256

// A row's part of Eq. (1) for one channel. The mean is rounded; `rest` is what that left over, in
// deviations, see tables.rs.
struct Entry {
    float mean, rest, inverse, gamma, beta;
};

__device__ __forceinline__ float normalized(const Entry& entry, float x)
{
    return (x - entry.mean) * entry.inverse + entry.rest;
}

// The gradient before the rectifier.
__device__ __forceinline__ float delta_of(const Entry& entry, float unit, float gradient, float slope)
{
    return entry.gamma * unit + entry.beta > 0.0f ? gradient : slope * gradient;
}

// How many numbers, their mean and the sum of squared differences from it.
struct Moments {
    double count, mean, squares;
};

__device__ __forceinline__ Moments joined(const Moments& a, const Moments& b)
{
    if (a.count == 0.0) return b;
    if (b.count == 0.0) return a;
    const double count = a.count + b.count, share = b.count / count, difference = b.mean - a.mean;
    return {count, a.mean + difference * share, a.squares + b.squares + difference * difference * a.count * share};
}

// The moments of all threads of this thread's channel, in the first of them.
__device__ __forceinline__ Moments joined_over_block(Moments own, int lanes)
{
    __shared__ double counts[THREADS], means[THREADS], squares[THREADS];
    for (int half = THREADS / 2; half >= lanes; half /= 2) {
        counts[threadIdx.x] = own.count;
        means[threadIdx.x] = own.mean;
        squares[threadIdx.x] = own.squares;
        __syncthreads();
        const int other = threadIdx.x + half;
        if ((int)threadIdx.x < half) own = joined(own, {counts[other], means[other], squares[other]});
        __syncthreads();
    }
    return own;
}

// Two sums over all threads of this thread's channel, in the first of them.
__device__ __forceinline__ double2 summed_over_block(double2 own, int lanes)
{
    __shared__ double first[THREADS], second[THREADS];
    for (int half = THREADS / 2; half >= lanes; half /= 2) {
        first[threadIdx.x] = own.x;
        second[threadIdx.x] = own.y;
        __syncthreads();
        if ((int)threadIdx.x < half) {
            own.x += first[threadIdx.x + half];
            own.y += second[threadIdx.x + half];
        }
        __syncthreads();
    }
    return own;
}

// Mean and squares of every segment, relative to its first pixel: differences from a number nearby
// lose nothing to a large mean. Grid: (S, C / lanes).
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_segments(
    float* __restrict__ means, float* __restrict__ squares, const float* __restrict__ input,
    int pixels, int channels, int lanes, int piece, int pieces)
{
    const int segment = blockIdx.x, channel = blockIdx.y * lanes + threadIdx.x % lanes;
    const int begin = segment % pieces * piece, end = min(begin + piece, pixels);
    const float* values = input + ((size_t)(segment / pieces) * pixels + begin) * channels + channel;
    const float origin = channel < channels ? values[0] : 0.0f;
    float count = 0.0f, mean = 0.0f, sum = 0.0f;
    if (channel < channels) {
#pragma unroll 4
        for (int at = threadIdx.x / lanes; at < end - begin; at += THREADS / lanes) {
            const float value = values[(size_t)at * channels] - origin, before = value - mean;
            count += 1.0f;
            mean += before / count;
            sum += before * (value - mean);
        }
    }
    const Moments all = joined_over_block({count, mean, sum}, lanes);
    if ((int)threadIdx.x < lanes && channel < channels) {
        means[(size_t)segment * channels + channel] = (float)all.mean;
        squares[(size_t)segment * channels + channel] = (float)all.squares;
    }
}

// Statistics of every row, the variance both unbiased and as Eq. (1) has it; `rest` is what rounding the mean
// left over. Grid: (R, C / lanes).
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_statistics(
    float* __restrict__ mean, float* __restrict__ variance, float* __restrict__ biased, float* __restrict__ rest,
    const float* __restrict__ means, const float* __restrict__ squares, const float* __restrict__ input,
    const int* __restrict__ rows, int segments, int pixels, int channels, int lanes, int piece, int pieces)
{
    const int row = blockIdx.x, channel = blockIdx.y * lanes + threadIdx.x % lanes;
    Moments own = {0.0, 0.0, 0.0};
    if (channel < channels) {
        for (int segment = threadIdx.x / lanes; segment < segments; segment += THREADS / lanes) {
            const int slice = segment / pieces, begin = segment % pieces * piece;
            if (rows[slice] != row) continue;
            const size_t at = (size_t)segment * channels + channel;
            const double origin = input[((size_t)slice * pixels + begin) * channels + channel];
            const double count = min(piece, pixels - begin);
            own = joined(own, {count, origin + means[at], squares[at]});
        }
    }
    own = joined_over_block(own, lanes);
    if ((int)threadIdx.x >= lanes || channel >= channels) return;
    const int at = row * channels + channel;
    mean[at] = (float)own.mean;
    variance[at] = own.count > 1.0 ? (float)(own.squares / (own.count - 1.0)) : 0.0f;
    biased[at] = own.count > 0.0 ? (float)(own.squares / own.count) : 0.0f;
    rest[at] = (float)((double)mean[at] - own.mean);
}

// What Eq. (1) needs of known statistics; `shift` is what rounding the mean left over, if it was `rounded`. One
// thread per entry of the tables.
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_scales(
    float* __restrict__ rest, float* __restrict__ inverse, const float* __restrict__ variance,
    const float* __restrict__ shift, int rounded, float epsilon, int length)
{
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= (unsigned)length) return;
    const double scale = 1.0 / sqrt((double)variance[at] + epsilon);
    rest[at] = rounded ? (float)(shift[at] * scale) : 0.0f;
    inverse[at] = (float)scale;
}

// Eq. (1). One thread per element.
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_leaky_relu(
    float* __restrict__ out, const float* __restrict__ input, const float* __restrict__ gamma,
    const float* __restrict__ beta, const float* __restrict__ mean, const float* __restrict__ rest,
    const float* __restrict__ inverse, const int* __restrict__ rows, int pixels, int channels, float slope, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const int at = rows[index / channels / pixels] * channels + index % channels;
    const Entry entry = {mean[at], rest[at], inverse[at], gamma[at], beta[at]};
    const float z = entry.gamma * normalized(entry, input[index]) + entry.beta;
    out[index] = z > 0.0f ? z : slope * z;
}

// The sums of delta and of delta times x̂ over every segment. Grid: (S, C / lanes).
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_gradient_segments(
    float* __restrict__ deltas, float* __restrict__ products, const float* __restrict__ input,
    const float* __restrict__ gradient, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rest, const float* __restrict__ inverse,
    const int* __restrict__ rows, int pixels, int channels, int lanes, int piece, int pieces, float slope)
{
    const int segment = blockIdx.x, channel = blockIdx.y * lanes + threadIdx.x % lanes;
    const int begin = segment % pieces * piece, end = min(begin + piece, pixels);
    const size_t first = ((size_t)(segment / pieces) * pixels + begin) * channels + channel;
    float delta_sum = 0.0f, product_sum = 0.0f;
    if (channel < channels) {
        const int at = rows[segment / pieces] * channels + channel;
        const Entry entry = {mean[at], rest[at], inverse[at], gamma[at], beta[at]};
#pragma unroll 4
        for (int pixel = threadIdx.x / lanes; pixel < end - begin; pixel += THREADS / lanes) {
            const size_t element = first + (size_t)pixel * channels;
            const float unit = normalized(entry, input[element]);
            const float delta = delta_of(entry, unit, gradient[element], slope);
            delta_sum += delta;
            product_sum += delta * unit;
        }
    }
    const double2 sums = summed_over_block({delta_sum, product_sum}, lanes);
    if ((int)threadIdx.x < lanes && channel < channels) {
        deltas[(size_t)segment * channels + channel] = (float)sums.x;
        products[(size_t)segment * channels + channel] = (float)sums.y;
    }
}

// The gradients of beta and gamma: the sums over every row's segments. Grid: (R, C / lanes).
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_gradient_sums(
    float* __restrict__ by_gamma, float* __restrict__ by_beta, const float* __restrict__ deltas,
    const float* __restrict__ products, const int* __restrict__ rows, int segments, int channels, int lanes, int pieces)
{
    const int row = blockIdx.x, channel = blockIdx.y * lanes + threadIdx.x % lanes;
    double2 own = {0.0, 0.0};
    if (channel < channels) {
        for (int segment = threadIdx.x / lanes; segment < segments; segment += THREADS / lanes) {
            if (rows[segment / pieces] != row) continue;
            own.x += deltas[(size_t)segment * channels + channel];
            own.y += products[(size_t)segment * channels + channel];
        }
    }
    own = summed_over_block(own, lanes);
    if ((int)threadIdx.x >= lanes || channel >= channels) return;
    by_beta[row * channels + channel] = (float)own.x;
    by_gamma[row * channels + channel] = (float)own.y;
}

// The gradient with respect to the input. One thread per element; `shares` [R] is 1 over the pixels
// of a row.
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_input_gradient(
    float* __restrict__ out, const float* __restrict__ input, const float* __restrict__ gradient,
    const float* __restrict__ gamma, const float* __restrict__ beta, const float* __restrict__ mean,
    const float* __restrict__ rest, const float* __restrict__ inverse, const float* __restrict__ by_gamma,
    const float* __restrict__ by_beta, const int* __restrict__ rows, const float* __restrict__ shares,
    int pixels, int channels, float slope, int length)
{
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= (unsigned)length) return;
    const int row = rows[index / channels / pixels], at = row * channels + index % channels;
    const Entry entry = {mean[at], rest[at], inverse[at], gamma[at], beta[at]};
    const float unit = normalized(entry, input[index]), delta = delta_of(entry, unit, gradient[index], slope);
    const float centred = delta - by_beta[at] * shares[row] - unit * (by_gamma[at] * shares[row]);
    out[index] = entry.gamma * entry.inverse * centred;
}

// Moves running statistics towards a batch's, in rows that the batch holds. One thread per entry.
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_follow(
    float* __restrict__ running, const float* __restrict__ batch,
    const int* __restrict__ present, // [R]
    int channels, float decay, int length)
{
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= (unsigned)length || !present[at / channels]) return;
    running[at] = decay * running[at] + (1.0f - decay) * batch[at];
}
