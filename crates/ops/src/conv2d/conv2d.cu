// Eq. (1) of mod.rs, its gradients and the transposed convolution as products of matrices that are never
// stored: the rows of one are gathered from the image as the product runs. Plain f32; the slow, exact way
// of a card.
//
// A block of 128 threads computes 64 x 64 sums, 8 x 4 per thread, 16 steps of the inner dimension
// at a time. All sums have a fixed order, so the same input gives the same bits.

#define THREADS 128
#define ELEMENTWISE 256  // threads of the kernels that run over elements
#define TILE 64          // rows and columns of a block's sums
#define DEPTH 16         // steps of the inner dimension between two barriers
#define PITCH (TILE + 4) // of a tile's rows: aligned for loads of four, and off the same banks
#define ROWS 8           // sums of a thread: rows ...
#define COLUMNS 4        // ... and columns
#define FETCHES (DEPTH * TILE / THREADS)

typedef float Tile[DEPTH][PITCH];

// Where a thread's sums begin in the block's.
__device__ __forceinline__ int own_row() { return threadIdx.x / (TILE / COLUMNS) * ROWS; }
__device__ __forceinline__ int own_column() { return threadIdx.x % (TILE / COLUMNS) * COLUMNS; }

// sums += left^T right over the tiles' DEPTH steps.
__device__ __forceinline__ void add_products(float (&sums)[ROWS][COLUMNS], const Tile& left, const Tile& right)
{
    const int row = own_row(), column = own_column();
#pragma unroll
    for (int step = 0; step < DEPTH; ++step) {
        float l[ROWS], r[COLUMNS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) l[i] = left[step][row + i];
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) r[j] = right[step][column + j];
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) sums[i][j] += l[i] * r[j];
    }
}

// The element of a tile that a thread fetches as its `i`-th: neighbours along the tile's row, or,
// for memory in which the inner dimension is contiguous, neighbours along its column.
struct Slot {
    int step, at;
};

__device__ __forceinline__ Slot along_row(int i)
{
    return {(int)threadIdx.x / TILE + i * (THREADS / TILE), (int)threadIdx.x % TILE};
}

__device__ __forceinline__ Slot along_column(int i)
{
    return {(int)threadIdx.x % DEPTH, (int)threadIdx.x / DEPTH + i * (THREADS / DEPTH)};
}

__device__ __forceinline__ void put_along_row(Tile& tile, const float (&values)[FETCHES])
{
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) tile[along_row(i).step][along_row(i).at] = values[i];
}

__device__ __forceinline__ void put_along_column(Tile& tile, const float (&values)[FETCHES])
{
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) tile[along_column(i).step][along_column(i).at] = values[i];
}

// The row or column inside the image that `position` shows, -1 for none. The mirrored image has
// period 2 size: 0 1 2 | 2 1 0 | 0 1 2 ...
__device__ __forceinline__ int seen(int position, int size, int mirrored)
{
    if (position >= 0 && position < size) return position;
    if (!mirrored) return -1;
    const int turn = 2 * size, index = (position % turn + turn) % turn;
    return min(index, turn - 1 - index);
}

// Adds the sums over all taps and over the `inner` channels of the source, `depth` terms in all:
//
//   sums[pixel, column] += sum W(t, i, column) source[.., y + step r, x + step s, i]
//   W(t, i, column) = weights[weight_of(t) + i inner_stride + column column_stride]
//
// for taps t = (r, s), where (y, x) = (ys, xs) of a pixel that this thread fetches, in the image that
// begins at `image_rows`, which is -1 for no pixel.
template <class WeightOf>
__device__ __forceinline__ void add_taps(
    float (&sums)[ROWS][COLUMNS], Tile& tile_source, Tile& tile_weights, const float* __restrict__ source,
    const float* __restrict__ weights, const int (&image_rows)[FETCHES], const int (&ys)[FETCHES],
    const int (&xs)[FETCHES], int rows, int width, int inner, int depth, int taps_of_row, int step, int mirrored,
    int columns, int inner_stride, int column_stride, WeightOf weight_of)
{
    const int first_column = blockIdx.y * TILE;
    for (int done = 0; done < depth; done += DEPTH) {
        float values[FETCHES], kernel[FETCHES];
        const int at = done + along_column(0).step, tap = at / inner, channel = at % inner;
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const int y = seen(ys[i] + step * (tap / taps_of_row), rows, mirrored);
            const int x = seen(xs[i] + step * (tap % taps_of_row), width, mirrored);
            const bool inside = image_rows[i] >= 0 && at < depth && y >= 0 && x >= 0;
            values[i] = inside ? source[((size_t)(image_rows[i] + y) * width + x) * inner + channel] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = column_stride == 1 ? along_row(i) : along_column(i);
            const int place = done + slot.step, column = first_column + slot.at;
            const size_t weight = weight_of(place / inner) + (size_t)(place % inner) * inner_stride;
            const bool inside = place < depth && column < columns;
            kernel[i] = inside ? weights[weight + (size_t)column * column_stride] : 0.0f;
        }
        __syncthreads(); // the tiles' last values have been read
        put_along_column(tile_source, values);
        if (column_stride == 1) put_along_row(tile_weights, kernel);
        else put_along_column(tile_weights, kernel);
        __syncthreads();
        add_products(sums, tile_source, tile_weights);
    }
}

// The sums of Eq. (1), and of the gradient with respect to the input: both run over taps t = (r, s)
// and the `inner` channels of the source, and differ in how the kernel lies and where taps look.
//
//   out[b, y, x, column] = sum W(t, i, column) source[b, stride y + from_row + step r, stride x + from_column + step s, i]
//   W(t, i, column) = weights[t tap_stride + i inner_stride + column column_stride]
//
// Grid: (B out_rows out_columns / 64, columns / 64).
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_products(
    float* __restrict__ out,           // [B, out_rows, out_columns, columns]
    const float* __restrict__ source,  // [B, rows, width, inner]
    const float* __restrict__ weights, // [K, R, S, C]
    int pixels, int out_rows, int out_columns, int columns, int rows, int width, int inner, int taps,
    int taps_of_row, int from_row, int from_column, int stride, int step, int mirrored, int tap_stride,
    int inner_stride, int column_stride)
{
    __shared__ __align__(16) Tile tile_source;
    __shared__ __align__(16) Tile tile_weights;
    const int first_pixel = blockIdx.x * TILE;

    int image_rows[FETCHES], ys[FETCHES], xs[FETCHES]; // of the pixels that this thread fetches
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const int pixel = first_pixel + along_column(i).at;
        image_rows[i] = pixel < pixels ? pixel / (out_rows * out_columns) * rows : -1;
        ys[i] = stride * (pixel / out_columns % out_rows) + from_row;
        xs[i] = stride * (pixel % out_columns) + from_column;
    }

    float sums[ROWS][COLUMNS] = {};
    add_taps(
        sums, tile_source, tile_weights, source, weights, image_rows, ys, xs, rows, width, inner, taps * inner,
        taps_of_row, step, mirrored, columns, inner_stride, column_stride,
        [=](int tap) { return (size_t)tap * tap_stride; });

    const int row = first_pixel + own_row(), column = blockIdx.y * TILE + own_column();
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            if (row + i < pixels && column + j < columns)
                out[(size_t)(row + i) * columns + column + j] = sums[i][j];
}

// Eq. (1) of ../transposed_conv2d/mod.rs.
//
//   out[b, y, x, column] = sum source[b, i, j, c] weights[c, r, s, column],
//                          stride i + r = y + padding, stride j + s = x + padding
//
// Rows with the same remainder by the stride see the same taps, every `stride`-th, and so do columns:
// each pair of remainders is a phase, an image of its own. Grid: (B phase_rows phase_columns / 64, columns / 64,
// stride stride).
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_transposed(
    float* __restrict__ out,           // [B, out_rows, out_columns, columns]
    const float* __restrict__ source,  // [B, rows, width, inner]
    const float* __restrict__ weights, // [inner, kernel_rows, kernel_columns, columns]
    int pixels, int out_rows, int out_columns, int columns, int rows, int width, int inner, int kernel_rows,
    int kernel_columns, int stride, int padding)
{
    __shared__ __align__(16) Tile tile_source;
    __shared__ __align__(16) Tile tile_weights;
    const int first_pixel = blockIdx.x * TILE, phase_y = blockIdx.z / stride, phase_x = blockIdx.z % stride;
    const int phase_rows = (out_rows + stride - 1) / stride, phase_columns = (out_columns + stride - 1) / stride;
    const int first_r = (phase_y + padding) % stride, taps_of_column = (kernel_rows - first_r + stride - 1) / stride;
    const int first_s = (phase_x + padding) % stride, taps_of_row = (kernel_columns - first_s + stride - 1) / stride;

    int image_rows[FETCHES], ys[FETCHES], xs[FETCHES]; // of the pixels that this thread fetches
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const int pixel = first_pixel + along_column(i).at;
        image_rows[i] = pixel < pixels ? pixel / (phase_rows * phase_columns) * rows : -1;
        ys[i] = pixel / phase_columns % phase_rows + (phase_y + padding) / stride;
        xs[i] = pixel % phase_columns + (phase_x + padding) / stride;
    }

    float sums[ROWS][COLUMNS] = {};
    add_taps(
        sums, tile_source, tile_weights, source, weights, image_rows, ys, xs, rows, width, inner,
        taps_of_column * taps_of_row * inner, taps_of_row, -1, 0, columns, kernel_rows * kernel_columns * columns, 1,
        [=](int tap) {
            const int r = first_r + stride * (tap / taps_of_row), s = first_s + stride * (tap % taps_of_row);
            return (size_t)(r * kernel_columns + s) * columns;
        });

    const int row = first_pixel + own_row(), column = blockIdx.y * TILE + own_column();
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        const int pixel = row + i, y = stride * (pixel / phase_columns % phase_rows) + phase_y;
        const int x = stride * (pixel % phase_columns) + phase_x;
        const size_t first_row = (size_t)(pixel / (phase_rows * phase_columns)) * out_rows;
        if (pixel >= pixels || y >= out_rows || x >= out_columns) continue;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            if (column + j < columns) out[((first_row + y) * out_columns + x) * columns + column + j] = sums[i][j];
    }
}

// The mirrored image with its border. One thread per element of the result.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE) conv2d_extend(
    float* __restrict__ extended, const float* __restrict__ image, // as below
    int rows, int width, int channels, int border_rows, int border_columns, int length)
{
    const unsigned index = blockIdx.x * ELEMENTWISE + threadIdx.x;
    if (index >= (unsigned)length) return;
    const unsigned pixel = index / channels, out_width = width + 2 * border_columns, out_rows = rows + 2 * border_rows;
    const int y = seen((int)(pixel / out_width % out_rows) - border_rows, rows, 1);
    const int x = seen((int)(pixel % out_width) - border_columns, width, 1);
    const size_t first_row = (size_t)(pixel / out_width / out_rows) * rows;
    extended[index] = image[((first_row + y) * width + x) * channels + index % channels];
}

// Sums the gradients of all places of a mirrored image that show the same pixel. One thread per
// element of the result.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE) conv2d_fold(
    float* __restrict__ out,            // [B, rows, width, channels]
    const float* __restrict__ extended, // [B, rows + 2 border_rows, width + 2 border_columns, channels]
    int rows, int width, int channels, int border_rows, int border_columns, int length)
{
    const unsigned index = blockIdx.x * ELEMENTWISE + threadIdx.x;
    if (index >= (unsigned)length) return;
    const unsigned pixel = index / channels;
    const int x = pixel % width, y = pixel / width % rows, channel = index % channels;
    const int turns_y = border_rows / (2 * rows) + 1, turns_x = border_columns / (2 * width) + 1;
    const size_t first_row = (size_t)(pixel / width / rows) * (rows + 2 * border_rows) + border_rows;
    float sum = 0.0f;
    for (int i = 0; i < 4 * turns_y + 2; ++i) {
        const int turn_y = 2 * rows * (i / 2 - turns_y), at_y = i % 2 ? turn_y - 1 - y : turn_y + y;
        if (at_y < -border_rows || at_y >= rows + border_rows) continue;
        for (int j = 0; j < 4 * turns_x + 2; ++j) {
            const int turn_x = 2 * width * (j / 2 - turns_x), at_x = j % 2 ? turn_x - 1 - x : turn_x + x;
            if (at_x < -border_columns || at_x >= width + border_columns) continue;
            const size_t column = (first_row + at_y) * (width + 2 * border_columns) + at_x + border_columns;
            sum += extended[column * channels + channel];
        }
    }
    out[index] = sum;
}

// The gradient with respect to the kernel, over one part of the pixels per z.
//
//   parts[part, k, t, c] = sum gradient[b, y, x, k] input[b, stride y + from_row + step r, stride x + from_column + step s, c]
//
// Grid: (C / 64, K / 64, taps * parts).
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_kernel_gradient(
    float* __restrict__ parts,          // [parts, K, taps, C]
    const float* __restrict__ gradient, // [B, rows, width, K]
    const float* __restrict__ input,    // [B, input_rows, input_width, C]
    int pixels, int rows, int width, int outputs, int input_rows, int input_width, int channels, int taps,
    int taps_of_row, int from_row, int from_column, int stride, int step, int mirrored, int pixels_of_part)
{
    __shared__ __align__(16) Tile tile_gradient;
    __shared__ __align__(16) Tile tile_input;
    const int tap = blockIdx.z % taps, part = blockIdx.z / taps;
    const int first_output = blockIdx.y * TILE, first_channel = blockIdx.x * TILE;
    const int shift_y = from_row + step * (tap / taps_of_row), shift_x = from_column + step * (tap % taps_of_row);
    const int end = min(pixels, (part + 1) * pixels_of_part);

    float sums[ROWS][COLUMNS] = {};
    for (int done = part * pixels_of_part; done < end; done += DEPTH) {
        float gradients[FETCHES], values[FETCHES];
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = along_row(i);
            const int pixel = done + slot.step, output = first_output + slot.at, channel = first_channel + slot.at;
            const int y = seen(stride * (pixel / width % rows) + shift_y, input_rows, mirrored);
            const int x = seen(stride * (pixel % width) + shift_x, input_width, mirrored);
            const size_t shown = ((size_t)(pixel / (rows * width)) * input_rows + y) * input_width + x;
            const bool sees = pixel < end && y >= 0 && x >= 0 && channel < channels;
            gradients[i] = pixel < end && output < outputs ? gradient[(size_t)pixel * outputs + output] : 0.0f;
            values[i] = sees ? input[shown * channels + channel] : 0.0f;
        }
        __syncthreads(); // the tiles' last values have been read
        put_along_row(tile_gradient, gradients);
        put_along_row(tile_input, values);
        __syncthreads();
        add_products(sums, tile_gradient, tile_input);
    }

    const int output = first_output + own_row(), channel = first_channel + own_column();
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            if (output + i < outputs && channel + j < channels)
                parts[(((size_t)part * outputs + output + i) * taps + tap) * channels + channel + j] = sums[i][j];
}

// The sum of the parts. One thread per weight.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE) conv2d_sum_parts(
    float* __restrict__ out, const float* __restrict__ parts, int count, int length)
{
    const unsigned index = blockIdx.x * ELEMENTWISE + threadIdx.x;
    if (index >= (unsigned)length) return;
    float sum = 0.0f;
    for (int part = 0; part < count; ++part) sum += parts[(size_t)part * length + index];
    out[index] = sum;
}
