//! Any model at all, from a finite string of bytes that proptest can shrink.

use bytes::Bytes;
use compiler::onnx::schema::*;

/// Messages nest at most this deep below the model.
const DEPTH: usize = 24;

/// Where decisions come from. When it runs dry everything is empty.
pub struct Source<'a> {
    bytes: &'a [u8],
    depth: usize,
    /// Whether fields may be present and hold their default, which proto3
    /// cannot tell from absence.
    explicit_defaults: bool,
}

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8], explicit_defaults: bool) -> Self {
        Self {
            bytes,
            depth: 0,
            explicit_defaults,
        }
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        first
    }

    /// Small numbers, numbers of any size, and the ends of the range.
    fn number(&mut self) -> u64 {
        match self.byte() % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => i64::MAX as u64,
            3 => i64::MIN as u64,
            4 => u64::from_le_bytes([(); 8].map(|()| self.byte())),
            _ => u64::from(self.byte()),
        }
    }

    /// Whether something is there: rarer the deeper, never beyond the limit.
    fn has(&mut self) -> bool {
        self.depth < DEPTH && self.byte() % 4 == 1
    }
}

pub trait Random: Sized {
    fn random(source: &mut Source<'_>) -> Self;
}

macro_rules! numbers {
    ($($kind:ty: $from:expr, $is_default:expr;)*) => {
        $(impl Random for $kind {
            fn random(source: &mut Source<'_>) -> Self {
                $from(source.number())
            }
        }
        impl Random for Option<$kind> {
            fn random(source: &mut Source<'_>) -> Self {
                let any = source.explicit_defaults;
                let keep = |v: &$kind| any || !$is_default(*v);
                source.has().then(|| <$kind>::random(source)).filter(keep)
            }
        })*
    };
}

numbers! {
    i32: |n: u64| n as i32, |v: i32| v == 0;
    i64: |n: u64| n as i64, |v: i64| v == 0;
    u64: |n: u64| n, |v: u64| v == 0;
    f32: |n: u64| f32::from_bits(n as u32), |v: f32| v == 0.0;
    f64: f64::from_bits, |v: f64| v == 0.0;
}

impl Random for String {
    fn random(source: &mut Source<'_>) -> Self {
        let length = source.byte() % 4;
        (0..length).map(|_| char::from(source.byte())).collect()
    }
}

impl Random for Bytes {
    fn random(source: &mut Source<'_>) -> Self {
        let length = source.byte() % 12;
        (0..length)
            .map(|_| source.byte())
            .collect::<Vec<_>>()
            .into()
    }
}

macro_rules! options_of_bytes {
    ($($kind:ty)*) => {
        $(impl Random for Option<$kind> {
            fn random(source: &mut Source<'_>) -> Self {
                let any = source.explicit_defaults;
                let keep = |v: &$kind| any || !v.is_empty();
                source.has().then(|| <$kind>::random(source)).filter(keep)
            }
        })*
    };
}

options_of_bytes! { String Bytes }

impl<T: Random> Random for Vec<T> {
    fn random(source: &mut Source<'_>) -> Self {
        let count = if source.has() { source.byte() % 5 } else { 0 };
        (0..count).map(|_| T::random(source)).collect()
    }
}

macro_rules! messages {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Random for $name {
            fn random(source: &mut Source<'_>) -> Self {
                source.depth += 1;
                let message = $name { $($field: Random::random(source)),* };
                source.depth -= 1;
                message
            }
        }
        impl Random for Option<$name> {
            fn random(source: &mut Source<'_>) -> Self {
                source.has().then(|| Random::random(source))
            }
        }
        impl Random for Option<Box<$name>> {
            fn random(source: &mut Source<'_>) -> Self {
                Option::<$name>::random(source).map(Box::new)
            }
        })*
    };
}

// Struct literals name every field, so a new one does not compile unseen.
messages! {
    ModelProto {
        graph, ir_version, opset_import, producer_name, producer_version, domain, model_version,
        doc_string, metadata_props, training_info, functions, configuration
    }
    GraphProto {
        node, name, initializer, sparse_initializer, doc_string, input, output, value_info,
        quantization_annotation, metadata_props
    }
    NodeProto {
        input, output, name, op_type, domain, overload, attribute, doc_string, metadata_props,
        device_configurations
    }
    AttributeProto {
        name, ref_attr_name, doc_string, kind, f, i, s, t, g, sparse_tensor, tp, floats, ints,
        strings, tensors, graphs, sparse_tensors, type_protos
    }
    TensorProto {
        dims, data_type, segment, float_data, int32_data, string_data, int64_data, name,
        doc_string, raw_data, external_data, data_location, double_data, uint64_data,
        metadata_props
    }
    Segment { begin, end }
    SparseTensorProto { values, indices, dims }
    ValueInfoProto { name, kind, doc_string, metadata_props }
    TypeProto { value, denotation }
    TensorType { elem_type, shape }
    SparseTensorType { elem_type, shape }
    SequenceType { elem_type }
    OptionalType { elem_type }
    MapType { key_type, value_type }
    OpaqueType { domain, name }
    TensorShapeProto { dim }
    Dimension { value, denotation }
    OperatorSetIdProto { domain, version }
    StringStringEntryProto { key, value }
    TensorAnnotation { tensor_name, quant_parameter_tensor_names }
    TrainingInfoProto { initialization, algorithm, initialization_binding, update_binding }
    FunctionProto {
        name, input, output, attribute, attribute_proto, node, doc_string, opset_import, domain,
        overload, value_info, metadata_props
    }
    DeviceConfigurationProto { name, num_devices, device }
    NodeDeviceConfigurationProto { configuration_id, sharding_spec, pipeline_stage }
    ShardingSpecProto { tensor_name, device, index_to_device_group_map, sharded_dim }
    IntIntListEntryProto { key, value }
    ShardedDimProto { axis, simple_sharding }
    SimpleShardedDimProto { dim, num_shards }
}

impl Random for Option<DimensionValue> {
    fn random(source: &mut Source<'_>) -> Self {
        match source.byte() % 3 {
            0 => None,
            1 => Some(DimensionValue::DimValue(Random::random(source))),
            _ => Some(DimensionValue::DimParam(Random::random(source))),
        }
    }
}

impl Random for Option<SimpleShardedDimValue> {
    fn random(source: &mut Source<'_>) -> Self {
        match source.byte() % 3 {
            0 => None,
            1 => Some(SimpleShardedDimValue::DimValue(Random::random(source))),
            _ => Some(SimpleShardedDimValue::DimParam(Random::random(source))),
        }
    }
}

impl Random for Option<TypeValue> {
    fn random(source: &mut Source<'_>) -> Self {
        Some(match source.byte() % 7 {
            0 => return None,
            1 => TypeValue::TensorType(Random::random(source)),
            2 => TypeValue::SequenceType(Random::random(source)),
            3 => TypeValue::MapType(Random::random(source)),
            4 => TypeValue::OptionalType(Random::random(source)),
            5 => TypeValue::SparseTensorType(Random::random(source)),
            _ => TypeValue::OpaqueType(Random::random(source)),
        })
    }
}
