use super::add_skip;
use crate::cuda::runners::places;
use crate::testing::{assert_fast_equals_reference, assert_gradients, random, values};

#[test]
fn equals_padding_and_adding() {
    for (wide, narrow) in [(4, 4), (8, 4), (7, 4), (5, 2), (3, 1)] {
        let [main, skip] = [random((2, 3, 2, wide), 1), random((2, 3, 2, narrow), 2)];
        let before = (wide - narrow) / 2;
        let padded = skip.pad_with_zeros(3, before, wide - narrow - before).unwrap();
        let sum = (&main + padded).unwrap();
        for place in places() {
            // The sum of two numbers is rounded once.
            let expected = values(&sum.to_dtype(place.dtype).unwrap());
            let [main, skip] = [&main, &skip].map(|tensor| place.put(tensor).unwrap());
            assert_eq!(values(&add_skip(&main, &skip).unwrap()), expected, "{place:?}");
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    let inputs = [random((2, 3, 2, 7), 1), random((2, 3, 2, 4), 2)];
    assert_gradients(&inputs, &|t| add_skip(&t[0], &t[1]));
    assert_fast_equals_reference(&inputs, &|t| add_skip(&t[0], &t[1]));
}

#[test]
fn takes_tensors_that_are_not_contiguous() {
    let inputs = [random((1, 4, 2, 3), 1), random((1, 2, 2, 3), 2)];
    assert_gradients(&inputs, &|t| {
        add_skip(&t[0].permute((0, 2, 3, 1))?, &t[1].permute((0, 2, 3, 1))?)?.permute((0, 3, 1, 2))
    });
}

#[test]
fn a_skip_with_more_channels_is_an_error() {
    let result = add_skip(&random((1, 2, 2, 3), 1), &random((1, 2, 2, 4), 2));
    let message = result.unwrap_err().to_string();
    assert!(message.contains("no more channels in the skip"), "{message}");
}
