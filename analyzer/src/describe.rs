//! Names and shapes as the report writes them.

use std::collections::BTreeMap;

use compiler::facts::{Fact, Facts};
use compiler::ir::{DataType, Expr, Graph, ValueId};
use compiler::model::Model;

use crate::number::Count;
use crate::report::{ModelInfo, ValueInfo};

pub(crate) fn info(model: &Model, facts: &Facts) -> ModelInfo {
    let proto = &model.proto;
    let graph = model.expanded();
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    let producer = [text(&proto.producer_name), text(&proto.producer_version)];
    let opset: BTreeMap<String, i64> = proto
        .opset_import
        .iter()
        .map(|o| {
            let domain = text(&o.domain);
            let domain = if domain == "ai.onnx" {
                String::new()
            } else {
                domain
            };
            (domain, o.version.unwrap_or(1))
        })
        .collect();
    let values = |ids: &[ValueId]| -> Vec<ValueInfo> {
        ids.iter()
            .map(|&v| value_info(&graph.value(v).name, facts.value(v)))
            .collect()
    };
    ModelInfo {
        path: model.path.display().to_string(),
        ir_version: proto.ir_version.unwrap_or(0),
        producer: producer.join(" ").trim().to_owned(),
        opset,
        inputs: values(&graph.inputs),
        outputs: values(&graph.outputs),
    }
}

fn value_info(name: &str, fact: &Fact) -> ValueInfo {
    ValueInfo {
        name: name.to_owned(),
        dtype: fact.dtype.map(dtype_name),
        shape: fact.shape.as_deref().map(counts),
    }
}

pub(crate) fn counts(shape: &[Expr]) -> Vec<Count> {
    shape.iter().cloned().map(Count).collect()
}

pub(crate) fn names(graph: &Graph, values: &[Option<ValueId>]) -> Vec<String> {
    let name = |v: &Option<ValueId>| v.map(|v| graph.value(v).name.clone()).unwrap_or_default();
    values.iter().map(name).collect()
}

pub(crate) fn joined(path: &[String], name: &str) -> String {
    let mut all = path.to_vec();
    all.push(name.to_owned());
    all.join("/")
}

pub(crate) fn operator_name(domain: &str, op: &str) -> String {
    if domain.is_empty() {
        op.to_owned()
    } else {
        format!("{domain}::{op}")
    }
}

/// The name of an element type, as numpy and ml_dtypes call it.
pub(crate) fn dtype_name(dtype: DataType) -> &'static str {
    use DataType as T;
    match dtype {
        T::Undefined => "undefined",
        T::Float => "float32",
        T::Uint8 => "uint8",
        T::Int8 => "int8",
        T::Uint16 => "uint16",
        T::Int16 => "int16",
        T::Int32 => "int32",
        T::Int64 => "int64",
        T::String => "string",
        T::Bool => "bool",
        T::Float16 => "float16",
        T::Double => "float64",
        T::Uint32 => "uint32",
        T::Uint64 => "uint64",
        T::Complex64 => "complex64",
        T::Complex128 => "complex128",
        T::Bfloat16 => "bfloat16",
        T::Float8e4m3fn => "float8_e4m3fn",
        T::Float8e4m3fnuz => "float8_e4m3fnuz",
        T::Float8e5m2 => "float8_e5m2",
        T::Float8e5m2fnuz => "float8_e5m2fnuz",
        T::Uint4 => "uint4",
        T::Int4 => "int4",
        T::Float4e2m1 => "float4_e2m1fn",
        T::Float8e8m0 => "float8_e8m0fnu",
        T::Uint2 => "uint2",
        T::Int2 => "int2",
        T::Float6e2m3 => "float6_e2m3fn",
        T::Float6e3m2 => "float6_e3m2fn",
    }
}
