//! Runs a graph as the specification of ONNX's operators reads, for the operators that an export has.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};

use super::super::proto::{FLOAT, GraphProto, NodeProto, TensorProto};

/// Every value of a graph by name, given its input.
pub(super) fn run(graph: &GraphProto, input: Tensor) -> Result<BTreeMap<String, Tensor>> {
    let mut values = BTreeMap::from([(graph.input[0].name.clone(), input)]);
    for constant in &graph.initializer {
        values.insert(constant.name.clone(), tensor(constant)?);
    }
    for node in &graph.node {
        let inputs: Vec<&Tensor> = node.input.iter().map(|name| &values[name]).collect();
        let output = Node(node).compute(&inputs)?;
        values.insert(node.output[0].clone(), output);
    }
    Ok(values)
}

fn tensor(constant: &TensorProto) -> Result<Tensor> {
    let shape = sizes(&constant.dims);
    if constant.data_type == FLOAT {
        let values = constant.raw_data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        return Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu);
    }
    let values = constant.raw_data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
    Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu)
}

fn sizes(lengths: &[i64]) -> Vec<usize> {
    lengths.iter().map(|&length| usize::try_from(length).unwrap()).collect()
}

struct Node<'a>(&'a NodeProto);

impl Node<'_> {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        match &self.0.op_type[..] {
            "Identity" => Ok(x.clone()),
            "Add" => x.broadcast_add(inputs[1]),
            "Sub" => x.broadcast_sub(inputs[1]),
            "Mul" => x.broadcast_mul(inputs[1]),
            "Div" => x.broadcast_div(inputs[1]),
            "Equal" => x.eq(inputs[1]),
            "Sqrt" => x.sqrt(),
            "Where" => choose(inputs),
            "ReduceMean" => self.fold(x, Tensor::mean_keepdim),
            "ReduceMin" => self.fold(x, Tensor::min_keepdim),
            "ReduceMax" => self.fold(x, Tensor::max_keepdim),
            "ArgMax" => {
                assert_eq!(self.int("keepdims"), 0);
                x.argmax(usize::try_from(self.int("axis")).unwrap())
            }
            "Concat" => Tensor::cat(inputs, usize::try_from(self.int("axis")).unwrap()),
            "Pad" => pad(x, &inputs[1].to_vec1()?),
            "Slice" => slice(x, inputs[1..].iter().map(|list| list.to_vec1())),
            "MaxPool" => {
                assert_eq!(self.one("kernel_shape"), self.one("strides"));
                x.max_pool2d(self.one("kernel_shape").unwrap())
            }
            "Conv" => {
                let [pad, dilation] = ["pads", "dilations"].map(|name| self.one(name));
                x.conv2d(inputs[1], pad.unwrap_or(0), 1, dilation.unwrap_or(1), 1)
            }
            "ConvTranspose" => {
                let [pad, stride] = ["pads", "strides"].map(|name| self.one(name));
                x.conv_transpose2d(inputs[1], pad.unwrap_or(0), 0, stride.unwrap_or(1), 1)
            }
            "BatchNormalization" => {
                let [gamma, beta, mean, variance] =
                    [1, 2, 3, 4].map(|at| inputs[at].reshape((1, (), 1, 1)).unwrap());
                let deviation = (variance + f64::from(self.float("epsilon")))?.sqrt()?;
                let scores = x.broadcast_sub(&mean)?.broadcast_div(&deviation)?;
                scores.broadcast_mul(&gamma)?.broadcast_add(&beta)
            }
            "LeakyRelu" => x.relu()? - (x.neg()?.relu()? * f64::from(self.float("alpha")))?,
            "DepthToSpace" => {
                let mode = self.0.attribute.iter().find_map(|attribute| attribute.s.as_deref());
                assert_eq!(mode, Some(&b"CRD"[..]));
                depth_to_space(x, usize::try_from(self.int("blocksize")).unwrap())
            }
            other => panic!("no export has had a {other}"),
        }
    }

    fn fold(&self, x: &Tensor, fold: fn(&Tensor, usize) -> Result<Tensor>) -> Result<Tensor> {
        self.ints("axes").unwrap().into_iter().try_fold(x.clone(), |x, axis| fold(&x, axis))
    }

    fn ints(&self, name: &str) -> Option<Vec<usize>> {
        let attribute = self.0.attribute.iter().find(|attribute| attribute.name == name)?;
        Some(sizes(&attribute.ints))
    }

    /// A list whose values are all the same.
    fn one(&self, name: &str) -> Option<usize> {
        let values = self.ints(name)?;
        assert!(values.iter().all(|value| *value == values[0]), "{name}: {values:?}");
        Some(values[0])
    }

    fn int(&self, name: &str) -> i64 {
        self.0.attribute.iter().find(|attribute| attribute.name == name).unwrap().i.unwrap()
    }

    fn float(&self, name: &str) -> f32 {
        self.0.attribute.iter().find(|attribute| attribute.name == name).unwrap().f.unwrap()
    }
}

/// Of single numbers and maps `[N, C, H, W]`.
fn choose(inputs: &[&Tensor]) -> Result<Tensor> {
    let maps = inputs.iter().filter(|tensor| tensor.rank() == 4);
    let shape = maps.map(|tensor| tensor.dims().to_vec()).reduce(|one, other| {
        one.into_iter().zip(other).map(|(one, other)| one.max(other)).collect()
    });
    let shape = shape.unwrap();
    let [which, yes, no] = [0, 1, 2].map(|at| inputs[at].broadcast_as(&shape[..]).unwrap());
    which.contiguous()?.where_cond(&yes.contiguous()?, &no.contiguous()?)
}

fn pad(x: &Tensor, pads: &[i64]) -> Result<Tensor> {
    let (before, after) = pads.split_at(pads.len() / 2);
    let sides = sizes(before).into_iter().zip(sizes(after)).enumerate();
    sides
        .into_iter()
        .try_fold(x.clone(), |x, (axis, (before, after))| x.pad_with_zeros(axis, before, after))
}

/// Along one axis and backwards: starts, ends, axes, steps.
fn slice(x: &Tensor, lists: impl Iterator<Item = Result<Vec<i64>>>) -> Result<Tensor> {
    let lists: Vec<Vec<i64>> = lists.collect::<Result<_>>()?;
    let [start, end, axis, step] = [0, 1, 2, 3].map(|list| {
        assert_eq!(lists[list].len(), 1);
        lists[list][0]
    });
    assert_eq!(step, -1);
    let axis = usize::try_from(axis).unwrap();
    let length = i64::try_from(x.dim(axis)?).unwrap();
    let from_front = |index: i64| if index < 0 { index + length } else { index };
    let start = from_front(start).clamp(0, length - 1);
    let end = from_front(end).clamp(-1, length - 1);
    let kept: Vec<i64> = (end + 1..=start).rev().collect();
    x.contiguous()?.index_select(&Tensor::new(kept, &Device::Cpu)?, axis)
}

/// Depth in the order of channel, row, column.
fn depth_to_space(x: &Tensor, block: usize) -> Result<Tensor> {
    let (n, depth, h, w) = x.dims4()?;
    let channels = depth / block.pow(2);
    let apart = x.reshape(&[n, channels, block, block, h, w][..])?;
    let together = apart.permute(&[0, 1, 4, 2, 5, 3][..])?.contiguous()?;
    together.reshape((n, channels, h * block, w * block))
}
