//! The two number types of the crate, and matrix products over them.

use candle_core::{CpuStorage, FloatDType, Layout, Result, Storage, Tensor, bail};

/// `f32` for training and `f64` for checking against the truth.
pub(crate) trait Real: FloatDType + Default {}

impl Real for f32 {}
impl Real for f64 {}

/// Runs a generic function for the tensor's element type, or fails naming `op`.
macro_rules! for_real {
    ($op:expr, $dtype:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $dtype {
            candle_core::DType::F32 => $function::<f32>($($argument),*),
            candle_core::DType::F64 => $function::<f64>($($argument),*),
            other => candle_core::bail!(
                "{}: features have type {other:?}, expected F32 or F64; convert them with `to_dtype`",
                $op
            ),
        }
    };
}
pub(crate) use for_real;

/// The elements of a contiguous argument of a custom op.
pub(crate) fn elements<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("expected a contiguous tensor, got strides {:?}", layout.stride());
    };
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// Calls `read` with the elements of each tensor, which must lie on the CPU.
pub(crate) fn with_elements<T: Real, const K: usize, R>(
    tensors: [&Tensor; K],
    read: impl FnOnce([&[T]; K]) -> R,
) -> Result<R> {
    let tensors = tensors.map(Tensor::contiguous);
    let mut contiguous = Vec::with_capacity(K);
    for tensor in tensors {
        contiguous.push(tensor?);
    }
    let guards: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[T]; K] = [&[]; K];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("no implementation of this operation for the tensor's device");
        };
        *slice = elements(storage, layout)?;
    }
    Ok(read(slices))
}

/// A view of numbers as a matrix with any strides, so that a transpose costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Real> Matrix<'a, T> {
    /// The first `columns` of each row of `stride` numbers.
    ///
    /// # Panics
    ///
    /// If the last row does not hold `columns` numbers, or fewer rows than asked for exist.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len(),
            "{rows} x {columns} numbers at stride {stride} do not fit in {}",
            values.len()
        );
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Writes `left · right` to `out`, row-major, on the calling thread.
///
/// One thread, because callers split the work into pieces of a fixed size: the bits then do not
/// depend on how many threads there are.
///
/// # Panics
///
/// If the inner sizes differ or `out` has another size than the product.
pub(crate) fn product<T: Real>(left: Matrix<'_, T>, right: Matrix<'_, T>, out: &mut [T]) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner sizes of a matrix product");
    assert_eq!(out.len(), rows * columns, "size of a matrix product");
    if out.is_empty() {
        return;
    }
    let signed = |stride: usize| isize::try_from(stride).expect("a stride is a slice offset");
    // SAFETY: `Matrix::new` checked that every (row, column) of both operands lies in its slice and
    // transposing keeps that; `out` is exclusive and was just checked to hold rows x columns
    // numbers at strides (columns, 1). `Real` is f32 or f64, both of which `gemm` knows.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            signed(columns),
            false,
            left.values.as_ptr(),
            signed(left.column_stride),
            signed(left.row_stride),
            right.values.as_ptr(),
            signed(right.column_stride),
            signed(right.row_stride),
            T::zero(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_of_transposed_views_equals_the_hand_computed_one() {
        let left = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]; // 2 x 2 at stride 3
        let right = [5.0, 6.0, 7.0, 8.0]; // 2 x 2
        let mut out = [0.0f64; 4];

        product(Matrix::new(&left, 2, 2, 3).transposed(), Matrix::new(&right, 2, 2, 2), &mut out);

        assert_eq!(out.to_vec(), vec![26.0, 30.0, 38.0, 44.0]);
    }

    #[test]
    fn product_over_nothing_is_zero() {
        let mut out = [7.0f32; 4];

        product(Matrix::new(&[], 2, 0, 0), Matrix::new(&[], 0, 2, 2), &mut out);

        assert_eq!(out.to_vec(), vec![0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "3 x 2 numbers at stride 2 do not fit in 5")]
    fn refuses_a_view_beyond_its_numbers() {
        let _ = Matrix::new(&[0.0f32; 5], 3, 2, 2);
    }
}
