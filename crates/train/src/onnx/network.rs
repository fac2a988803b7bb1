//! The layers of a network as nodes of a graph, from its weights by name.
//!
//! The table of layers is that of `duomo_model::Architecture`; a test holds the graph against the network
//! itself, and so does `scripts/check_onnx.py` with ONNX Runtime. Weights are `[K, R, S, C]` there and `[K, C, R, S]` here.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::Tensor;
use duomo_model::{After, Architecture, GROUPS, Head, NORM, Normalization, STRIDE};

use super::graph::{Attribute, Graph, whole};

/// Writes one modality's network into a graph.
pub(super) struct Writer<'a> {
    pub(super) graph: Graph,
    pub(super) architecture: &'a Architecture,
    /// Parameters and statistics by name.
    pub(super) weights: &'a BTreeMap<String, Tensor>,
    /// The modality's place among those that the network serves.
    pub(super) modality: usize,
}

impl Writer<'_> {
    /// Adds a z-score of every slice by itself; a constant slice becomes 0.
    pub(super) fn z_score(&mut self, slices: &str) -> String {
        let axes = || [("axes", Attribute::Ints(vec![2, 3]))];
        let mean = self.graph.node("ReduceMean", &[slices], &axes());
        let centred = self.graph.node("Sub", &[slices, &mean], &[]);
        let squares = self.graph.node("Mul", &[&centred, &centred], &[]);
        let variance = self.graph.node("ReduceMean", &[&squares], &axes());
        let deviation = self.graph.node("Sqrt", &[&variance], &[]);
        let darkest = self.graph.node("ReduceMin", &[slices], &axes());
        let brightest = self.graph.node("ReduceMax", &[slices], &axes());
        let is_constant = self.graph.node("Equal", &[&darkest, &brightest], &[]);
        let one = self.graph.floats("one", &[], &[1.0]);
        let zero = self.graph.floats("zero", &[], &[0.0]);
        let divisor = self.graph.node("Where", &[&is_constant, &one, &deviation], &[]);
        let scores = self.graph.node("Div", &[&centred, &divisor], &[]);
        self.graph.node("Where", &[&is_constant, &zero, &scores], &[])
    }

    /// Adds everything between z-scores and logits `[N, C, H, W]`.
    pub(super) fn logits(&mut self, z_scores: &str) -> Result<String> {
        let mut x = self.convolution(z_scores, "stem", 1)?;
        let mut channels = self.architecture.width;
        for (index, (plan, blocks)) in GROUPS.iter().zip(self.architecture.blocks).enumerate() {
            for block in 1..=blocks {
                let name = format!("group{}.block{block}", index + 1);
                x = self.residual(&x, &name, whole(plan.dilation), &mut channels)?;
            }
            if plan.after == After::MaxPool {
                let two = || Attribute::Ints(vec![2, 2]);
                let attributes = [("kernel_shape", two()), ("strides", two())];
                x = self.graph.node("MaxPool", &[&x], &attributes);
            }
        }
        for unit in ["group9.unit1", "group9.unit2"] {
            x = self.unit(&x, unit, 1)?;
        }
        x = self.head(&x)?;
        x = self.mirrored(&x, 2);
        self.convolution(&x, "output", 0)
    }

    fn head(&mut self, x: &str) -> Result<String> {
        match self.architecture.head {
            Head::PixelShuffle => {
                let x = self.mirrored(x, 1);
                let x = self.convolution(&x, "group10.weight", 0)?;
                let x = self.norm(&x, "group10.norm")?;
                let attributes = [
                    ("blocksize", Attribute::Int(whole(STRIDE))),
                    ("mode", Attribute::Text("CRD")),
                ];
                Ok(self.graph.node("DepthToSpace", &[&x], &attributes))
            }
            Head::Transposed => {
                // [C, R, S, K] there, [C, K, R, S] here.
                let weight = self.kernel("group10.weight")?;
                let (stride, pad) = (whole(STRIDE), whole(STRIDE / 2));
                let attributes = [
                    ("strides", Attribute::Ints(vec![stride; 2])),
                    ("pads", Attribute::Ints(vec![pad; 4])),
                ];
                let x = self.graph.node("ConvTranspose", &[x, &weight], &attributes);
                self.norm(&x, "group10.norm")
            }
        }
    }

    fn residual(
        &mut self,
        x: &str,
        name: &str,
        dilation: i64,
        channels: &mut usize,
    ) -> Result<String> {
        let y = self.unit(x, &format!("{name}.unit1"), dilation)?;
        let y = self.unit(&y, &format!("{name}.unit2"), dilation)?;
        let wide = self.get(&format!("{name}.unit2.weight"))?.dim(0)?;
        let missing = wide - *channels;
        let before = missing / 2;
        *channels = wide;
        if missing == 0 {
            return Ok(self.graph.node("Add", &[&y, x], &[]));
        }
        let pads = self.graph.ints(&[0, whole(before), 0, 0, 0, whole(missing - before), 0, 0]);
        let skip = self.graph.node("Pad", &[x, &pads], &[]);
        Ok(self.graph.node("Add", &[&y, &skip], &[]))
    }

    fn unit(&mut self, x: &str, name: &str, dilation: i64) -> Result<String> {
        let x = self.norm(x, &format!("{name}.norm"))?;
        let weight = self.kernel(&format!("{name}.weight"))?;
        let attributes = [
            ("pads", Attribute::Ints(vec![dilation; 4])),
            ("dilations", Attribute::Ints(vec![dilation; 2])),
        ];
        Ok(self.graph.node("Conv", &[&x, &weight], &attributes))
    }

    /// A convolution with so many pixels of zeros around.
    fn convolution(&mut self, x: &str, name: &str, pad: i64) -> Result<String> {
        let weight = self.kernel(name)?;
        Ok(self.graph.node("Conv", &[x, &weight], &[("pads", Attribute::Ints(vec![pad; 4]))]))
    }

    /// The modality's norm, and the rectifier after it.
    #[expect(clippy::cast_possible_truncation, reason = "attributes are f32")]
    fn norm(&mut self, x: &str, name: &str) -> Result<String> {
        let row = match self.architecture.normalization {
            Normalization::PerModality => self.modality,
            Normalization::Shared => 0,
        };
        let mut inputs = vec![x.to_owned()];
        for part in ["gamma", "beta", "running_mean", "running_var"] {
            let name = format!("{name}.{part}");
            let values = self.get(&name)?.get(row)?.to_vec1::<f32>()?;
            inputs.push(self.graph.floats(&name, &[values.len()], &values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let epsilon = [("epsilon", Attribute::Float(NORM.epsilon as f32))];
        let x = self.graph.node("BatchNormalization", &inputs, &epsilon);
        Ok(self.graph.node("LeakyRelu", &[&x], &[("alpha", Attribute::Float(NORM.slope as f32))]))
    }

    /// The image with its outermost pixels mirrored outwards, edge pixels repeated.
    fn mirrored(&mut self, x: &str, width: i64) -> String {
        let mut x = x.to_owned();
        for axis in [2, 3] {
            let [axes, back] = [axis, -1].map(|value| self.graph.ints(&[value]));
            let mut strip = |from: i64, to: i64| {
                let [from, to] = [from, to].map(|value| self.graph.ints(&[value]));
                self.graph.node("Slice", &[&x, &from, &to, &axes, &back], &[])
            };
            // Ends are exclusive; one before the first pixel can only be named by far too small a number.
            let first = strip(width - 1, i64::from(i32::MIN));
            let last = strip(-1, -1 - width);
            x = self.graph.node("Concat", &[&first, &x, &last], &[("axis", Attribute::Int(axis))]);
        }
        x
    }

    /// Adds a kernel: its last axis becomes its second.
    fn kernel(&mut self, name: &str) -> Result<String> {
        let kernel = self.get(name)?.permute((0, 3, 1, 2))?.contiguous()?;
        let values = kernel.flatten_all()?.to_vec1::<f32>()?;
        Ok(self.graph.floats(name, kernel.dims(), &values))
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.weights.get(name).with_context(|| format!("the network has no parameter {name}"))
    }
}
