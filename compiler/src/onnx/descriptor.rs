//! What [`schema`](super::schema) says, as data: which fields a message has
//! and how large it is in memory. The derived code can decode, but it cannot
//! tell what it skipped, nor how much memory it is about to take.

use super::schema;

/// One kind of message.
pub(super) struct Descriptor {
    #[cfg(test)]
    name: &'static str,
    /// Bytes of the decoded structure itself.
    pub(super) size: usize,
    pub(super) fields: &'static [Field],
}

/// One field of a message.
pub(super) struct Field {
    pub(super) number: u32,
    /// The standard's name.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Varint,
    Fixed32,
    Text,
    Blob,
    /// A message inside the message.
    Message(&'static Descriptor),
    /// A message of its own on the heap.
    Boxed(&'static Descriptor),
    Texts,
    Blobs,
    Messages(&'static Descriptor),
    /// Repeated 32-bit integers, packed or not.
    Varints32,
    /// Repeated 64-bit integers, packed or not.
    Varints64,
    Floats,
    Doubles,
}

impl Descriptor {
    /// The field of that number, and its place among the fields.
    pub(super) fn field(&self, number: u32) -> Option<(usize, &'static Field)> {
        self.fields
            .iter()
            .enumerate()
            .find(|(_, field)| field.number == number)
    }
}

/// At most this many fields a message; the scanner counts elements in an array.
pub(super) const MAX_FIELDS: usize = 20;

macro_rules! messages {
    ($($id:ident = $name:ident { $($number:literal $field:literal $kind:expr;)* })*) => {
        $(pub(super) static $id: Descriptor = Descriptor {
            #[cfg(test)]
            name: stringify!($name),
            size: size_of::<schema::$name>(),
            fields: &[$(Field { number: $number, name: $field, kind: $kind }),*],
        };)*

        const _: () = { $(assert!($id.fields.len() <= MAX_FIELDS);)* };

        /// Every message of the schema.
        #[cfg(test)]
        static ALL: &[&Descriptor] = &[$(&$id),*];
    };
}

use Kind::*;

messages! {
    MODEL = ModelProto {
        1 "ir_version" Varint;
        2 "producer_name" Text;
        3 "producer_version" Text;
        4 "domain" Text;
        5 "model_version" Varint;
        6 "doc_string" Text;
        7 "graph" Message(&GRAPH);
        8 "opset_import" Messages(&OPSET);
        14 "metadata_props" Messages(&ENTRY);
        20 "training_info" Messages(&TRAINING);
        25 "functions" Messages(&FUNCTION);
        26 "configuration" Messages(&DEVICE);
    }
    GRAPH = GraphProto {
        1 "node" Messages(&NODE);
        2 "name" Text;
        5 "initializer" Messages(&TENSOR);
        10 "doc_string" Text;
        11 "input" Messages(&VALUE);
        12 "output" Messages(&VALUE);
        13 "value_info" Messages(&VALUE);
        14 "quantization_annotation" Messages(&ANNOTATION);
        15 "sparse_initializer" Messages(&SPARSE);
        16 "metadata_props" Messages(&ENTRY);
    }
    NODE = NodeProto {
        1 "input" Texts;
        2 "output" Texts;
        3 "name" Text;
        4 "op_type" Text;
        5 "attribute" Messages(&ATTRIBUTE);
        6 "doc_string" Text;
        7 "domain" Text;
        8 "overload" Text;
        9 "metadata_props" Messages(&ENTRY);
        10 "device_configurations" Messages(&NODE_DEVICE);
    }
    ATTRIBUTE = AttributeProto {
        1 "name" Text;
        2 "f" Fixed32;
        3 "i" Varint;
        4 "s" Blob;
        5 "t" Boxed(&TENSOR);
        6 "g" Boxed(&GRAPH);
        7 "floats" Floats;
        8 "ints" Varints64;
        9 "strings" Blobs;
        10 "tensors" Messages(&TENSOR);
        11 "graphs" Messages(&GRAPH);
        13 "doc_string" Text;
        14 "tp" Boxed(&TYPE);
        15 "type_protos" Messages(&TYPE);
        20 "type" Varint;
        21 "ref_attr_name" Text;
        22 "sparse_tensor" Boxed(&SPARSE);
        23 "sparse_tensors" Messages(&SPARSE);
    }
    TENSOR = TensorProto {
        1 "dims" Varints64;
        2 "data_type" Varint;
        3 "segment" Message(&SEGMENT);
        4 "float_data" Floats;
        5 "int32_data" Varints32;
        6 "string_data" Blobs;
        7 "int64_data" Varints64;
        8 "name" Text;
        9 "raw_data" Blob;
        10 "double_data" Doubles;
        11 "uint64_data" Varints64;
        12 "doc_string" Text;
        13 "external_data" Messages(&ENTRY);
        14 "data_location" Varint;
        16 "metadata_props" Messages(&ENTRY);
    }
    SEGMENT = Segment {
        1 "begin" Varint;
        2 "end" Varint;
    }
    SPARSE = SparseTensorProto {
        1 "values" Message(&TENSOR);
        2 "indices" Message(&TENSOR);
        3 "dims" Varints64;
    }
    VALUE = ValueInfoProto {
        1 "name" Text;
        2 "type" Message(&TYPE);
        3 "doc_string" Text;
        4 "metadata_props" Messages(&ENTRY);
    }
    TYPE = TypeProto {
        1 "tensor_type" Message(&TENSOR_TYPE);
        4 "sequence_type" Message(&SEQUENCE_TYPE);
        5 "map_type" Message(&MAP_TYPE);
        6 "denotation" Text;
        7 "opaque_type" Message(&OPAQUE_TYPE);
        8 "sparse_tensor_type" Message(&SPARSE_TYPE);
        9 "optional_type" Message(&OPTIONAL_TYPE);
    }
    TENSOR_TYPE = TensorType {
        1 "elem_type" Varint;
        2 "shape" Message(&SHAPE);
    }
    SPARSE_TYPE = SparseTensorType {
        1 "elem_type" Varint;
        2 "shape" Message(&SHAPE);
    }
    SEQUENCE_TYPE = SequenceType {
        1 "elem_type" Boxed(&TYPE);
    }
    OPTIONAL_TYPE = OptionalType {
        1 "elem_type" Boxed(&TYPE);
    }
    MAP_TYPE = MapType {
        1 "key_type" Varint;
        2 "value_type" Boxed(&TYPE);
    }
    OPAQUE_TYPE = OpaqueType {
        1 "domain" Text;
        2 "name" Text;
    }
    SHAPE = TensorShapeProto {
        1 "dim" Messages(&DIMENSION);
    }
    DIMENSION = Dimension {
        1 "dim_value" Varint;
        2 "dim_param" Text;
        3 "denotation" Text;
    }
    OPSET = OperatorSetIdProto {
        1 "domain" Text;
        2 "version" Varint;
    }
    ENTRY = StringStringEntryProto {
        1 "key" Text;
        2 "value" Text;
    }
    ANNOTATION = TensorAnnotation {
        1 "tensor_name" Text;
        2 "quant_parameter_tensor_names" Messages(&ENTRY);
    }
    TRAINING = TrainingInfoProto {
        1 "initialization" Message(&GRAPH);
        2 "algorithm" Message(&GRAPH);
        3 "initialization_binding" Messages(&ENTRY);
        4 "update_binding" Messages(&ENTRY);
    }
    FUNCTION = FunctionProto {
        1 "name" Text;
        4 "input" Texts;
        5 "output" Texts;
        6 "attribute" Texts;
        7 "node" Messages(&NODE);
        8 "doc_string" Text;
        9 "opset_import" Messages(&OPSET);
        10 "domain" Text;
        11 "attribute_proto" Messages(&ATTRIBUTE);
        12 "value_info" Messages(&VALUE);
        13 "overload" Text;
        14 "metadata_props" Messages(&ENTRY);
    }
    DEVICE = DeviceConfigurationProto {
        1 "name" Text;
        2 "num_devices" Varint;
        3 "device" Texts;
    }
    NODE_DEVICE = NodeDeviceConfigurationProto {
        1 "configuration_id" Text;
        2 "sharding_spec" Messages(&SHARDING);
        3 "pipeline_stage" Varint;
    }
    SHARDING = ShardingSpecProto {
        1 "tensor_name" Text;
        2 "device" Varints64;
        3 "index_to_device_group_map" Messages(&INT_LIST);
        4 "sharded_dim" Messages(&SHARDED_DIM);
    }
    INT_LIST = IntIntListEntryProto {
        1 "key" Varint;
        2 "value" Varints64;
    }
    SHARDED_DIM = ShardedDimProto {
        1 "axis" Varint;
        2 "simple_sharding" Messages(&SIMPLE_SHARDED_DIM);
    }
    SIMPLE_SHARDED_DIM = SimpleShardedDimProto {
        1 "dim_value" Varint;
        2 "dim_param" Text;
        3 "num_shards" Varint;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The table of one message, written as the schema writes it.
    fn written(descriptor: &Descriptor) -> BTreeMap<u32, (String, String)> {
        let fields = descriptor.fields.iter().map(|field| {
            let kind = match field.kind {
                Varint => "int",
                Fixed32 => "float",
                Text => "string",
                Blob => "bytes",
                Message(_) => "message",
                Boxed(_) => "message boxed",
                Texts => "string repeated",
                Blobs => "bytes repeated",
                Messages(_) => "message repeated",
                Varints32 => "int32 repeated",
                Varints64 => "int64 repeated",
                Floats => "float repeated",
                Doubles => "double repeated",
            };
            (
                field.number,
                (field.name.replace("type", "kind"), kind.to_owned()),
            )
        });
        fields.collect()
    }

    /// Reads the schema's source: an attribute line, then the field or variant.
    fn declared() -> BTreeMap<String, BTreeMap<u32, (String, String)>> {
        let source = include_str!("schema.rs");
        let mut found: BTreeMap<String, BTreeMap<u32, (String, String)>> = BTreeMap::new();
        let mut oneofs = BTreeMap::new();
        let (mut owner, mut attribute) = (String::new(), None);
        for line in source.lines().map(str::trim) {
            if let Some(rest) = line
                .strip_prefix("pub struct ")
                .or_else(|| line.strip_prefix("pub enum "))
            {
                owner = rest.trim_end_matches(" {").to_owned();
            } else if let Some(rest) = line.strip_prefix("#[prost(") {
                attribute = Some(rest.trim_end_matches(")]").to_owned());
            } else if let Some(attribute) = attribute.take() {
                let name = line
                    .trim_start_matches("pub ")
                    .split([':', '('])
                    .next()
                    .unwrap();
                if attribute.starts_with("oneof") {
                    oneofs.insert(
                        attribute.split('"').nth(1).unwrap().to_owned(),
                        owner.clone(),
                    );
                    continue;
                }
                let words: Vec<_> = attribute.split(", ").collect();
                let kind = words[0].split(' ').next().unwrap();
                let repeated = words.contains(&"repeated");
                let kind = match kind {
                    "int32" | "int64" if !repeated => "int",
                    "uint64" => "int64",
                    other => other,
                };
                let number = words.iter().find_map(|w| w.strip_prefix("tag = ")).unwrap();
                let number = number.trim_matches('"').parse().unwrap();
                let boxed = if words.contains(&"boxed") {
                    " boxed"
                } else {
                    ""
                };
                let kind = format!("{kind}{}{boxed}", if repeated { " repeated" } else { "" });
                let name = snake(name).replace("type", "kind");
                found
                    .entry(owner.clone())
                    .or_default()
                    .insert(number, (name, kind));
            }
        }
        for (oneof, owner) in oneofs {
            let variants = found.remove(&oneof).unwrap();
            found.entry(owner).or_default().extend(variants);
        }
        found
    }

    fn snake(name: &str) -> String {
        let mut out = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.extend(letter.to_lowercase());
        }
        out
    }

    #[test]
    fn tables_say_what_the_schema_says() {
        let tables: BTreeMap<_, _> = ALL
            .iter()
            .map(|d| (d.name.to_owned(), written(d)))
            .collect();
        assert_eq!(tables, declared());
    }
}
