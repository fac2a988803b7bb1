//! Builds a graph node by node. A value is the name of a tensor, `[N, C, H, W]` unless said otherwise.

use super::proto::{
    AttributeProto, Dimension, FLOAT, GraphProto, INT64, NodeProto, TensorProto, TensorShapeProto,
    TensorType, TypeProto, ValueInfoProto,
};

/// A graph that grows.
#[derive(Debug, Default)]
pub(super) struct Graph {
    proto: GraphProto,
}

/// An attribute of a node.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Float(f32),
    Int(i64),
    Text(&'static str),
    Ints(Vec<i64>),
}

impl Graph {
    /// Adds an operation with one result and returns the result's name.
    pub(super) fn node(
        &mut self,
        operation: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let name = format!("{}_{}", operation.to_lowercase(), self.proto.node.len());
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operation.to_owned(),
            attribute: attributes.iter().map(|(name, value)| value.named(name)).collect(),
        });
        name
    }

    /// Adds real numbers and returns their name.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, FLOAT, shape, bytes)
    }

    /// Adds a list of whole numbers and returns its name.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("ints_{}", self.proto.initializer.len());
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&name, INT64, &[values.len()], bytes)
    }

    fn constant(&mut self, name: &str, data_type: i32, shape: &[usize], bytes: Vec<u8>) -> String {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|&length| whole(length)).collect(),
            data_type,
            name: name.to_owned(),
            raw_data: bytes,
        });
        name.to_owned()
    }

    /// Returns the graph between an input and outputs, each with its type and the names or lengths of its
    /// axes.
    pub(super) fn finish(
        mut self,
        name: &str,
        input: (&str, i32, &[Axis]),
        outputs: &[(&str, i32, &[Axis])],
    ) -> GraphProto {
        name.clone_into(&mut self.proto.name);
        self.proto.input = vec![value(input)];
        self.proto.output = outputs.iter().map(|&output| value(output)).collect();
        self.proto
    }

    /// Gives a result another name.
    pub(super) fn rename(&mut self, result: &str, name: &str) {
        self.proto.node.push(NodeProto {
            input: vec![result.to_owned()],
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: "Identity".to_owned(),
            attribute: Vec::new(),
        });
    }
}

/// A length as ONNX writes whole numbers.
pub(super) fn whole(length: usize) -> i64 {
    i64::try_from(length).expect("no tensor in memory is longer")
}

/// The length of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Axis {
    /// Always this.
    Length(usize),
    /// Any; equal names have equal lengths.
    Any(&'static str),
}

fn value((name, elem_type, axes): (&str, i32, &[Axis])) -> ValueInfoProto {
    let dimension = |axis: &Axis| match *axis {
        Axis::Length(length) => Dimension { dim_value: Some(whole(length)), dim_param: None },
        Axis::Any(name) => Dimension { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let shape = TensorShapeProto { dim: axes.iter().map(dimension).collect() };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(TensorType { elem_type, shape: Some(shape) }) }),
    }
}

impl Attribute {
    fn named(&self, name: &str) -> AttributeProto {
        let mut attribute = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
        match self.clone() {
            Self::Float(value) => (attribute.f, attribute.kind) = (Some(value), 1),
            Self::Int(value) => (attribute.i, attribute.kind) = (Some(value), 2),
            Self::Text(text) => (attribute.s, attribute.kind) = (Some(text.into()), 3),
            Self::Ints(values) => (attribute.ints, attribute.kind) = (values, 7),
        }
        attribute
    }
}
