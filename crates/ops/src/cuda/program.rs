//! What a computation on a card consists of.

use candle_core::{Result, bail};

/// A `.cu` file, compiled when it is first used.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Name of the module, one per file.
    pub name: &'static str,
    /// The file, by `include_str!`, or several, one after the other.
    pub text: &'static str,
    /// What a card must at least know, such as `compute_80`; without, the oldest that NVRTC knows will do.
    pub architecture: Option<&'static str>,
    /// Every `extern "C" __global__` function of it.
    pub kernels: &'static [&'static str],
}

/// Buffers, and launches over them in order.
///
/// # Examples
///
/// ```
/// use duomo_ops::cuda::{Argument, Buffer, Launch, Program, Source};
///
/// const SOURCE: Source = Source {
///     name: "double",
///     text: r#"extern "C" __global__ void twice(float* out, const float* in, int length) {
///         const int i = blockIdx.x * blockDim.x + threadIdx.x;
///         if (i < length) out[i] = 2.0f * in[i];
///     }"#,
///     architecture: None,
///     kernels: &["twice"],
/// };
///
/// let mut program = Program::new(SOURCE);
/// let (input, out) = (program.buffer(Buffer::Input), program.buffer(Buffer::Output(1000)));
/// let arguments = vec![Argument::Write(out), Argument::Read(input), Argument::Int(1000)];
/// program.launch(Launch { kernel: "twice", grid: [8, 1, 1], threads: 128, arguments });
///
/// assert_eq!((program.buffers.len(), program.launches.len()), (2, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    /// The kernels.
    pub source: Source,
    /// What arguments refer to.
    pub buffers: Vec<Buffer>,
    /// In the order in which they run.
    pub launches: Vec<Launch>,
}

/// Memory of the card.
#[derive(Clone, Debug)]
pub enum Buffer {
    /// The caller's next tensor, `f32`.
    Input,
    /// The caller's next tensor, `f32`, which kernels change in place.
    Updated,
    /// A table that goes up with the program.
    Ints(Vec<i32>),
    /// A table of numbers that goes up with the program.
    Floats(Vec<f32>),
    /// A table of bytes, such as labels, that goes up with the program.
    Bytes(Vec<u8>),
    /// Where the buffers of these numbers, all of them earlier ones, begin: a table of pointers. A
    /// kernel may write to those of them that are [`Buffer::Updated`].
    Addresses(Vec<usize>),
    /// This many `f32` of unknown content, dropped after the last launch.
    Scratch(usize),
    /// This many `f32` of unknown content, handed to the caller.
    Output(usize),
    /// This many zeros, handed to the caller.
    Zeros(usize),
}

impl Buffer {
    /// Whether the caller gets what the program leaves in it.
    pub fn is_returned(&self) -> bool {
        matches!(self, Self::Updated | Self::Output(_) | Self::Zeros(_))
    }
}

/// One kernel over one grid of blocks.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its name in the source.
    pub kernel: &'static str,
    /// Blocks along x, y and z; a launch without blocks is left out.
    pub grid: [usize; 3],
    /// Threads of a block, along x.
    pub threads: usize,
    /// In the kernel's order. A buffer may stand here once.
    pub arguments: Vec<Argument>,
}

/// What a kernel is handed.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// A buffer, by its number, that the kernel only reads.
    Read(usize),
    /// A buffer, by its number, that the kernel writes.
    Write(usize),
    /// An `int`.
    Int(i32),
    /// A `float`.
    Float(f32),
    /// An `unsigned long long`.
    Long(u64),
}

impl Argument {
    /// A count as an `int`.
    ///
    /// # Errors
    ///
    /// If it has more than 31 bits.
    pub fn count(value: usize) -> Result<Self> {
        match i32::try_from(value) {
            Ok(value) => Ok(Self::Int(value)),
            Err(_) => bail!(
                "a kernel counts to {}, got {value} elements or rows; give a smaller batch",
                i32::MAX
            ),
        }
    }
}

/// Largest number of blocks along x, y and z on every card since 2012.
const GRID_MAX: [usize; 3] = [(1 << 31) - 1, 65_535, 65_535];

impl Program {
    /// Threads of a block where nothing speaks for another number.
    pub const THREADS: usize = 256;

    /// A program that does nothing yet.
    pub fn new(source: Source) -> Self {
        Self { source, buffers: Vec::new(), launches: Vec::new() }
    }

    /// Adds a buffer and returns its number.
    ///
    /// # Panics
    ///
    /// If it holds the address of one that does not exist yet.
    pub fn buffer(&mut self, buffer: Buffer) -> usize {
        if let Buffer::Addresses(of) = &buffer {
            let known = self.buffers.len();
            assert!(of.iter().all(|&other| other < known), "{of:?}: addresses of later buffers");
        }
        self.buffers.push(buffer);
        self.buffers.len() - 1
    }

    /// Adds a launch with a thread for each item, in blocks of [`THREADS`](Self::THREADS) along x.
    ///
    /// # Panics
    ///
    /// As [`Self::launch`].
    pub fn launch_items(&mut self, kernel: &'static str, items: usize, arguments: Vec<Argument>) {
        let grid = [items.div_ceil(Self::THREADS), 1, 1];
        self.launch(Launch { kernel, grid, threads: Self::THREADS, arguments });
    }

    /// Adds a launch, unless its grid is empty.
    ///
    /// # Panics
    ///
    /// If the source lacks the kernel, an argument has no buffer, a buffer is handed over twice, or
    /// the grid is larger than a card takes.
    pub fn launch(&mut self, launch: Launch) {
        let kernel = launch.kernel;
        assert!(self.source.kernels.contains(&kernel), "{} has no `{kernel}`", self.source.name);
        let mut handed = vec![false; self.buffers.len()];
        for argument in &launch.arguments {
            if let Argument::Read(buffer) | Argument::Write(buffer) = *argument {
                assert!(!handed[buffer], "{kernel}: buffer {buffer} is handed over twice");
                handed[buffer] = true;
            }
        }
        let fits = launch.grid.iter().zip(GRID_MAX).all(|(&blocks, max)| blocks <= max);
        assert!(fits, "{kernel}: a grid of {:?} blocks, at most {GRID_MAX:?}", launch.grid);
        if !launch.grid.contains(&0) {
            self.launches.push(launch);
        }
    }
}
