//! What can go wrong when a model runs.

use std::fmt;

use crate::dataset::DataError;

/// A node that tract cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Operator type, with its domain where that is not ONNX's own.
    pub operator: String,
    /// The node's name, or its first output's name where it has none.
    pub node: String,
}

/// What tract was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the protobuf message.
    Decode,
    /// Translating the model, or inferring its shapes.
    Load,
    /// Rewriting the graph for speed.
    Optimise,
    /// Computing.
    Run,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Decode => "read",
            Stage::Load => "load",
            Stage::Optimise => "optimise",
            Stage::Run => "run",
        })
    }
}

/// Where a model could not be run or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no ONNX model.
    #[error("{model}: not an ONNX model: {cause}")]
    NotAModel {
        /// The model's name.
        model: String,
        /// The decoder's words.
        cause: String,
    },
    /// Operators that tract does not have.
    #[error(
        "{model}: tract cannot run {}; analysis, rewriting and export still work: check the result with onnxruntime",
        list(.operators)
    )]
    Unsupported {
        /// The model's name.
        model: String,
        /// Every such node, in the model's order.
        operators: Vec<Unsupported>,
    },
    /// tract refused the model, or panicked on it.
    #[error(
        "{model}: tract cannot {stage} {}: {}{cause}; analysis, rewriting and export still work: check the result with onnxruntime",
        place(.node, .operator),
        if *.panicked { "it panicked: " } else { "" }
    )]
    Tract {
        /// The model's name.
        model: String,
        /// What tract was doing.
        stage: Stage,
        /// The node it failed at, where known.
        node: Option<String>,
        /// That node's ONNX operator, where known.
        operator: Option<String>,
        /// tract's innermost error.
        cause: String,
        /// Whether it was a panic.
        panicked: bool,
    },
    /// The samples do not fit the model's input.
    #[error("{model}: input {input:?} takes {expected}, the data are {found} a sample; {remedy}")]
    Shape {
        /// The model's name.
        model: String,
        /// The input's name.
        input: String,
        /// The model's shape, free axes by their symbol or `?`.
        expected: String,
        /// The shape of one sample.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The model has another number of inputs than the data.
    #[error(
        "{model}: the model takes {} input(s) ({}), the data have {found}; use an ONNX test_data_set folder with input_0.pb, input_1.pb, ...",
        .inputs.len(), .inputs.join(", ")
    )]
    InputCount {
        /// The model's name.
        model: String,
        /// The model's inputs.
        inputs: Vec<String>,
        /// Inputs in the data.
        found: usize,
    },
    /// Values that the input's integer type cannot hold.
    #[error(
        "{model}: input {input:?} takes {dtype}, but the data hold {value}; give it raw integers (no scale, mean or std)"
    )]
    InputType {
        /// The model's name.
        model: String,
        /// The input's name.
        input: String,
        /// The input's element type.
        dtype: String,
        /// The first value that does not fit.
        value: f32,
    },
    /// A value to be probed is not in the model.
    #[error("{model}: no value named {value:?} in the model")]
    NoValue {
        /// The model's name.
        model: String,
        /// The name asked for.
        value: String,
    },
    /// A batch is baked into the model and an output cannot be divided by it.
    #[error(
        "{model}: output {output:?} ({shape}) does not divide into the {batch} samples of the model's fixed batch; export the model with a batch of 1 or a free batch axis"
    )]
    Batch {
        /// The model's name.
        model: String,
        /// The output.
        output: String,
        /// Its shape.
        shape: String,
        /// The batch that the model was exported with.
        batch: usize,
    },
    /// The outputs of two models cannot be paired.
    #[error(
        "{original} and {rewritten} cannot be compared: {reason}; both must have the same outputs"
    )]
    Outputs {
        /// The original's name.
        original: String,
        /// The rewritten model's name.
        rewritten: String,
        /// What differs.
        reason: String,
    },
    /// Labels that no class of the model has.
    #[error(
        "{path}: label {label} of sample {sample}, but {model} has {classes} classes (0 to {}); the labels belong to another model, or start at 1",
        .classes.saturating_sub(1)
    )]
    Label {
        /// The data file.
        path: String,
        /// The label.
        label: i64,
        /// Its sample.
        sample: usize,
        /// The model's name.
        model: String,
        /// The model's class count.
        classes: usize,
    },
    /// Nothing to run on.
    #[error("{path}: no samples")]
    Empty {
        /// The data file.
        path: String,
    },
    /// The data set could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The cancel flag was set.
    #[error("cancelled")]
    Cancelled,
}

fn place(node: &Option<String>, operator: &Option<String>) -> String {
    match (node, operator) {
        (Some(node), Some(operator)) => format!("operator {operator} (node {node:?})"),
        (Some(node), None) => format!("node {node:?}"),
        _ => "the model".into(),
    }
}

/// `operator X (node "a"), Y (nodes "b", "c")`, at most a few of each.
fn list(nodes: &[Unsupported]) -> String {
    const SHOWN: usize = 3;
    let mut operators: Vec<&str> = Vec::new();
    for n in nodes {
        if !operators.contains(&n.operator.as_str()) {
            operators.push(&n.operator);
        }
    }
    let parts: Vec<String> = operators
        .iter()
        .map(|operator| {
            let of: Vec<&str> = nodes
                .iter()
                .filter(|n| n.operator == *operator)
                .map(|n| n.node.as_str())
                .collect();
            let shown: Vec<String> = of.iter().take(SHOWN).map(|n| format!("{n:?}")).collect();
            let more = match of.len().saturating_sub(SHOWN) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let plural = if of.len() > 1 { "nodes" } else { "node" };
            format!("{operator} ({plural} {}{more})", shown.join(", "))
        })
        .collect();
    let plural = if operators.len() > 1 {
        "operators"
    } else {
        "operator"
    };
    format!("{plural} {}", parts.join(", "))
}
