//! Which slices a step sees, and the batch they form.

#[cfg(test)]
mod tests;

use crate::random::{Purpose, keyed, shuffle};
use crate::{Error, PreparedCase};

/// Draws the slices of one modality, step by step, without remembering anything.
///
/// Slices are drawn in epochs: each is a random permutation of all slices, keyed by seed, modality
/// and epoch, and a batch may begin in one epoch and end in the next. A step's draw is a pure
/// function of its number, so a run that resumes sees what it would have seen. Modalities draw
/// independently: what lies in a batch of one says nothing about the other (unpaired).
///
/// # Examples
///
/// ```
/// let sampler = duomo_data::Sampler::new(7, 0, 10, 4)?;
/// let mut epoch: Vec<usize> = (0..5).flat_map(|step| sampler.indices(step)).collect();
/// epoch.sort_unstable();
/// assert_eq!(epoch, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]); // two epochs
/// # Ok::<(), duomo_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    seed: u64,
    modality: u64,
    slices: u64,
    batch: u64,
}

impl Sampler {
    /// Returns the sampler that draws `batch` of `slices` slices in every step.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] if there are no slices or the batch is empty.
    pub fn new(seed: u64, modality: usize, slices: usize, batch: usize) -> Result<Self, Error> {
        for (key, count) in [("slices", slices), ("batch", batch)] {
            if count == 0 {
                let problem = format!("expected at least 1 for modality {modality}, got 0");
                return Err(Error::InvalidOption { key, problem });
            }
        }
        let [modality, slices, batch] = [modality, slices, batch].map(|n| n as u64);
        Ok(Self { seed, modality, slices, batch })
    }

    /// Returns the slices of a step, `batch` indices below `slices`; steps count from 0.
    pub fn indices(&self, step: u64) -> Vec<usize> {
        let first = step * self.batch;
        let mut indices = Vec::new();
        let mut epoch = (u64::MAX, Vec::new());
        for draw in first..first + self.batch {
            let number = draw / self.slices;
            if epoch.0 != number {
                epoch = (number, self.permutation(number));
            }
            indices.push(epoch.1[self.place(draw)]);
        }
        indices
    }

    /// Where in its epoch a draw is.
    fn place(&self, draw: u64) -> usize {
        usize::try_from(draw % self.slices).expect("less than a number of slices")
    }

    fn permutation(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..).zip(0..self.slices).map(|(index, _)| index).collect();
        shuffle(&mut order, &mut keyed(Purpose::Epoch, [self.seed, self.modality, epoch, 0]));
        order
    }
}

/// A slice of a prepared case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SliceId {
    /// Place of the case among the prepared cases.
    pub case: usize,
    /// Slice of that case.
    pub slice: usize,
}

/// Returns every slice of these cases, case by case: what a [`Sampler`]'s indices point into.
pub fn slices_of(cases: &[PreparedCase]) -> Vec<SliceId> {
    let of_case = |(case, prepared): (usize, &PreparedCase)| {
        (0..prepared.slices).map(move |slice| SliceId { case, slice })
    };
    cases.iter().enumerate().flat_map(of_case).collect()
}

/// Slices of one modality, ready to become tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[B, side, side, input_slices]`.
    pub images: Vec<f32>,
    /// `[B, side, side]` class indices.
    pub labels: Vec<u8>,
    /// Which slices, `[B]`.
    pub slices: Vec<SliceId>,
    /// Side of every slice, in pixels.
    pub side: usize,
    /// Neighbouring slices taken as channels.
    pub input_slices: usize,
}

impl Batch {
    /// Returns the batch of these slices, each with its neighbours as channels.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidOption`] if `input_slices` is even
    /// - [`Error::Unlabelled`] if a case has no labels
    ///
    /// # Panics
    ///
    /// If a slice does not exist or the cases differ in side.
    pub fn gather(
        cases: &[PreparedCase],
        slices: &[SliceId],
        input_slices: usize,
    ) -> Result<Self, Error> {
        if input_slices.is_multiple_of(2) {
            let problem = format!("expected an odd number, got {input_slices}");
            return Err(Error::InvalidOption { key: "input_slices", problem });
        }
        let side = slices.first().map_or(0, |id| cases[id.case].side);
        let pixels = side * side;
        let mut images = vec![0.0; slices.len() * pixels * input_slices];
        let mut labels = Vec::with_capacity(slices.len() * pixels);
        for (id, out) in slices.iter().zip(images.chunks_exact_mut(pixels * input_slices)) {
            let prepared = &cases[id.case];
            assert_eq!(prepared.side, side, "all cases of a batch are cropped alike");
            let classes = prepared
                .labels
                .as_ref()
                .ok_or_else(|| Error::Unlabelled { patient: prepared.case.patient.clone() })?;
            prepared.write_neighbours(id.slice, input_slices, out);
            labels.extend_from_slice(&classes[id.slice * pixels..][..pixels]);
        }
        Ok(Self { images, labels, slices: slices.to_vec(), side, input_slices })
    }
}
