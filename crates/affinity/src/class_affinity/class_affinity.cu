// Eqs. (2) and (3) of mod.rs and their gradient, for pixels sorted by region. CUDA twin of cpu.rs.
//
// A region is a class, or a class within a slice. Nothing masked is ever stored: `order` lists the
// pixels region by region, blocks gather the rows they need, and each pixel is multiplied once.
//
//   features_l  [pixels, M]   order     [sorted]      pixel at each place of the region order
//   features_k  [pixels, N]   segments  [S, 3]        region, first place, place behind the last
//   products    [S, M, N]     tiles     [T, 5]        region, both places, class, matrix of cosines
//   inverse_l   [R, M]        weights   [R]           w = 1/S_c
//
// A block of 128 threads computes 64 x 64 sums, 8 x 4 per thread, 16 steps of the inner dimension
// at a time; while it multiplies, the values of the next steps are on their way to registers. All
// sums have a fixed order, so the same input gives the same bits.

#define THREADS 128
#define TILE 64        // rows and columns of a block's sums
#define DEPTH 16       // steps of the inner dimension between two barriers
#define PITCH (TILE + 4) // of a tile's rows: aligned for loads of four, and off the same banks
#define ROWS 8         // sums of a thread: rows ...
#define COLUMNS 4      // ... and columns
#define FETCHES (DEPTH * TILE / THREADS)
#define EPSILON 1e-8   // a vector this short counts as zero; norms.rs has the same

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

// Fetches the channels from `first` on of the pixels at `place` and behind; 0 beyond either end.
__device__ __forceinline__ void fetch_pixels(
    float (&values)[FETCHES], const float* __restrict__ features, int channels, int first,
    const int* __restrict__ order, int place, int end)
{
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const Slot slot = along_row(i);
        const bool inside = place + slot.step < end && first + slot.at < channels;
        values[i] = inside ? features[(size_t)order[place + slot.step] * channels + first + slot.at] : 0.0f;
    }
}

// The products of Eq. (3) before division by the norms, and the squares that make the norms.
//
// Grid: (N / 64, M / 64, S). Blocks at either border also write a segment's sums of squares.
extern "C" __global__ void __launch_bounds__(THREADS) class_affinity_products(
    float* __restrict__ products,   // [S, M, N]
    float* __restrict__ squares_l,  // [S, M]
    float* __restrict__ squares_k,  // [S, N]
    const float* __restrict__ features_l, const float* __restrict__ features_k,
    const int* __restrict__ order, const int* __restrict__ segments, int m, int n)
{
    __shared__ __align__(16) Tile tile_l;
    __shared__ __align__(16) Tile tile_k;
    const int segment = blockIdx.z, first_m = blockIdx.y * TILE, first_n = blockIdx.x * TILE;
    const int end = segments[3 * segment + 2];

    // Half of the threads square a column of l, the other half one of k.
    const bool of_l = threadIdx.x < TILE;
    const int column = threadIdx.x % TILE;
    const bool squares = of_l ? blockIdx.x == 0 : blockIdx.y == 0;
    float square = 0.0f;

    float sums[ROWS][COLUMNS] = {}, next_l[FETCHES], next_k[FETCHES];
    int place = segments[3 * segment + 1];
    fetch_pixels(next_l, features_l, m, first_m, order, place, end);
    fetch_pixels(next_k, features_k, n, first_n, order, place, end);
    for (; place < end; place += DEPTH) {
        __syncthreads(); // the tiles' last values have been read
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = along_row(i);
            tile_l[slot.step][slot.at] = next_l[i];
            tile_k[slot.step][slot.at] = next_k[i];
        }
        __syncthreads();
        fetch_pixels(next_l, features_l, m, first_m, order, place + DEPTH, end);
        fetch_pixels(next_k, features_k, n, first_n, order, place + DEPTH, end);
        add_products(sums, tile_l, tile_k);
        if (squares) {
            for (int step = 0; step < DEPTH; ++step) {
                const float value = of_l ? tile_l[step][column] : tile_k[step][column];
                square += value * value;
            }
        }
    }

    const int row = first_m + own_row(), col = first_n + own_column();
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            if (row + i < m && col + j < n)
                products[((size_t)segment * m + row + i) * n + col + j] = sums[i][j];
    if (squares && of_l && first_m + column < m) squares_l[(size_t)segment * m + first_m + column] = square;
    if (squares && !of_l && first_n + column < n) squares_k[(size_t)segment * n + first_n + column] = square;
}

// 1 / length of a region's vectors, 0 for a zero vector. Grid: (channels / 128, R).
extern "C" __global__ void __launch_bounds__(THREADS) class_affinity_norms(
    float* __restrict__ inverse,       // [R, channels]
    const float* __restrict__ squares, // [S, channels]
    const int* __restrict__ bounds,    // [R + 1]: a region's first segment
    int channels)
{
    const int channel = blockIdx.x * THREADS + threadIdx.x, region = blockIdx.y;
    if (channel >= channels) return;
    double sum = 0.0;
    for (int segment = bounds[region]; segment < bounds[region + 1]; ++segment)
        sum += squares[(size_t)segment * channels + channel];
    const float value = sum > EPSILON * EPSILON ? (float)(1.0 / sqrt(sum)) : 0.0f;
    inverse[(size_t)region * channels + channel] = value;
}

// Eq. (3) of every class: the mean over its regions. Grid: (M N / 128, C).
//
// `cosines` receives each region's own share where the backward pass will need it.
extern "C" __global__ void __launch_bounds__(THREADS) class_affinity_cosines(
    float* __restrict__ affinity, // [C, M, N]
    float* __restrict__ cosines,  // [R, M, N] if `keep`
    const float* __restrict__ products, const float* __restrict__ inverse_l,
    const float* __restrict__ inverse_k, const float* __restrict__ weights,
    const int* __restrict__ regions,  // [C + 1]: a class's first region
    const int* __restrict__ bounds,   // [R + 1]: a region's first segment
    int m, int n, int keep)
{
    const int entries = m * n, entry = blockIdx.x * THREADS + threadIdx.x, of_class = blockIdx.y;
    if (entry >= entries) return;
    float total = 0.0f; // what a class without pixels keeps
    for (int region = regions[of_class]; region < regions[of_class + 1]; ++region) {
        float dot = 0.0f;
        for (int segment = bounds[region]; segment < bounds[region + 1]; ++segment)
            dot += products[(size_t)segment * entries + entry];
        const float scale = inverse_l[(size_t)region * m + entry / n] * weights[region];
        const float value = dot * scale * inverse_k[(size_t)region * n + entry % n];
        if (keep) cosines[(size_t)region * entries + entry] = value;
        total += value;
    }
    affinity[(size_t)of_class * entries + entry] = total;
}

// The gradient of one map, called `own`, for a tile of pixels of one region:
//
//   out[p, m] = (w sum_n G[m, n] y[p, n] / |y_n| - t_m x[p, m] / |x_m|) / |x_m|,
//   t_m = sum_n G[m, n] a[m, n]
//
// G and a lie as [.., own, across] for l and [.., across, own] for k: their strides tell. Grid:
// (T, own / 64). Pixels outside every region are not touched.
extern "C" __global__ void __launch_bounds__(THREADS) class_affinity_gradient(
    float* __restrict__ out,                // [pixels, own]
    const float* __restrict__ features,     // [pixels, own]
    const float* __restrict__ other,        // [pixels, across]
    const float* __restrict__ inverse,      // [R, own]
    const float* __restrict__ inverse_other, // [R, across]
    const float* __restrict__ gradient,     // [C, M, N]
    const float* __restrict__ cosines,      // [C or R, M, N]
    const float* __restrict__ weights, const int* __restrict__ order, const int* __restrict__ tiles,
    int own, int across, int own_stride, int across_stride)
{
    __shared__ __align__(16) Tile units;  // y / |y|, a column per pixel
    __shared__ __align__(16) Tile pulls;  // G
    __shared__ __align__(16) Tile terms;  // G a
    __shared__ float along[TILE];         // t
    const int* tile = &tiles[5 * blockIdx.x];
    const int region = tile[0], begin = tile[1], pixels = tile[2] - tile[1];
    const int first = blockIdx.y * TILE;
    gradient += (size_t)tile[3] * own * across;
    cosines += (size_t)tile[4] * own * across;
    inverse_other += (size_t)region * across;

    const float* rows[FETCHES]; // of the other map, null beyond the region's last pixel
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const int at = along_column(i).at;
        rows[i] = at < pixels ? &other[(size_t)order[begin + at] * across] : 0;
    }

    float sums[ROWS][COLUMNS] = {}, sum = 0.0f;
    for (int done = 0; done < across; done += DEPTH) {
        __syncthreads(); // the tiles' last values have been read
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = along_column(i);
            const int channel = done + slot.step;
            const bool inside = rows[i] && channel < across;
            units[slot.step][slot.at] = inside ? rows[i][channel] * inverse_other[channel] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = across_stride == 1 ? along_column(i) : along_row(i);
            const bool inside = done + slot.step < across && first + slot.at < own;
            const size_t entry = (size_t)(first + slot.at) * own_stride + (size_t)(done + slot.step) * across_stride;
            const float pull = inside ? gradient[entry] : 0.0f;
            pulls[slot.step][slot.at] = pull;
            terms[slot.step][slot.at] = inside ? pull * cosines[entry] : 0.0f;
        }
        __syncthreads();
        add_products(sums, units, pulls);
        if (threadIdx.x < TILE)
            for (int step = 0; step < DEPTH; ++step) sum += terms[step][threadIdx.x];
    }
    if (threadIdx.x < TILE) along[threadIdx.x] = sum;
    __syncthreads();

    const float weight = weights[region];
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        const int channel = first + own_column() + j;
        if (channel >= own) continue;
        const float scale = inverse[(size_t)region * own + channel], push = along[own_column() + j];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            if (own_row() + i >= pixels) continue;
            const size_t element = (size_t)order[begin + own_row() + i] * own + channel;
            out[element] = scale * (weight * sums[i][j] - push * (scale * features[element]));
        }
    }
}
