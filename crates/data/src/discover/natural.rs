//! The order in which people count files.

use std::cmp::Ordering;

/// Compares names so that runs of digits count as numbers: `patient2` before `patient10`.
///
/// Equal numbers spelled differently (`7`, `07`) fall back to the plain order of the texts, so
/// only equal texts are equal.
pub(crate) fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left, right);
    while !a.is_empty() && !b.is_empty() {
        let (run_a, run_b) = (run(a), run(b));
        let order = match (number(run_a), number(run_b)) {
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then(x.cmp(y)),
            _ => run_a.cmp(run_b),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (&a[run_a.len()..], &b[run_b.len()..]);
    }
    a.len().cmp(&b.len()).then(left.cmp(right))
}

/// The leading run of digits, or of anything else.
fn run(text: &str) -> &str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    &text[..end]
}

/// A run of digits without leading zeros: longer is then larger.
fn number(run: &str) -> Option<&str> {
    run.starts_with(|c: char| c.is_ascii_digit()).then(|| run.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_count_as_numbers_of_any_length() {
        let mut names = ["p10", "p9", "p", "p09", "p100000000000000000000000", "p10b", "a11", "10"];
        names.sort_by(|a, b| natural_order(a, b));

        let expected = ["10", "a11", "p", "p09", "p9", "p10", "p10b", "p100000000000000000000000"];
        assert_eq!(names, expected);
    }

    #[test]
    fn only_equal_texts_are_equal() {
        assert_eq!(natural_order("p07x", "p7x"), Ordering::Less);
        assert_eq!(natural_order("p7x", "p07x"), Ordering::Greater);
        assert_eq!(natural_order("p7", "p7"), Ordering::Equal);
    }
}
