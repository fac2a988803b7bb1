//! Numbers that look random and are the same everywhere.

/// Marsaglia's xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence; `seed` must not be 0.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Returns a number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a label of 0 to 4.
    pub(crate) fn label(&mut self) -> u8 {
        (self.next() >> 32).to_le_bytes()[0] % 5
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
