//! One process's share of many cases.

use std::fmt;
use std::str::FromStr;

/// Share `index` of `count`, counted from 0.
///
/// A case's share follows from its name alone: processes that see other cases come and go still
/// agree on whose each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Whether a case of this name belongs to the share.
    pub(crate) fn holds(self, case: &str) -> bool {
        let digest = blake3::hash(case.as_bytes());
        let first = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
        u64::from_le_bytes(*first) % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("expected I/N with I below N, counted from 0: 0/4, 1/4, 2/4, 3/4".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_belongs_to_exactly_one_share() {
        let shards = [0, 1, 2].map(|index| Shard { index, count: 3 });
        let mut sizes = [0; 3];
        for case in (0..600).map(|number| format!("case{number}")) {
            let holders: Vec<usize> = (0..3).filter(|&at| shards[at].holds(&case)).collect();
            assert_eq!(holders.len(), 1, "{case}");
            sizes[holders[0]] += 1;
        }
        assert!(sizes.iter().all(|size| (150..250).contains(size)), "{sizes:?}");
    }

    #[test]
    fn shares_are_counted_from_zero() {
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
        for wrong in ["4/4", "1", "0/0", "-1/4", "a/b", "1/4/2"] {
            let error = wrong.parse::<Shard>().unwrap_err();
            assert!(error.contains("counted from 0"), "{wrong}");
        }
    }
}
