//! Label values in as little memory as they need.

/// Values of a label map, `[D, H, W]`, in a byte each where all fit: nearly always.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelValues {
    /// No value exceeds 255.
    Narrow(Vec<u8>),
    /// Some value exceeds 255.
    Wide(Vec<u16>),
}

impl LabelValues {
    /// Returns the number of voxels.
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    /// Returns whether there is no voxel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns something for every voxel.
    pub fn map<T>(&self, mut convert: impl FnMut(u16) -> T) -> Vec<T> {
        match self {
            Self::Narrow(values) => values.iter().map(|&value| convert(value.into())).collect(),
            Self::Wide(values) => values.iter().map(|&value| convert(value)).collect(),
        }
    }

    /// As [`map`](Self::map) to bytes, in place if the values are bytes; equal neighbours may share a call.
    pub fn into_bytes(self, mut convert: impl FnMut(u16) -> u8) -> Vec<u8> {
        match self {
            Self::Narrow(mut values) => {
                for run in values.chunks_mut(RUN) {
                    if let Some(value) = only_value(run) {
                        run.fill(convert(value.into()));
                    } else {
                        for value in run {
                            *value = convert((*value).into());
                        }
                    }
                }
                values
            }
            Self::Wide(_) => self.map(convert),
        }
    }

    /// Returns every value.
    pub fn to_vec(&self) -> Vec<u16> {
        self.map(|value| value)
    }

    /// Returns the values that occur, ascending.
    pub fn distinct(&self) -> Vec<u16> {
        let mut occurs = vec![false; usize::from(u16::MAX) + 1];
        match self {
            Self::Narrow(values) => {
                for run in values.chunks(RUN) {
                    if let Some(value) = only_value(run) {
                        occurs[usize::from(value)] = true;
                    } else {
                        for &value in run {
                            occurs[usize::from(value)] = true;
                        }
                    }
                }
            }
            Self::Wide(values) => {
                for &value in values {
                    occurs[usize::from(value)] = true;
                }
            }
        }
        (0..=u16::MAX).filter(|&value| occurs[usize::from(value)]).collect()
    }
}

/// Neighbours that are looked at together: most of a label map is one value over and over.
const RUN: usize = 64;

/// The value of all numbers, if they have one.
fn only_value(run: &[u8]) -> Option<u8> {
    let first = *run.first()?;
    // Without a way out of the loop it fills vectors.
    let differ = run.iter().fold(0, |differ, value| differ | (value ^ first));
    (differ == 0).then_some(first)
}

impl FromIterator<u16> for LabelValues {
    /// Collects values, widening them at the first that does not fit a byte.
    fn from_iter<I: IntoIterator<Item = u16>>(values: I) -> Self {
        let mut values = values.into_iter();
        let mut narrow = Vec::with_capacity(values.size_hint().0);
        while let Some(value) = values.next() {
            let Ok(byte) = u8::try_from(value) else {
                let before = narrow.into_iter().map(u16::from);
                return Self::Wide(before.chain([value]).chain(values).collect());
            };
            narrow.push(byte);
        }
        Self::Narrow(narrow)
    }
}

impl From<Vec<u16>> for LabelValues {
    fn from(values: Vec<u16>) -> Self {
        values.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_narrow_as_long_as_all_fit_a_byte() {
        let narrow = LabelValues::from(vec![3, 0, 255, 3]);
        let wide = LabelValues::from(vec![3, 0, 256, 3]);

        assert_eq!(narrow, LabelValues::Narrow(vec![3, 0, 255, 3]));
        assert_eq!(wide, LabelValues::Wide(vec![3, 0, 256, 3]));
        assert_eq!([narrow.distinct(), wide.distinct()], [[0, 3, 255], [0, 3, 256]]);
        assert_eq!((narrow.to_vec(), wide.len()), (vec![3, 0, 255, 3], 4));
        let thirds = |value| u8::try_from(value / 3).unwrap();
        assert_eq!([narrow.into_bytes(thirds), wide.into_bytes(thirds)], [[1, 0, 85, 1]; 2]);
    }

    #[test]
    fn runs_of_one_value_are_as_good_as_values_one_by_one() {
        let runs = [(0, 3 * RUN), (7, 1), (0, RUN - 1), (9, RUN), (0, RUN + 5), (4, 2)];
        let values: Vec<u16> =
            runs.iter().flat_map(|&(value, count)| std::iter::repeat_n(value, count)).collect();
        let narrow = LabelValues::from(values.clone());
        let double = |value: u16| u8::try_from(2 * value + 1).unwrap();

        assert_eq!(narrow.distinct(), [0, 4, 7, 9]);
        assert_eq!(narrow.into_bytes(double), values.into_iter().map(double).collect::<Vec<_>>());
    }
}
