//! Holm's correction for many tests at once.

use crate::Error;

/// Returns the p-values adjusted by Holm's step-down procedure, in the order given.
///
/// With the p-values sorted, `p(1) ≤ … ≤ p(m)`:
///
/// ```text
/// adjusted(i) = max { min(1, (m − j + 1)·p(j)) : j ≤ i }
/// ```
///
/// Rejecting where the adjusted value is at most α keeps the chance of any false rejection at α,
/// whatever the tests have in common, and never rejects less than Bonferroni.
///
/// # Errors
///
/// [`Error::PValue`] if a value is not in `0..=1`.
///
/// # Source
///
/// Holm 1979, A simple sequentially rejective multiple test procedure.
///
/// # Examples
///
/// ```
/// let adjusted = duomo_metrics::holm(&[0.5, 0.25, 0.0625])?;
/// assert_eq!(adjusted, [0.5, 0.5, 0.1875]);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    if let Some(&value) = p_values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        return Err(Error::PValue(value));
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        largest = largest.max((remaining * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    Ok(adjusted)
}
