// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Small models written in Rust, for tests and for graphs the project makes itself.
//!
//! ```
//! use splitinfer_graph::build::GraphBuilder;
//! use splitinfer_tensor::DType;
//! let model = GraphBuilder::new(17)
//!     .input("x", DType::F32, &[1, 3])
//!     .weight("w", &[3, 2], &[0.5; 6])
//!     .node("MatMul", &["x", "w"], &["y"], vec![])
//!     .output("y", DType::F32, &[1, 2])
//!     .model()
//!     .unwrap();
//! assert_eq!(model.inputs().len(), 1);
//! ```

use bytes::Bytes;
use splitinfer_tensor::{DType, Tensor};

use crate::error::GraphError;
use crate::model::Model;
use crate::proto::{
    AttributeProto, AttributeType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};

/// Collects nodes and constants; [`GraphBuilder::model`] checks them.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    proto: ModelProto,
    graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph of IR version 8 that means this operator set.
    pub fn new(opset: i64) -> Self {
        let import = OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(opset),
        };
        Self {
            proto: ModelProto {
                ir_version: Some(8),
                opset_import: vec![import],
                ..Default::default()
            },
            graph: GraphProto {
                name: Some("graph".into()),
                ..Default::default()
            },
        }
    }

    pub fn input(mut self, name: &str, dtype: DType, shape: &[usize]) -> Self {
        self.graph.input.push(value(name, dtype, shape));
        self
    }

    /// An input of which some sizes are named only.
    pub fn symbolic_input(mut self, name: &str, dtype: DType, shape: &[DimensionValue]) -> Self {
        self.graph
            .input
            .push(tensor_value(name, dtype, shape.to_vec()));
        self
    }

    pub fn output(mut self, name: &str, dtype: DType, shape: &[usize]) -> Self {
        self.graph.output.push(value(name, dtype, shape));
        self
    }

    /// An output whose type is left to inference.
    pub fn untyped_output(mut self, name: &str) -> Self {
        self.graph.output.push(untyped(name));
        self
    }

    /// A constant of 32-bit floats.
    ///
    /// # Panics
    /// When `data` does not hold the product of `shape`.
    pub fn weight(self, name: &str, shape: &[usize], data: &[f32]) -> Self {
        let tensor = Tensor::new(shape.to_vec(), data.to_vec());
        self.constant(
            name,
            &tensor.unwrap_or_else(|e| panic!("weight '{name}': {e}")),
        )
    }

    pub fn constant(mut self, name: &str, value: &Tensor) -> Self {
        self.graph.initializer.push(tensor(name, value));
        self
    }

    pub fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> Self {
        self.graph.node.push(node(op, inputs, outputs, attributes));
        self
    }

    /// The graph alone, for use as a subgraph.
    pub fn graph(self) -> GraphProto {
        self.graph
    }

    /// The messages, unchecked.
    pub fn proto(self) -> ModelProto {
        ModelProto {
            graph: Some(self.graph),
            ..self.proto
        }
    }

    /// # Errors
    /// When the graph is not valid; see [`Model::load`].
    pub fn model(self) -> Result<Model, GraphError> {
        Model::from_proto(self.proto())
    }
}

/// A node of the default domain, named after its first output.
pub fn node(
    op: &str,
    inputs: &[&str],
    outputs: &[&str],
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    NodeProto {
        input: owned(inputs),
        output: owned(outputs),
        name: outputs.first().map(|n| (*n).to_owned()),
        op_type: Some(op.to_owned()),
        attribute,
        ..Default::default()
    }
}

/// A constant as ONNX stores it.
pub fn tensor(name: &str, value: &Tensor) -> TensorProto {
    TensorProto {
        dims: value.shape().iter().map(|d| *d as i64).collect(),
        data_type: Some(value.dtype().to_onnx()),
        name: Some(name.to_owned()),
        raw_data: Some(Bytes::from(value.to_le_bytes())),
        ..Default::default()
    }
}

/// Name and type of a tensor of known shape.
pub fn value(name: &str, dtype: DType, shape: &[usize]) -> ValueInfoProto {
    let dims = shape.iter().map(|d| DimensionValue::Value(*d as i64));
    tensor_value(name, dtype, dims.collect())
}

/// A value of which only the name is said.
pub fn untyped(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

fn tensor_value(name: &str, dtype: DType, shape: Vec<DimensionValue>) -> ValueInfoProto {
    let dim = |value| Dimension {
        value: Some(value),
        denotation: None,
    };
    let tensor = TensorType {
        elem_type: Some(dtype.to_onnx()),
        shape: Some(TensorShapeProto {
            dim: shape.into_iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        r#type: Some(TypeProto {
            value: Some(TypeValue::Tensor(tensor)),
            denotation: None,
        }),
        ..untyped(name)
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, AttributeType::Int)
    }
}

/// A list of integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

/// A float attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute(name, AttributeType::Float)
    }
}

/// A text attribute.
pub fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: Some(value.as_bytes().to_vec()),
        ..attribute(name, AttributeType::String)
    }
}

/// A tensor attribute, as the `value` of `Constant`.
pub fn tensor_attribute(name: &str, value: &Tensor) -> AttributeProto {
    AttributeProto {
        t: Some(tensor("", value)),
        ..attribute(name, AttributeType::Tensor)
    }
}

/// A subgraph, as the branches of `If`.
pub fn subgraph(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        g: Some(graph),
        ..attribute(name, AttributeType::Graph)
    }
}
