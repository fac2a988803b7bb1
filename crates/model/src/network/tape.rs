//! What a training pass remembers for its backward pass.
//!
//! Candle's own graph allocates, zeroes and adds a gradient for every reader of every tensor, on one
//! thread. Here nearly every tensor has one reader, whose gradient is simply handed on; and what a layer
//! remembers is freed as soon as its gradients are known.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;
use duomo_ops::{BatchStatistics, add_skip};

use crate::Error;

/// A tensor of a run; while training, with its place on the tape unless nobody wants its gradient.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) tensor: Tensor,
    /// The tensor's statistics, if the operation that made it took them.
    pub(crate) statistics: Option<Arc<BatchStatistics>>,
    place: Option<usize>,
}

impl Traced {
    /// A tensor whose gradient nobody wants.
    pub(crate) fn constant(tensor: Tensor) -> Self {
        Self { tensor, statistics: None, place: None }
    }

    /// The tensor with its statistics.
    pub(crate) fn with_statistics(self, statistics: Option<BatchStatistics>) -> Self {
        Self { statistics: statistics.map(Arc::new), ..self }
    }

    /// Whether somebody wants the gradient.
    pub(crate) fn has_gradient(&self) -> bool {
        self.place.is_some()
    }
}

/// The gradient, or none, of each argument of a step.
type OfArguments = Result<Vec<Option<Tensor>>, Error>;

/// From the gradient of a step's result to those of its arguments.
enum Backward {
    Plain(Box<dyn FnOnce(&Tensor) -> OfArguments + Send>),
    /// Given what the later readers of the first argument contribute to its gradient, returns the sum.
    Adding(Box<Adding>),
}

type Adding = dyn FnOnce(&Tensor, Option<Tensor>) -> OfArguments + Send;

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
        Traced { tensor, statistics: None, place: Some(place) }
    }

    /// The result of an operation; `backward` returns a gradient, or none, for each of the `arguments`.
    pub(crate) fn record(
        &mut self,
        result: Tensor,
        arguments: &[&Traced],
        backward: impl FnOnce(&Tensor) -> OfArguments + Send + 'static,
    ) -> Traced {
        self.push(result, arguments, Backward::Plain(Box::new(backward)))
    }

    /// Does what [`Self::record`] does for an operation whose `backward` also takes what the later readers of
    /// the first argument contribute to its gradient, and returns the sum.
    pub(crate) fn record_adding(
        &mut self,
        result: Tensor,
        arguments: &[&Traced],
        backward: impl FnOnce(&Tensor, Option<Tensor>) -> OfArguments + Send + 'static,
    ) -> Traced {
        self.push(result, arguments, Backward::Adding(Box::new(backward)))
    }

    fn push(&mut self, result: Tensor, arguments: &[&Traced], backward: Backward) -> Traced {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.place).collect();
        if arguments.iter().all(Option::is_none) {
            return Traced::constant(result);
        }
        let place = self.next_place();
        self.steps.push(Step { result: place, arguments, backward });
        Traced { tensor: result, statistics: None, place: Some(place) }
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
            let of_arguments = match step.backward {
                Backward::Plain(backward) => backward(&gradient)?,
                Backward::Adding(backward) => {
                    let others = step.arguments[0].and_then(|first| gradients.0[first].take());
                    backward(&gradient, others)?
                }
            };
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
    fn an_operation_may_add_the_other_readers_gradients_itself() -> Result<()> {
        let mut tape = Tape::default();
        let a = tape.leaf("a", number(3));
        let twice = |gradient: &Tensor, others: Option<Tensor>| {
            let own = (gradient * 2.0)?;
            let sum = others.map_or_else(|| Ok(own.clone()), |others| &own + others);
            Ok(vec![Some(sum?)])
        };
        let double = tape.record_adding((&a.tensor * 2.0)?, &[&a], twice);
        let product = product(&mut tape, &a, &double)?;

        let gradients = tape.backward(vec![(product, number(1))]).unwrap();

        // 2 a²
        assert_eq!(gradients["a"].to_scalar::<i64>()?, 12);
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
