//! The convolutions that are timed.

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Forward,
    /// The gradient with respect to the input.
    Input,
    /// The gradient with respect to the kernel.
    Kernel,
}

pub(crate) const PASSES: [Pass; 3] = [Pass::Forward, Pass::Input, Pass::Kernel];

impl Pass {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Input => "input",
            Self::Kernel => "kernel",
        }
    }
}

/// A pass of a 3×3 convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) pass: Pass,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) side: usize,
    pub(crate) outputs: usize,
    pub(crate) dilation: usize,
}

impl Case {
    /// The case as a peer is told it: pass, batch, channels, side, outputs, dilation.
    pub(crate) fn line(&self) -> String {
        let Self { pass, batch, channels, side, outputs, dilation } = self;
        format!("{} {batch} {channels} {side} {outputs} {dilation}", pass.name())
    }

    /// Reads [`Self::line`].
    pub(crate) fn parse(line: &str) -> Self {
        let mut words = line.split(' ');
        let name = words.next().expect("a line starts with the pass");
        let pass = PASSES.into_iter().find(|pass| pass.name() == name).expect("a known pass");
        let numbers: Vec<usize> =
            words.map(|word| word.parse().expect("the rest are numbers")).collect();
        let [batch, channels, side, outputs, dilation] = numbers[..] else {
            panic!("got {} numbers, expected five", numbers.len());
        };
        Self { pass, batch, channels, side, outputs, dilation }
    }
}

/// A heading and `(batch, channels, side, outputs, dilation)` of its convolutions.
pub(crate) const GROUPS: [(&str, &[[usize; 5]]); 2] = [
    (
        "layers of well-known networks",
        &[
            [8, 64, 56, 64, 1],
            [4, 16, 112, 32, 1],
            [4, 128, 28, 128, 1],
            [8, 256, 28, 256, 1],
            [8, 512, 28, 512, 1],
        ],
    ),
    (
        "the quick schedule's network, batch 6",
        &[
            [6, 4, 112, 4, 1],
            [6, 4, 56, 8, 1],
            [6, 8, 56, 8, 1],
            [6, 8, 28, 16, 1],
            [6, 16, 28, 16, 1],
            [6, 16, 14, 32, 1],
            [6, 32, 14, 32, 1],
            [6, 32, 14, 64, 1],
            [6, 64, 14, 64, 1],
            [6, 64, 14, 128, 1],
            [6, 128, 14, 128, 1],
            [6, 128, 14, 128, 2],
            [6, 128, 14, 2048, 1],
        ],
    ),
];
