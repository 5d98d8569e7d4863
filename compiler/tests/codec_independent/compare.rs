//! Our messages against those of another decoder, field by field.
//!
//! Both sides are taken apart exhaustively, so a field that is added to either
//! does not compile until it is compared. The other schema is of IR version 10
//! and of proto3: absent and default are the same to it, and what is newer must
//! be among its unknown fields exactly when it is among our known ones.

use bytes::Bytes;
use compiler::onnx::schema::*;
use onnx_protobuf as other;
use protobuf::{Enum, EnumOrUnknown, MessageField, SpecialFields};

/// Where two models differ, one line a field.
pub fn differences(ours: &ModelProto, theirs: &other::ModelProto) -> Vec<String> {
    let mut found = Vec::new();
    ours.compare(theirs, "model", &mut found);
    found
}

/// A value of ours that can be compared with one of theirs.
trait Compare<Other: ?Sized> {
    fn compare(&self, theirs: &Other, path: &str, found: &mut Vec<String>);
}

fn same<T: PartialEq + std::fmt::Debug>(ours: T, theirs: T, path: &str, found: &mut Vec<String>) {
    if ours != theirs {
        let line = format!("{path}: {ours:?} and {theirs:?}");
        found.push(line.chars().take(300).collect());
    }
}

macro_rules! compare_plainly {
    ($($kind:ty as $bits:expr;)*) => {
        $(impl Compare<$kind> for $kind {
            fn compare(&self, theirs: &$kind, path: &str, found: &mut Vec<String>) {
                same($bits(*self), $bits(*theirs), path, found);
            }
        }
        impl Compare<$kind> for Option<$kind> {
            fn compare(&self, theirs: &$kind, path: &str, found: &mut Vec<String>) {
                self.unwrap_or_default().compare(theirs, path, found);
            }
        })*
    };
}

compare_plainly! {
    i32 as |v: i32| v;
    i64 as |v: i64| v;
    u64 as |v: u64| v;
    f32 as f32::to_bits;
    f64 as f64::to_bits;
}

impl Compare<String> for String {
    fn compare(&self, theirs: &String, path: &str, found: &mut Vec<String>) {
        same(self, theirs, path, found);
    }
}

impl Compare<String> for Option<String> {
    fn compare(&self, theirs: &String, path: &str, found: &mut Vec<String>) {
        same(self.as_deref().unwrap_or_default(), theirs, path, found);
    }
}

impl Compare<Vec<u8>> for Bytes {
    fn compare(&self, theirs: &Vec<u8>, path: &str, found: &mut Vec<String>) {
        same(&self[..], &theirs[..], path, found);
    }
}

impl Compare<Vec<u8>> for Option<Bytes> {
    fn compare(&self, theirs: &Vec<u8>, path: &str, found: &mut Vec<String>) {
        same(
            self.as_deref().unwrap_or_default(),
            &theirs[..],
            path,
            found,
        );
    }
}

impl<E: Enum> Compare<EnumOrUnknown<E>> for Option<i32> {
    fn compare(&self, theirs: &EnumOrUnknown<E>, path: &str, found: &mut Vec<String>) {
        same(self.unwrap_or_default(), theirs.value(), path, found);
    }
}

impl<T: Compare<U>, U> Compare<Vec<U>> for Vec<T> {
    fn compare(&self, theirs: &Vec<U>, path: &str, found: &mut Vec<String>) {
        same(self.len(), theirs.len(), &format!("{path}.len()"), found);
        for (index, (ours, theirs)) in self.iter().zip(theirs).enumerate() {
            ours.compare(theirs, &format!("{path}[{index}]"), found);
        }
    }
}

impl<T: Compare<U>, U> Compare<MessageField<U>> for Option<T> {
    fn compare(&self, theirs: &MessageField<U>, path: &str, found: &mut Vec<String>) {
        match (self, theirs.as_ref()) {
            (Some(ours), Some(theirs)) => ours.compare(theirs, path, found),
            (ours, theirs) => same(ours.is_some(), theirs.is_some(), path, found),
        }
    }
}

impl<T: Compare<U>, U> Compare<U> for Box<T> {
    fn compare(&self, theirs: &U, path: &str, found: &mut Vec<String>) {
        (**self).compare(theirs, path, found);
    }
}

/// What the other schema does not know must be exactly what is newer.
fn unknown(theirs: &SpecialFields, newer: &[(u32, bool)], path: &str, found: &mut Vec<String>) {
    let mut numbers: Vec<u32> = theirs
        .unknown_fields()
        .iter()
        .map(|(number, _)| number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let expected: Vec<u32> = newer
        .iter()
        .filter(|(_, is)| *is)
        .map(|(number, _)| *number)
        .collect();
    same(expected, numbers, &format!("{path}: unknown fields"), found);
}

/// `Ours = Theirs { our_field their_field … } newer { our_field number … }`
macro_rules! compare {
    ($($ours:ident = $theirs:path {
        $($mine:ident $other:ident),* $(,)?
    } newer { $($new:ident $number:literal),* })*) => {
        $(impl Compare<$theirs> for $ours {
            fn compare(&self, theirs: &$theirs, path: &str, found: &mut Vec<String>) {
                let $ours { $($mine,)* $($new,)* } = self;
                let newer = [$(($number, !$new.is_empty())),*];
                let $theirs { special_fields, $($other: _,)* } = theirs;
                unknown(special_fields, &newer, path, found);
                $($mine.compare(&theirs.$other, &format!("{path}.{}", stringify!($mine)), found);)*
            }
        })*
    };
}

compare! {
    ModelProto = other::ModelProto {
        ir_version ir_version, opset_import opset_import, producer_name producer_name,
        producer_version producer_version, domain domain, model_version model_version,
        doc_string doc_string, graph graph, metadata_props metadata_props,
        training_info training_info, functions functions,
    } newer { configuration 26 }
    GraphProto = other::GraphProto {
        node node, name name, initializer initializer, sparse_initializer sparse_initializer,
        doc_string doc_string, input input, output output, value_info value_info,
        quantization_annotation quantization_annotation, metadata_props metadata_props,
    } newer {}
    NodeProto = other::NodeProto {
        input input, output output, name name, op_type op_type, domain domain,
        overload overload, attribute attribute, doc_string doc_string,
        metadata_props metadata_props,
    } newer { device_configurations 10 }
    AttributeProto = other::AttributeProto {
        name name, ref_attr_name ref_attr_name, doc_string doc_string, kind type_, f f, i i, s s,
        t t, g g, sparse_tensor sparse_tensor, tp tp, floats floats, ints ints,
        strings strings, tensors tensors, graphs graphs, sparse_tensors sparse_tensors,
        type_protos type_protos,
    } newer {}
    TensorProto = other::TensorProto {
        dims dims, data_type data_type, segment segment, float_data float_data,
        int32_data int32_data, string_data string_data, int64_data int64_data, name name,
        doc_string doc_string, raw_data raw_data, external_data external_data,
        data_location data_location, double_data double_data, uint64_data uint64_data,
        metadata_props metadata_props,
    } newer {}
    Segment = other::tensor_proto::Segment { begin begin, end end } newer {}
    SparseTensorProto = other::SparseTensorProto {
        values values, indices indices, dims dims,
    } newer {}
    ValueInfoProto = other::ValueInfoProto {
        name name, kind type_, doc_string doc_string, metadata_props metadata_props,
    } newer {}
    TensorType = other::type_proto::Tensor { elem_type elem_type, shape shape } newer {}
    SparseTensorType = other::type_proto::SparseTensor {
        elem_type elem_type, shape shape,
    } newer {}
    SequenceType = other::type_proto::Sequence { elem_type elem_type } newer {}
    OptionalType = other::type_proto::Optional { elem_type elem_type } newer {}
    MapType = other::type_proto::Map { key_type key_type, value_type value_type } newer {}
    TensorShapeProto = other::TensorShapeProto { dim dim } newer {}
    OperatorSetIdProto = other::OperatorSetIdProto { domain domain, version version } newer {}
    StringStringEntryProto = other::StringStringEntryProto { key key, value value } newer {}
    TensorAnnotation = other::TensorAnnotation {
        tensor_name tensor_name,
        quant_parameter_tensor_names quant_parameter_tensor_names,
    } newer {}
    TrainingInfoProto = other::TrainingInfoProto {
        initialization initialization, algorithm algorithm,
        initialization_binding initialization_binding, update_binding update_binding,
    } newer {}
    FunctionProto = other::FunctionProto {
        name name, input input, output output, attribute attribute,
        attribute_proto attribute_proto, node node, doc_string doc_string,
        opset_import opset_import, domain domain, overload overload, value_info value_info,
        metadata_props metadata_props,
    } newer {}
}

impl Compare<other::tensor_shape_proto::Dimension> for Dimension {
    fn compare(
        &self,
        theirs: &other::tensor_shape_proto::Dimension,
        path: &str,
        found: &mut Vec<String>,
    ) {
        use other::tensor_shape_proto::dimension::Value;
        let other::tensor_shape_proto::Dimension {
            denotation,
            value,
            special_fields,
            ..
        } = theirs;
        unknown(special_fields, &[], path, found);
        self.denotation
            .compare(denotation, &format!("{path}.denotation"), found);
        match (&self.value, value) {
            (Some(DimensionValue::DimValue(ours)), Some(Value::DimValue(theirs))) => {
                ours.compare(theirs, path, found);
            }
            (Some(DimensionValue::DimParam(ours)), Some(Value::DimParam(theirs))) => {
                ours.compare(theirs, path, found);
            }
            (None, None) => {}
            (ours, theirs) => found.push(format!("{path}: {ours:?} and {theirs:?}")),
        }
    }
}

impl Compare<other::TypeProto> for TypeProto {
    fn compare(&self, theirs: &other::TypeProto, path: &str, found: &mut Vec<String>) {
        use other::type_proto::Value;
        let other::TypeProto {
            denotation,
            value,
            special_fields,
            ..
        } = theirs;
        let opaque = matches!(self.value, Some(TypeValue::OpaqueType(_)));
        unknown(special_fields, &[(7, opaque)], path, found);
        self.denotation
            .compare(denotation, &format!("{path}.denotation"), found);
        match (&self.value, value) {
            (Some(TypeValue::TensorType(a)), Some(Value::TensorType(b))) => {
                a.compare(b, path, found);
            }
            (Some(TypeValue::SequenceType(a)), Some(Value::SequenceType(b))) => {
                a.compare(b, path, found);
            }
            (Some(TypeValue::MapType(a)), Some(Value::MapType(b))) => a.compare(b, path, found),
            (Some(TypeValue::OptionalType(a)), Some(Value::OptionalType(b))) => {
                a.compare(b, path, found);
            }
            (Some(TypeValue::SparseTensorType(a)), Some(Value::SparseTensorType(b))) => {
                a.compare(b, path, found);
            }
            (Some(TypeValue::OpaqueType(_)) | None, None) => {}
            (ours, theirs) => found.push(format!("{path}: {ours:?} and {theirs:?}")),
        }
    }
}
