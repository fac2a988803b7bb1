//! Three-dimensional points as plain arrays, in millimetres.

/// A point or direction.
pub(crate) type Vector = [f64; 3];

pub(crate) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn subtract(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scale(a: Vector, factor: f64) -> Vector {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

pub(crate) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn normalized(a: Vector) -> Vector {
    scale(a, 1.0 / length(a))
}

/// Length of `[x, y]`. `f64::hypot` guards against overflow, which no body needs, and is far slower.
pub(crate) fn radius(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// Linear interpolation from `from` at 0 to `to` at 1.
pub(crate) fn mix(from: f64, to: f64, fraction: f64) -> f64 {
    from + (to - from) * fraction
}

/// Splits a coordinate into its cell and the fraction inside it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "coordinates are millimetres of a human body, far inside the range of i64"
)]
pub(crate) fn cell(coordinate: f64) -> (i64, f64) {
    let floor = coordinate.floor();
    (floor as i64, coordinate - floor)
}

/// A non-negative length as a count, rounded to the nearest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped at zero; grids have far fewer than 2^32 points"
)]
pub(crate) fn rounded(value: f64) -> usize {
    value.round().max(0.0) as usize
}
