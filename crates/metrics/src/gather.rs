//! Packs flags of 64 voxels into the bits of a word.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use crate::runs::CHUNK;

/// Something to do for many chunks, by whichever way of packing flags the machine is best at.
pub(crate) trait Packing {
    /// Does it.
    fn pack<G: Gather>(self, gather: G);
}

/// A way of packing flags.
pub(crate) trait Gather: Copy {
    /// Returns a word with bit `i` set if byte `i` is 255; the others must be 0.
    fn gather(self, flags: &[u8; CHUNK]) -> u64;
}

/// Packs in the best way.
pub(crate) fn pack(packing: impl Packing) {
    #[cfg(target_arch = "x86_64")]
    if let Some(vectors) = pulp::x86::V3::try_new() {
        return vectors.vectorize(Packed { packing, vectors });
    }
    packing.pack(Multiply);
}

#[cfg(target_arch = "x86_64")]
struct Packed<P> {
    packing: P,
    vectors: pulp::x86::V3,
}

#[cfg(target_arch = "x86_64")]
impl<P: Packing> pulp::NullaryFnOnce for Packed<P> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.packing.pack(self.vectors);
    }
}

#[cfg(target_arch = "x86_64")]
impl Gather for pulp::x86::V3 {
    #[inline(always)]
    fn gather(self, flags: &[u8; CHUNK]) -> u64 {
        let [low, high]: [[u8; 32]; 2] = pulp::cast(*flags);
        let [low, high] = [low, high].map(|half| {
            u64::from(self.avx2._mm256_movemask_epi8(pulp::cast(half)).cast_unsigned())
        });
        low | high << 32
    }
}

/// Packs by multiplication, which every machine has.
#[derive(Clone, Copy, Debug)]
struct Multiply;

impl Gather for Multiply {
    /// With bytes of 0 or 1, byte `j` sits at bit `8·j`; the term `2^(56 − 7·j)` of the factor moves
    /// it to bit `56 + j`, and no two terms meet below, so no carry reaches the top byte.
    #[inline(always)]
    fn gather(self, flags: &[u8; CHUNK]) -> u64 {
        let bytes = flags.as_chunks::<8>().0.iter().enumerate();
        bytes.fold(0, |word, (byte, &flags)| {
            let ones = u64::from_le_bytes(flags) & 0x0101_0101_0101_0101;
            word | (ones.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * byte)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packs one chunk and leaves the word behind.
    struct Once<'a>(&'a [u8; CHUNK], &'a mut u64);

    impl Packing for Once<'_> {
        fn pack<G: Gather>(self, gather: G) {
            *self.1 = gather.gather(self.0);
        }
    }

    proptest! {
        #[test]
        fn every_way_packs_the_same(word in any::<u64>()) {
            let flags = std::array::from_fn(|at| if word >> at & 1 == 1 { 255 } else { 0 });
            let mut best = 0;
            pack(Once(&flags, &mut best));
            prop_assert_eq!(best, word);
            prop_assert_eq!(Multiply.gather(&flags), word);
        }
    }
}
