// What tensor cores do, lane by lane, for kernels that define these functions by PTX where there is a card.
//
// Which register of which lane holds which element is written out as in the PTX ISA, "Matrix Fragments for
// mma.m16n8k8" and "for mma.m16n8k16"; the kernels' own mapping must find the same. Products are exact, and
// each sum is rounded once; a card may round in between.

namespace emulator {

inline unsigned bits_of(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// One lane's registers of D = A B + D.
struct Fragments {
    unsigned a[4], b[2];
    float* d;
};

inline std::vector<Fragments> fragments(1024); // by thread

// The element that a TF32 register holds.
inline double tf32(unsigned bits) {
    const float value = float_of(bits);
    if (bits & 0x1fff && value == value) fail("mma was given a number that is not rounded to TF32");
    return value;
}

// The elements that a register of two bf16 holds: the first is in the lower half.
inline double bf16(unsigned bits, int element) {
    return float_of(element ? bits & 0xffff0000 : bits << 16);
}

// D += A B for 16 rows and 8 columns of sums over `K`.
template <int K>
void multiply(const double (&a)[16][K], const double (&b)[K][8], unsigned first) {
    for (unsigned lane = 0; lane < WARP; ++lane) {
        const int group = lane >> 2, in_group = lane % 4;
        for (int i = 0; i < 4; ++i) {
            const int row = i < 2 ? group : group + 8, column = 2 * in_group + (i & 1);
            double sum = fragments[first + lane].d[i];
            for (int k = 0; k < K; ++k) sum += a[row][k] * b[k][column];
            fragments[first + lane].d[i] = sum;
        }
    }
}

inline void m16n8k8_tf32(unsigned first) {
    double a[16][8], b[8][8];
    for (unsigned lane = 0; lane < WARP; ++lane) {
        const Fragments& own = fragments[first + lane];
        const int group = lane >> 2, in_group = lane % 4;
        a[group][in_group] = tf32(own.a[0]);
        a[group + 8][in_group] = tf32(own.a[1]);
        a[group][in_group + 4] = tf32(own.a[2]);
        a[group + 8][in_group + 4] = tf32(own.a[3]);
        b[in_group][group] = tf32(own.b[0]);
        b[in_group + 4][group] = tf32(own.b[1]);
    }
    multiply<8>(a, b, first);
}

inline void m16n8k16_bf16(unsigned first) {
    double a[16][16], b[16][8];
    for (unsigned lane = 0; lane < WARP; ++lane) {
        const Fragments& own = fragments[first + lane];
        const int group = lane >> 2, in_group = lane % 4;
        // a0 to a7 and b0 to b3 of the ISA, two to a register.
        for (int i = 0; i < 8; ++i) {
            const int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
            const int column = 2 * in_group + (i & 1) + (i < 4 ? 0 : 8);
            a[row][column] = bf16(own.a[i / 2], i & 1);
        }
        for (int i = 0; i < 4; ++i) {
            const int row = 2 * in_group + (i & 1) + (i < 2 ? 0 : 8);
            b[row][group] = bf16(own.b[i / 2], i & 1);
        }
    }
    multiply<16>(a, b, first);
}

inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], Together together) {
    Fragments& own = fragments.at(current);
    std::copy(a, a + 4, own.a);
    std::copy(b, b + 2, own.b);
    own.d = d;
    with_warp(together);
}

} // namespace emulator

// cvt.rna.tf32.f32: to 10 bits behind the point, ties away from zero.
inline unsigned round_to_tf32(float value) {
    return value == value ? (emulator::bits_of(value) + 0x1000) & ~0x1fffu : 0x7fffffff;
}

// cvt.rn.bf16x2.f32: to 7 bits behind the point, ties to even.
inline unsigned pack_bf16(float low, float high) {
    const auto round = [](float value) {
        const unsigned bits = emulator::bits_of(value);
        return value == value ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fff;
    };
    return round(high) << 16 | round(low);
}

inline void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulator::mma(d, a, b, emulator::m16n8k8_tf32);
}

inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulator::mma(d, a, b, emulator::m16n8k16_bf16);
}
