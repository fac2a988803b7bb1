//! Convolutions by cuDNN, channels last, in the precision that [`precision`] names.
//!
//! Descriptors, algorithm and workspace size are found once for each convolution and kept, and the
//! workspace is the largest that any of them wanted. cuDNN's handle belongs to a thread, and so does all
//! of this. Of the algorithms cuDNN's heuristics choose; some that they may choose for gradients add in
//! no fixed order, so two runs can differ in their last bits.
//!
//! cuDNN knows zeros outside the image alone; a mirrored border is laid round the image first, and its
//! gradients are summed into the pixels that it mirrors.

use std::cell::RefCell;
use std::collections::{HashMap, hash_map::Entry};
use std::sync::Arc;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType,
    FilterDescriptor, TensorDescriptor,
    sys::{
        cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionFwdAlgo_t,
        cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION, cudnnMathType_t,
        cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
    },
};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, CudaDevice, DeviceId, WrapErr as _};
use candle_core::{CudaStorage, DType, Layout, Result, Shape, WithDType};
use half::bf16;

use super::cuda::View;
use super::{Dims, Padding, choice::Pass, launches};
use crate::cuda::{Precision, card, precision};

/// Returns the result of `pass` for its two arguments: input or gradient, then kernel or input.
pub(super) fn convolve(
    op: &str,
    pass: Pass,
    dims: &Dims,
    [first, second]: [View<'_>; 2],
) -> Result<CudaStorage> {
    if dims.options.padding == Padding::Zero {
        let geometry = Geometry::new(dims, border(dims));
        return in_precision(op, pass, &geometry, [first, second]);
    }
    let [rows, columns] = border(dims);
    let wide = Dims { height: dims.height + 2 * rows, width: dims.width + 2 * columns, ..*dims };
    let layout = Layout::contiguous(wide.input_shape());
    let geometry = Geometry::new(&wide, [0, 0]);
    let extended = |image: View<'_>| {
        // SAFETY: the launch is made for the sizes of this image, and runs between guards in its test.
        unsafe { card::apply(op, &launches::extend(dims)?, [image]) }
    };
    match pass {
        Pass::Forward => {
            let image = extended(first)?;
            in_precision(op, pass, &geometry, [(&image, &layout), second])
        }
        Pass::BackwardKernel => {
            let image = extended(second)?;
            in_precision(op, pass, &geometry, [first, (&image, &layout)])
        }
        Pass::BackwardInput => {
            let gradient = in_precision(op, pass, &geometry, [first, second])?;
            // SAFETY: as above.
            unsafe { card::apply(op, &launches::fold(dims)?, [(&gradient, &layout)]) }
        }
    }
}

/// Rows and columns that the taps reach beyond a pixel.
fn border(dims: &Dims) -> [usize; 2] {
    [dims.kernel_rows, dims.kernel_columns].map(|taps| dims.options.dilation * (taps / 2))
}

/// Shapes as cuDNN orders them, and where the taps look.
pub(crate) struct Geometry {
    /// `[B, C, rows, columns]`.
    pub(crate) input: [usize; 4],
    /// `[K, C, R, S]`.
    pub(crate) kernel: [usize; 4],
    /// `[B, K, rows, columns]`.
    pub(crate) output: [usize; 4],
    /// Rows and columns of zeros on each side.
    pub(crate) padding: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
}

impl Geometry {
    fn new(dims: &Dims, padding: [usize; 2]) -> Self {
        let border = border(dims);
        let rows = dims.height + 2 * padding[0] - 2 * border[0];
        let columns = dims.width + 2 * padding[1] - 2 * border[1];
        Self {
            input: [dims.batch, dims.channels, dims.height, dims.width],
            kernel: [dims.outputs, dims.channels, dims.kernel_rows, dims.kernel_columns],
            output: [dims.batch, dims.outputs, rows, columns],
            padding,
            stride: 1,
            dilation: dims.options.dilation,
        }
    }
}

/// Returns the result of `pass` for its two arguments, as [`convolve`]; converts to and from `bf16` where
/// that is the precision.
pub(crate) fn in_precision(
    op: &str,
    pass: Pass,
    geometry: &Geometry,
    [first, second]: [View<'_>; 2],
) -> Result<CudaStorage> {
    let device = first.0.device();
    let task = Task::new(pass, geometry)?;
    if precision() != Precision::Bf16 {
        let views = [card::elements(op, first)?, card::elements(op, second)?];
        let output = task.run::<f32>(device, views)?;
        return Ok(CudaStorage::wrap_cuda_slice(output, device.clone()));
    }
    // Checks the type and that the memory is contiguous.
    card::elements(op, first)?;
    card::elements(op, second)?;
    let narrow = |(storage, layout): View<'_>| storage.to_dtype(layout, DType::BF16);
    let (first, second) = (narrow(first)?, narrow(second)?);
    let views = [&first, &second].map(|narrow| narrow.as_cuda_slice::<bf16>());
    let [first, second] = views;
    let output = task.run::<bf16>(device, [first?.slice(..), second?.slice(..)])?;
    let output = CudaStorage::wrap_cuda_slice(output, device.clone());
    output.to_dtype(&Layout::contiguous(task.result_shape()), DType::F32)
}

/// One convolution, as the key under which its plan is kept: a [`Geometry`] in cuDNN's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Task {
    pass: Pass,
    tf32: bool,
    input: [i32; 4],
    kernel: [i32; 4],
    output: [i32; 4],
    padding: [i32; 2],
    stride: i32,
    dilation: i32,
}

impl Task {
    fn new(pass: Pass, geometry: &Geometry) -> Result<Self> {
        Ok(Self {
            pass,
            tf32: precision() == Precision::Tf32,
            input: sizes(geometry.input)?,
            kernel: sizes(geometry.kernel)?,
            output: sizes(geometry.output)?,
            padding: sizes(geometry.padding)?,
            stride: i32::try_from(geometry.stride)?,
            dilation: i32::try_from(geometry.dilation)?,
        })
    }

    /// Shape of what the pass computes, channels last.
    fn result_shape(&self) -> Shape {
        let [b, c, y, x] = match self.pass {
            Pass::Forward => self.output,
            Pass::BackwardInput => self.input,
            Pass::BackwardKernel => self.kernel,
        };
        Shape::from([b, y, x, c].map(|size| size.unsigned_abs() as usize).as_slice())
    }

    fn run<T: Element>(
        &self,
        device: &CudaDevice,
        [first, second]: [CudaView<'_, T>; 2],
    ) -> Result<CudaSlice<T>> {
        let length = self.result_shape().elem_count();
        // SAFETY: cuDNN writes all of it, with a factor of 0 before what was there.
        let mut out = unsafe { device.cuda_stream().alloc::<T>(length.max(1)) }.w()?;
        LIBRARIES.with_borrow_mut(|libraries| {
            let library = match libraries.entry(device.id()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Library::new(device)?),
            };
            if !T::plans(library).contains_key(self) {
                let plan = Plan::new(&library.handle, self)?;
                T::plans(library).insert(*self, plan);
            }
            let bytes = T::plans(library)[self].workspace_bytes;
            library.reserve(device, bytes)?;
            let mut workspace = library.workspace.take();
            let plan = &T::plans(library)[self];
            // SAFETY: views and output have the shapes of the task, which are the descriptors'.
            let launched = unsafe { plan.launch(workspace.as_mut(), [&first, &second], &mut out) };
            library.workspace = workspace;
            launched
        })?;
        Ok(out)
    }
}

fn sizes<const N: usize>(sizes: [usize; N]) -> Result<[i32; N]> {
    let mut narrow = [0; N];
    for (narrow, size) in narrow.iter_mut().zip(sizes) {
        *narrow = i32::try_from(size)?;
    }
    Ok(narrow)
}

thread_local! {
    static LIBRARIES: RefCell<HashMap<DeviceId, Library>> = RefCell::default();
}

/// cuDNN on one card, for one thread.
struct Library {
    handle: Arc<Cudnn>,
    wide: HashMap<Task, Plan<f32>>,
    narrow: HashMap<Task, Plan<bf16>>,
    workspace: Option<CudaSlice<u8>>,
}

impl Library {
    fn new(device: &CudaDevice) -> Result<Self> {
        let handle = Cudnn::new(device.cuda_stream())?;
        Ok(Self { handle, wide: HashMap::new(), narrow: HashMap::new(), workspace: None })
    }

    /// Makes the workspace at least so large. What was put on the stream before keeps the old one until
    /// it is done: memory is freed in the stream's order.
    fn reserve(&mut self, device: &CudaDevice, bytes: usize) -> Result<()> {
        if bytes > self.workspace.as_ref().map_or(0, CudaSlice::len) {
            // SAFETY: cuDNN reads nothing of it that it has not written.
            self.workspace = Some(unsafe { device.cuda_stream().alloc::<u8>(bytes) }.w()?);
        }
        Ok(())
    }
}

/// What cuDNN convolves here.
trait Element: WithDType + CudaDType + CudnnDataType + DeviceRepr {
    fn plans(library: &mut Library) -> &mut HashMap<Task, Plan<Self>>;
}

impl Element for f32 {
    fn plans(library: &mut Library) -> &mut HashMap<Task, Plan<Self>> {
        &mut library.wide
    }
}

impl Element for bf16 {
    fn plans(library: &mut Library) -> &mut HashMap<Task, Plan<Self>> {
        &mut library.narrow
    }
}

/// A convolution as cuDNN wants it described, and how it will compute it.
struct Plan<T> {
    convolution: ConvDescriptor<f32>,
    input: TensorDescriptor<T>,
    kernel: FilterDescriptor<T>,
    output: TensorDescriptor<T>,
    algorithm: Algorithm,
    workspace_bytes: usize,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Forward(cudnnConvolutionFwdAlgo_t),
    BackwardInput(cudnnConvolutionBwdDataAlgo_t),
    BackwardKernel(cudnnConvolutionBwdFilterAlgo_t),
}

impl<T: Element> Plan<T> {
    fn new(handle: &Arc<Cudnn>, task: &Task) -> Result<Self> {
        let [stride, dilation] = [task.stride, task.dilation].map(|step| [step; 2]);
        let mut convolution =
            handle.create_conv2d(task.padding, stride, dilation, CUDNN_CROSS_CORRELATION)?;
        // The default lets tensor cores round `f32`; the other does not.
        let is_f32 = T::DTYPE == DType::F32 && !task.tf32;
        convolution.set_math_type(if is_f32 {
            cudnnMathType_t::CUDNN_FMA_MATH
        } else {
            cudnnMathType_t::CUDNN_TENSOR_OP_MATH
        })?;
        let mut plan = Self {
            convolution,
            input: handle.create_4d_tensor(CUDNN_TENSOR_NHWC, task.input)?,
            kernel: handle.create_4d_filter(CUDNN_TENSOR_NHWC, task.kernel)?,
            output: handle.create_4d_tensor(CUDNN_TENSOR_NHWC, task.output)?,
            algorithm: Algorithm::Forward(
                cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
            ),
            workspace_bytes: 0,
        };
        (plan.algorithm, plan.workspace_bytes) = match task.pass {
            Pass::Forward => {
                let algorithm = plan.forward().pick_algorithm()?;
                let bytes = plan.forward().get_workspace_size(algorithm)?;
                (Algorithm::Forward(algorithm), bytes)
            }
            Pass::BackwardInput => {
                let algorithm = plan.backward_input().pick_algorithm()?;
                let bytes = plan.backward_input().get_workspace_size(algorithm)?;
                (Algorithm::BackwardInput(algorithm), bytes)
            }
            Pass::BackwardKernel => {
                let algorithm = plan.backward_kernel().pick_algorithm()?;
                let bytes = plan.backward_kernel().get_workspace_size(algorithm)?;
                (Algorithm::BackwardKernel(algorithm), bytes)
            }
        };
        Ok(plan)
    }

    /// # Safety
    ///
    /// `first`, `second` and `out` must have the shapes of the task.
    unsafe fn launch(
        &self,
        workspace: Option<&mut CudaSlice<u8>>,
        [first, second]: [&CudaView<'_, T>; 2],
        out: &mut CudaSlice<T>,
    ) -> Result<()> {
        let factors = (T::one(), T::zero());
        // SAFETY: the caller vouches for the shapes, and the workspace has the size that was asked for.
        unsafe {
            match self.algorithm {
                Algorithm::Forward(algorithm) => {
                    let pass = self.forward();
                    pass.launch(algorithm, workspace, factors, first, second, out)?;
                }
                Algorithm::BackwardInput(algorithm) => {
                    let pass = self.backward_input();
                    pass.launch(algorithm, workspace, factors, out, second, first)?;
                }
                Algorithm::BackwardKernel(algorithm) => {
                    let pass = self.backward_kernel();
                    pass.launch(algorithm, workspace, factors, second, out, first)?;
                }
            }
        }
        Ok(())
    }

    fn forward(&self) -> ConvForward<'_, T, f32, T> {
        let Self { convolution: conv, input: x, kernel: w, output: y, .. } = self;
        ConvForward { conv, x, w, y }
    }

    fn backward_input(&self) -> ConvBackwardData<'_, T, f32, T> {
        let Self { convolution: conv, input: dx, kernel: w, output: dy, .. } = self;
        ConvBackwardData { conv, dx, w, dy }
    }

    fn backward_kernel(&self) -> ConvBackwardFilter<'_, T, f32, T> {
        let Self { convolution: conv, input: x, kernel: dw, output: dy, .. } = self;
        ConvBackwardFilter { conv, x, dw, dy }
    }
}
