//! The table of the network's layers: every parameter's name, shape and role.

use duomo_ops::NormOptions;

use crate::{Architecture, Head};

/// Stride of the feature maps of groups 4 to 9, which group 10 undoes; sides of images are multiples of it.
pub const STRIDE: usize = 8;

/// ε of every norm and slope of the LeakyReLU after it (\[Dou2020\]'s code).
pub const NORM: NormOptions = NormOptions { epsilon: 1e-3, slope: 0.2 };

/// Rows and columns of the transposed head's kernel; with padding 4 its output is 8 times larger.
const TRANSPOSED_SIZE: usize = 2 * STRIDE;

/// A group of residual blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPlan {
    /// Channels of its output, in units of the base width.
    pub widening: usize,
    /// Dilation of its convolutions.
    pub dilation: usize,
    /// What follows its last block.
    pub after: After,
}

/// What follows a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next group.
    Nothing,
    /// Max-pooling by 2.
    MaxPool,
}

/// Groups 1 to 8, see the table of [`Architecture`].
pub const GROUPS: [GroupPlan; 8] = [
    GroupPlan { widening: 1, dilation: 1, after: After::MaxPool },
    GroupPlan { widening: 2, dilation: 1, after: After::MaxPool },
    GroupPlan { widening: 4, dilation: 1, after: After::MaxPool },
    GroupPlan { widening: 8, dilation: 1, after: After::Nothing },
    GroupPlan { widening: 16, dilation: 1, after: After::Nothing },
    GroupPlan { widening: 16, dilation: 1, after: After::Nothing },
    GroupPlan { widening: 32, dilation: 1, after: After::Nothing },
    GroupPlan { widening: 32, dilation: 2, after: After::Nothing },
];

/// A parameter before it has numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterSpec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) role: Role,
}

impl ParameterSpec {
    /// How many numbers it has.
    pub(crate) fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Weights of a convolution; `fan_in` of them make up one output number.
    Kernel {
        fan_in: usize,
    },
    Gamma,
    Beta,
    RunningMean,
    RunningVariance,
}

/// Every parameter of a network, in the order in which the data meet them.
///
/// Kernels are `[K, R, S, C]` (out, rows, columns, in), that of the transposed head `[C, R, S, K]`;
/// the norms' γ, β and statistics are `[rows, channels]`.
pub(crate) fn parameter_specs(architecture: &Architecture) -> Vec<ParameterSpec> {
    let mut table = Table { rows: architecture.norm_rows(), specs: Vec::new() };
    let width = architecture.width;
    table.convolution("stem", [width, 3, 3, architecture.input_slices]);

    let mut channels = width;
    for (index, (plan, &blocks)) in GROUPS.iter().zip(&architecture.blocks).enumerate() {
        for block in 1..=blocks {
            let out = plan.widening * width;
            table.unit(&format!("group{}.block{block}.unit1", index + 1), channels, out);
            table.unit(&format!("group{}.block{block}.unit2", index + 1), out, out);
            channels = out;
        }
    }
    table.unit("group9.unit1", channels, channels);
    table.unit("group9.unit2", channels, channels);

    let classes = architecture.classes;
    match architecture.head {
        Head::PixelShuffle => table.shuffle_head(channels, 8 * classes),
        Head::Transposed => table.transposed_head(channels, 8 * classes),
    }
    table.convolution("output", [classes, 5, 5, 8 * classes]);
    table.specs
}

struct Table {
    rows: usize,
    specs: Vec<ParameterSpec>,
}

impl Table {
    fn unit(&mut self, name: &str, channels: usize, out: usize) {
        self.norm(name, channels);
        self.convolution(&format!("{name}.weight"), [out, 3, 3, channels]);
    }

    fn shuffle_head(&mut self, channels: usize, out: usize) {
        let out = out * STRIDE * STRIDE;
        self.convolution("group10.weight", [out, 3, 3, channels]);
        self.norm("group10", out);
    }

    fn transposed_head(&mut self, channels: usize, out: usize) {
        // Of the kernel's 16×16 taps only every 8th row and column meets an output pixel.
        let fan_in = channels * (TRANSPOSED_SIZE / STRIDE).pow(2);
        let shape = vec![channels, TRANSPOSED_SIZE, TRANSPOSED_SIZE, out];
        self.push("group10.weight".to_owned(), shape, Role::Kernel { fan_in });
        self.norm("group10", out);
    }

    fn convolution(&mut self, name: &str, shape: [usize; 4]) {
        let [_, rows, columns, channels] = shape;
        let fan_in = rows * columns * channels;
        self.push(name.to_owned(), shape.to_vec(), Role::Kernel { fan_in });
    }

    fn norm(&mut self, owner: &str, channels: usize) {
        let parts = [
            ("gamma", Role::Gamma),
            ("beta", Role::Beta),
            ("running_mean", Role::RunningMean),
            ("running_var", Role::RunningVariance),
        ];
        for (part, role) in parts {
            self.push(format!("{owner}.norm.{part}"), vec![self.rows, channels], role);
        }
    }

    fn push(&mut self, name: String, shape: Vec<usize>, role: Role) {
        self.specs.push(ParameterSpec { name, shape, role });
    }
}
