//! Bit planes: what is counted, listed and picked in them in raster order.

/// Returns how many bits are set.
pub(super) fn count(plane: &[u64]) -> usize {
    plane.iter().map(|word| word.count_ones() as usize).sum()
}

/// Returns for every word how many bits are set before it.
pub(super) fn ranks(plane: &[u64]) -> Vec<usize> {
    let mut count = 0;
    let rank = |word: &u64| {
        let before = count;
        count += word.count_ones() as usize;
        before
    };
    plane.iter().map(rank).collect()
}

/// Visits the set bits of a word, lowest first.
pub(super) fn for_each_bit(word: u64, mut visit: impl FnMut(usize)) {
    let mut rest = word;
    while rest != 0 {
        visit(rest.trailing_zeros() as usize);
        rest &= rest - 1;
    }
}

/// Returns the set bits of ascending ranks as `(word, bit)`.
pub(super) fn pick(
    plane: &[u64],
    ranks: impl IntoIterator<Item = usize>,
) -> impl Iterator<Item = (usize, usize)> {
    let (mut index, mut before) = (0, 0);
    ranks.into_iter().map(move |rank| {
        while rank - before >= plane[index].count_ones() as usize {
            before += plane[index].count_ones() as usize;
            index += 1;
        }
        let bits = (before..rank).fold(plane[index], |bits, _| bits & (bits - 1));
        (index, bits.trailing_zeros() as usize)
    })
}
