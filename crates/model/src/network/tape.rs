//! What a training pass remembers for its backward pass.
//!
//! Candle's own graph allocates, zeroes and adds a gradient for every reader of every tensor, on one
//! thread. Here nearly every tensor has one reader, whose gradient is simply handed on; and what a layer
//! remembers is freed as soon as its gradients are known.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::Tensor;
use duomo_ops::add_skip;

use crate::Error;

/// A tensor of a run; while training, with its place on the tape unless nobody wants its gradient.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) tensor: Tensor,
    place: Option<usize>,
}

impl Traced {
    /// A tensor whose gradient nobody wants.
    pub(crate) fn constant(tensor: Tensor) -> Self {
        Self { tensor, place: None }
    }

    /// Whether somebody wants the gradient.
    pub(crate) fn has_gradient(&self) -> bool {
        self.place.is_some()
    }
}

/// From the gradient of a step's result to those of its arguments.
type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>, Error> + Send>;

/// One operation of the forward pass.
struct Step {
    result: usize,
    arguments: Vec<Option<usize>>,
    backward: Backward,
}

/// The operations of a forward pass, in their order.
#[derive(Default)]
pub(crate) struct Tape {
    places: usize,
    /// Names of the tensors whose gradients the backward pass returns.
    leaves: BTreeMap<usize, String>,
    steps: Vec<Step>,
}

impl Tape {
    /// A tensor whose gradient is asked for by name.
    pub(crate) fn leaf(&mut self, name: &str, tensor: Tensor) -> Traced {
        let place = self.next_place();
        self.leaves.insert(place, name.to_owned());
        Traced { tensor, place: Some(place) }
    }

    /// The result of an operation; `backward` returns a gradient, or none, for each of the `arguments`.
    pub(crate) fn record(
        &mut self,
        result: Tensor,
        arguments: &[&Traced],
        backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>, Error> + Send + 'static,
    ) -> Traced {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.place).collect();
        if arguments.iter().all(Option::is_none) {
            return Traced::constant(result);
        }
        let place = self.next_place();
        self.steps.push(Step { result: place, arguments, backward: Box::new(backward) });
        Traced { tensor: result, place: Some(place) }
    }

    fn next_place(&mut self) -> usize {
        self.places += 1;
        self.places - 1
    }

    /// Returns the gradients of the leaves that the results depend on, given those of some results.
    pub(crate) fn backward(
        mut self,
        results: Vec<(Traced, Tensor)>,
    ) -> Result<BTreeMap<String, Tensor>, Error> {
        let mut gradients = Gradients(vec![None; self.places]);
        for (result, gradient) in results {
            gradients.add(result.place, gradient)?;
        }
        while let Some(step) = self.steps.pop() {
            let Some(gradient) = gradients.0[step.result].take() else { continue };
            let of_arguments = (step.backward)(&gradient)?;
            for (place, gradient) in step.arguments.into_iter().zip(of_arguments) {
                if let Some(gradient) = gradient {
                    gradients.add(place, gradient)?;
                }
            }
        }
        let named = |(place, name): (usize, String)| Some((name, gradients.0[place].take()?));
        Ok(self.leaves.into_iter().filter_map(named).collect())
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

/// The gradients known so far, by place.
struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    fn add(&mut self, place: Option<usize>, gradient: Tensor) -> Result<(), Error> {
        let Some(place) = place else { return Ok(()) };
        let sum = match self.0[place].take() {
            // The sum of two feature maps: the fastest addition there is.
            Some(other) if gradient.rank() == 4 => add_skip(&gradient, &other)?,
            Some(other) => (gradient + other)?,
            None => gradient,
        };
        self.0[place] = Some(sum);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result};

    use super::*;

    fn number(value: i64) -> Tensor {
        Tensor::new(value, &Device::Cpu).unwrap()
    }

    /// `a · b`, whose gradients are `b` and `a`.
    fn product(tape: &mut Tape, a: &Traced, b: &Traced) -> Result<Traced> {
        let (x, y) = (a.tensor.clone(), b.tensor.clone());
        Ok(tape.record((&x * &y)?, &[a, b], move |gradient| {
            Ok(vec![Some((gradient * y)?), Some((gradient * x)?)])
        }))
    }

    #[test]
    fn gradients_of_all_readers_are_added() -> Result<()> {
        let mut tape = Tape::default();
        let (a, b) = (tape.leaf("a", number(3)), tape.leaf("b", number(5)));
        let ab = product(&mut tape, &a, &b)?;
        let aab = product(&mut tape, &a, &ab)?;
        let unused = tape.leaf("unused", number(1));

        let results = vec![(aab, number(1)), (ab, number(100))];
        let gradients = tape.backward(results).unwrap();

        // a² b + 100 a b
        assert_eq!(gradients["a"].to_scalar::<i64>()?, 2 * 3 * 5 + 500);
        assert_eq!(gradients["b"].to_scalar::<i64>()?, 9 + 300);
        assert!(unused.has_gradient() && !gradients.contains_key("unused"));
        Ok(())
    }

    #[test]
    fn what_depends_on_constants_alone_is_not_remembered() -> Result<()> {
        let mut tape = Tape::default();
        let two = Traced::constant(number(2));

        let four = product(&mut tape, &two, &two)?;

        assert!(!four.has_gradient() && tape.steps.is_empty());
        assert_eq!(four.tensor.to_scalar::<i64>()?, 4);
        Ok(())
    }
}
