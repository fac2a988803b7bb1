// The products and the gradient of class_affinity.cu on tensor cores: operands are rounded to TF32 or to
// bf16, their products summed in f32. Squares, norms, cosines and t are those of plain f32.
//
// A text of its own, which follows that of class_affinity.cu: cards before compute capability 8.0 know no
// such instructions.
//
// A block of 128 threads computes 64 x 64 sums, each of its four warps 32 x 32. What a tile holds is a
// word: a TF32 number, or the bf16 numbers of two neighbouring steps of the inner dimension. Words make the
// fragments of both formats alike: a lane's registers hold the words of steps `lane % 4` and 4 further on.

#ifndef THREADS
#include "class_affinity.cu" // for compilers that were handed this file alone
#endif

#define WARP_TILE 32          // rows and columns of a warp's sums
#define WORD_PITCH (TILE + 8) // of a tile's rows: a warp's fragment lies on 32 different banks

typedef unsigned WordTile[DEPTH][WORD_PITCH];

// Of a warp: its 16 x 8 products, and of each the four sums that a lane holds.
typedef float WarpSums[WARP_TILE / 16][WARP_TILE / 8][4];

#ifdef __CUDACC__ // elsewhere an emulator defines these
__device__ __forceinline__ unsigned round_to_tf32(float value)
{
    unsigned word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(value));
    return word;
}

__device__ __forceinline__ unsigned pack_bf16(float low, float high)
{
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

struct Tf32 {
    enum { STEPS = 1 }; // in a word
};

struct Bf16 {
    enum { STEPS = 2 };
};

__device__ __forceinline__ unsigned word(Tf32, const float (&steps)[1]) { return round_to_tf32(steps[0]); }
__device__ __forceinline__ unsigned word(Bf16, const float (&steps)[2]) { return pack_bf16(steps[0], steps[1]); }

// d += a b for fragments of 8 words.
__device__ __forceinline__ void add_product(Tf32, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    mma_m16n8k8_tf32(d, a, b);
}
__device__ __forceinline__ void add_product(Bf16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    mma_m16n8k16_bf16(d, a, b);
}

// Where a warp's sums begin in the block's.
__device__ __forceinline__ int warp_row() { return threadIdx.x / 64 * WARP_TILE; }
__device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % 2 * WARP_TILE; }

// Where a lane's sum `i` of product (row, column) lies in the block's.
__device__ __forceinline__ int sum_row(int row, int i) { return warp_row() + 16 * row + threadIdx.x % 32 / 4 + i / 2 * 8; }
__device__ __forceinline__ int sum_column(int column, int i) { return warp_column() + 8 * column + threadIdx.x % 4 * 2 + i % 2; }

// sums += left^T right over the tiles' DEPTH words. All lanes of a warp must come here.
template <class Format>
__device__ __forceinline__ void add_words(WarpSums& sums, const WordTile& left, const WordTile& right)
{
    const int group = threadIdx.x % 32 / 4;
#pragma unroll
    for (int step = 0; step < DEPTH; step += 8) {
        const int first = step + threadIdx.x % 4;
        unsigned a[WARP_TILE / 16][4], b[WARP_TILE / 8][2];
#pragma unroll
        for (int i = 0; i < WARP_TILE / 16; ++i) {
            const int row = warp_row() + 16 * i + group;
            a[i][0] = left[first][row];
            a[i][1] = left[first][row + 8];
            a[i][2] = left[first + 4][row];
            a[i][3] = left[first + 4][row + 8];
        }
#pragma unroll
        for (int j = 0; j < WARP_TILE / 8; ++j) {
            const int column = warp_column() + 8 * j + group;
            b[j][0] = right[first][column];
            b[j][1] = right[first + 4][column];
        }
#pragma unroll
        for (int i = 0; i < WARP_TILE / 16; ++i)
#pragma unroll
            for (int j = 0; j < WARP_TILE / 8; ++j) add_product(Format(), sums[i][j], a[i], b[j]);
    }
}

// As fetch_pixels, the pixels of FETCHES words.
template <class Format>
__device__ __forceinline__ void fetch_words(
    float (&values)[FETCHES][Format::STEPS], const float* __restrict__ features, int channels, int first,
    const int* __restrict__ order, int place, int end)
{
#pragma unroll
    for (int i = 0; i < FETCHES; ++i)
#pragma unroll
        for (int step = 0; step < Format::STEPS; ++step) {
            const Slot slot = along_row(i);
            const int at = place + slot.step * Format::STEPS + step;
            const bool inside = at < end && first + slot.at < channels;
            values[i][step] = inside ? features[(size_t)order[at] * channels + first + slot.at] : 0.0f;
        }
}

// Puts fetched words into a tile and returns the sum of their numbers' squares, which are all of one channel.
template <class Format>
__device__ __forceinline__ float put_words(WordTile& tile, const float (&values)[FETCHES][Format::STEPS])
{
    float square = 0.0f;
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const Slot slot = along_row(i);
        tile[slot.step][slot.at] = word(Format(), values[i]);
#pragma unroll
        for (int step = 0; step < Format::STEPS; ++step) square += values[i][step] * values[i][step];
    }
    return square;
}

// class_affinity_products.
template <class Format>
__device__ __forceinline__ void products(
    WordTile& tile_l, WordTile& tile_k, float (&halves)[2][TILE], float* __restrict__ out,
    float* __restrict__ squares_l, float* __restrict__ squares_k, const float* __restrict__ features_l,
    const float* __restrict__ features_k, const int* __restrict__ order, const int* __restrict__ segments, int m, int n)
{
    const int segment = blockIdx.z, first_m = blockIdx.y * TILE, first_n = blockIdx.x * TILE;
    const int end = segments[3 * segment + 2];

    float square_l = 0.0f, square_k = 0.0f, next_l[FETCHES][Format::STEPS], next_k[FETCHES][Format::STEPS];
    WarpSums sums = {};
    int place = segments[3 * segment + 1];
    fetch_words<Format>(next_l, features_l, m, first_m, order, place, end);
    fetch_words<Format>(next_k, features_k, n, first_n, order, place, end);
    for (; place < end; place += DEPTH * Format::STEPS) {
        __syncthreads(); // the tiles' last values have been read
        square_l += put_words<Format>(tile_l, next_l);
        square_k += put_words<Format>(tile_k, next_k);
        __syncthreads();
        fetch_words<Format>(next_l, features_l, m, first_m, order, place + DEPTH * Format::STEPS, end);
        fetch_words<Format>(next_k, features_k, n, first_n, order, place + DEPTH * Format::STEPS, end);
        add_words<Format>(sums, tile_l, tile_k);
    }

#pragma unroll
    for (int row = 0; row < WARP_TILE / 16; ++row)
#pragma unroll
        for (int column = 0; column < WARP_TILE / 8; ++column)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int of_l = first_m + sum_row(row, i), of_k = first_n + sum_column(column, i);
                if (of_l < m && of_k < n) out[((size_t)segment * m + of_l) * n + of_k] = sums[row][column][i];
            }

    // Two threads have fetched each channel's pixels.
    const int channel = threadIdx.x % TILE;
    if (threadIdx.x >= TILE) {
        halves[0][channel] = square_l;
        halves[1][channel] = square_k;
    }
    __syncthreads();
    if (threadIdx.x >= TILE) return;
    if (blockIdx.x == 0 && first_m + channel < m)
        squares_l[(size_t)segment * m + first_m + channel] = square_l + halves[0][channel];
    if (blockIdx.y == 0 && first_n + channel < n)
        squares_k[(size_t)segment * n + first_n + channel] = square_k + halves[1][channel];
}

// class_affinity_gradient.
template <class Format>
__device__ __forceinline__ void gradient_of_tile(
    WordTile& units, WordTile& pulls, Tile& terms, float (&along)[TILE], float* __restrict__ out,
    const float* __restrict__ features, const float* __restrict__ other, const float* __restrict__ inverse,
    const float* __restrict__ inverse_other, const float* __restrict__ gradient, const float* __restrict__ cosines,
    const float* __restrict__ weights, const int* __restrict__ order, const int* __restrict__ tiles, int own, int across,
    int own_stride, int across_stride)
{
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

    WarpSums sums = {};
    float sum = 0.0f;
    for (int done = 0; done < across; done += DEPTH * Format::STEPS) {
        __syncthreads(); // the tiles' last values have been read
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = along_column(i);
            float unit[Format::STEPS];
#pragma unroll
            for (int step = 0; step < Format::STEPS; ++step) {
                const int channel = done + slot.step * Format::STEPS + step;
                unit[step] = rows[i] && channel < across ? rows[i][channel] * inverse_other[channel] : 0.0f;
            }
            units[slot.step][slot.at] = word(Format(), unit);
        }
#pragma unroll
        for (int i = 0; i < FETCHES; ++i) {
            const Slot slot = across_stride == 1 ? along_column(i) : along_row(i);
            float pull[Format::STEPS], term = 0.0f;
#pragma unroll
            for (int step = 0; step < Format::STEPS; ++step) {
                const int channel = done + slot.step * Format::STEPS + step;
                const bool inside = channel < across && first + slot.at < own;
                const size_t entry = (size_t)(first + slot.at) * own_stride + (size_t)channel * across_stride;
                pull[step] = inside ? gradient[entry] : 0.0f;
                term += inside ? pull[step] * cosines[entry] : 0.0f;
            }
            pulls[slot.step][slot.at] = word(Format(), pull);
            terms[slot.step][slot.at] = term;
        }
        __syncthreads();
        add_words<Format>(sums, units, pulls);
        if (threadIdx.x < TILE)
            for (int step = 0; step < DEPTH; ++step) sum += terms[step][threadIdx.x];
    }
    if (threadIdx.x < TILE) along[threadIdx.x] = sum;
    __syncthreads();

    const float weight = weights[region];
#pragma unroll
    for (int column = 0; column < WARP_TILE / 8; ++column)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int at = sum_column(column, i), channel = first + at;
            if (channel >= own) continue;
            const float scale = inverse[(size_t)region * own + channel];
#pragma unroll
            for (int row = 0; row < WARP_TILE / 16; ++row) {
                const int pixel = sum_row(row, i);
                if (pixel >= pixels) continue;
                const size_t element = (size_t)order[begin + pixel] * own + channel;
                out[element] = scale * (weight * sums[row][column][i] - along[at] * (scale * features[element]));
            }
        }
}

#define PRODUCTS(name, Format) \
    extern "C" __global__ void __launch_bounds__(THREADS) name( \
        float* __restrict__ out, float* __restrict__ squares_l, float* __restrict__ squares_k, \
        const float* __restrict__ features_l, const float* __restrict__ features_k, const int* __restrict__ order, \
        const int* __restrict__ segments, int m, int n) \
    { \
        __shared__ WordTile tile_l, tile_k; \
        __shared__ float halves[2][TILE]; \
        products<Format>( \
            tile_l, tile_k, halves, out, squares_l, squares_k, features_l, features_k, order, segments, m, n); \
    }

#define GRADIENT(name, Format) \
    extern "C" __global__ void __launch_bounds__(THREADS) name( \
        float* __restrict__ out, const float* __restrict__ features, const float* __restrict__ other, \
        const float* __restrict__ inverse, const float* __restrict__ inverse_other, \
        const float* __restrict__ gradient, const float* __restrict__ cosines, const float* __restrict__ weights, \
        const int* __restrict__ order, const int* __restrict__ tiles, int own, int across, int own_stride, \
        int across_stride) \
    { \
        __shared__ WordTile units, pulls; \
        __shared__ Tile terms; \
        __shared__ float along[TILE]; \
        gradient_of_tile<Format>( \
            units, pulls, terms, along, out, features, other, inverse, inverse_other, gradient, cosines, weights, \
            order, tiles, own, across, own_stride, across_stride); \
    }

PRODUCTS(class_affinity_products_tf32, Tf32)
PRODUCTS(class_affinity_products_bf16, Bf16)
GRADIENT(class_affinity_gradient_tf32, Tf32)
GRADIENT(class_affinity_gradient_bf16, Bf16)
