//! A stretch of a model as a model of its own, to be run alone.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Model;
use super::export::IR_WITHOUT_INITIALIZER_INPUTS;
use crate::ir::DataType;
use crate::onnx::schema::{
    Dimension, DimensionValue, ModelProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};

impl Model {
    /// What makes the value `to` of the value `from`, which becomes the only
    /// input: a float tensor of this shape, the batch axis included.
    ///
    /// `None` where more than that is needed: another input, or a value that a
    /// subgraph takes from outside.
    pub fn part(&self, from: &str, to: &str, shape: &[usize]) -> Option<ModelProto> {
        let mut proto = self.to_proto();
        let graph = proto.graph.as_mut()?;
        let given: HashSet<&str> = graph
            .initializer
            .iter()
            .filter_map(|t| t.name.as_deref())
            .collect();
        let mut makers = HashMap::new();
        for (n, node) in graph.node.iter().enumerate() {
            makers.extend(node.output.iter().map(|output| (output.as_str(), n)));
        }
        let mut wanted = vec![to];
        let (mut nodes, mut weights) = (BTreeSet::new(), HashSet::new());
        while let Some(value) = wanted.pop() {
            if value.is_empty() || value == from {
                continue;
            }
            if given.contains(value) {
                weights.insert(value.to_owned());
                continue;
            }
            let &maker = makers.get(value)?;
            let node = &graph.node[maker];
            if node.attribute.iter().any(|a| a.g.is_some()) {
                return None;
            }
            if nodes.insert(maker) {
                wanted.extend(node.input.iter().map(String::as_str));
            }
        }
        graph.node = nodes.into_iter().map(|n| graph.node[n].clone()).collect();
        let used = |name: &Option<String>| name.as_ref().is_some_and(|n| weights.contains(n));
        graph.initializer.retain(|t| used(&t.name));
        graph.input = vec![float(from, Some(shape))?];
        graph.output = vec![float(to, None)?];
        graph.value_info.clear();
        proto.training_info.clear();
        proto.ir_version = proto
            .ir_version
            .map(|v| v.max(IR_WITHOUT_INITIALIZER_INPUTS));
        Some(proto)
    }
}

/// A float tensor as graphs declare their inputs and outputs.
pub(crate) fn float(name: &str, shape: Option<&[usize]>) -> Option<ValueInfoProto> {
    let dim = |&d: &usize| {
        Some(Dimension {
            value: Some(DimensionValue::DimValue(i64::try_from(d).ok()?)),
            ..Dimension::default()
        })
    };
    let shape = match shape {
        Some(shape) => Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect::<Option<_>>()?,
        }),
        None => None,
    };
    Some(ValueInfoProto {
        name: Some(name.into()),
        kind: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: Some(DataType::Float as i32),
                shape,
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::onnx::schema::{GraphProto, NodeProto, OperatorSetIdProto, TensorProto};

    /// x, w -> a; a, v -> b; b, y -> c: two stretches of one input, one of two.
    fn model() -> Model {
        let node = |inputs: [&str; 2], output: &str| NodeProto {
            op_type: Some("MatMul".into()),
            input: inputs.map(str::to_owned).to_vec(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        let weights = |name: &str| TensorProto {
            name: Some(name.into()),
            data_type: Some(DataType::Float as i32),
            dims: vec![2, 2],
            float_data: vec![1.0; 4],
            ..TensorProto::default()
        };
        let proto = ModelProto {
            ir_version: Some(3),
            opset_import: vec![OperatorSetIdProto {
                domain: None,
                version: Some(9),
            }],
            graph: Some(GraphProto {
                name: Some("chain".into()),
                input: ["x", "y", "w", "v"]
                    .iter()
                    .filter_map(|name| float(name, Some(&[2, 2])))
                    .collect(),
                output: float("c", None).into_iter().collect(),
                initializer: vec![weights("w"), weights("v")],
                node: vec![
                    node(["x", "w"], "a"),
                    node(["a", "v"], "b"),
                    node(["b", "y"], "c"),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        Model::from_proto(proto, Path::new("chain.onnx")).expect("a model")
    }

    fn names(graph: &GraphProto) -> (Vec<&str>, Vec<&str>) {
        let outputs = graph.node.iter().map(|n| n.output[0].as_str());
        let weights = graph.initializer.iter().filter_map(|t| t.name.as_deref());
        (outputs.collect(), weights.collect())
    }

    #[test]
    fn a_part_holds_what_it_needs_and_no_more() {
        let model = model();
        let part = |from, to| model.part(from, to, &[1, 2]).and_then(|p| p.graph);
        assert_eq!(names(&part("a", "b").unwrap()), (vec!["b"], vec!["v"]));
        assert_eq!(
            names(&part("x", "b").unwrap()),
            (vec!["a", "b"], vec!["w", "v"])
        );
        assert!(part("b", "c").is_none(), "it needs y as well");
        let alone = Model::from_proto(model.part("a", "b", &[1, 2]).unwrap(), Path::new("part"));
        let graph = alone.unwrap().graph;
        assert_eq!(graph.inputs.len(), 1, "weights are no inputs");
    }
}
