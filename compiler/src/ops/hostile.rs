//! No operator panics, whatever the file says: random attributes, ranks, sizes
//! and constants for every operator of the registry.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Cx, OPS};
use crate::facts::{Fact, refine};
use crate::ir::{Attr, Attrs, DataType, Expr, Node, Tensor, TensorData};

/// The attributes that operators read, by kind.
const INT: &[&str] = &[
    "across_channels",
    "allowzero",
    "antialias",
    "axis",
    "batch_axis",
    "batch_dims",
    "block_size",
    "blocksize",
    "broadcast",
    "ceil_mode",
    "channels_last",
    "count_include_pad",
    "dtype",
    "exclusive",
    "group",
    "hidden_size",
    "is_test",
    "k",
    "keepdims",
    "kv_num_heads",
    "layout",
    "noop_with_empty_axes",
    "num_groups",
    "num_outputs",
    "output_dtype",
    "output_height",
    "output_width",
    "p",
    "q_num_heads",
    "sampling_ratio",
    "select_last_index",
    "size",
    "spatial",
    "stash_type",
    "time_axis",
    "to",
    "training_mode",
    "transA",
    "transB",
    "value_int",
];
const INTS: &[&str] = &[
    "axes",
    "border",
    "dilations",
    "ends",
    "kernel_shape",
    "output_padding",
    "output_shape",
    "paddings",
    "pads",
    "perm",
    "pooled_shape",
    "shape",
    "split",
    "starts",
    "steps",
    "strides",
    "value_ints",
];
const REAL: &[&str] = &[
    "height_scale",
    "scale",
    "scales",
    "value",
    "value_float",
    "value_floats",
    "width_scale",
];
const WORD: &[(&str, &[&str])] = &[
    ("auto_pad", &["NOTSET", "SAME_LOWER", "SAME_UPPER", "VALID"]),
    (
        "coordinate_transformation_mode",
        &[
            "align_corners",
            "asymmetric",
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "tf_crop_and_resize",
        ],
    ),
    ("direction", &["bidirectional", "forward"]),
    (
        "equation",
        &[
            "...ij,...jk->...ik",
            "a,b,->ab...",
            "i...,...i->",
            "ij,jk",
            "ij->ji",
        ],
    ),
    (
        "keep_aspect_ratio_policy",
        &["not_larger", "not_smaller", "stretch"],
    ),
    (
        "mode",
        &["DCR", "constant", "cubic", "linear", "nearest", "reflect"],
    ),
    ("nearest_mode", &["ceil", "floor", "round_prefer_ceil"]),
];

const TYPES: &[DataType] = &[
    DataType::Float,
    DataType::Int64,
    DataType::Int8,
    DataType::Bool,
    DataType::Int4,
    DataType::String,
];

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        30 => 1i64..4,
        10 => -4i64..8,
        1 => select(vec![i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 31, 1 << 62]),
        1 => any::<i64>(),
    ]
}

fn numbers() -> impl Strategy<Value = Vec<i64>> {
    let of = |length: std::ops::Range<usize>| prop::collection::vec(number(), length);
    prop_oneof![3 => of(2..3), 2 => of(4..5), 1 => of(0..7)]
}

fn real() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (-2i8..5).prop_map(f32::from),
        1 => any::<f32>(),
        1 => select(vec![0.0, 0.6, 1.5, 1e-30, 1e30, f32::NAN, f32::INFINITY]),
    ]
}

fn any_attr() -> impl Strategy<Value = Attr> {
    prop_oneof![
        number().prop_map(Attr::Int),
        numbers().prop_map(Attr::Ints),
        real().prop_map(Attr::Float),
        prop::collection::vec(real(), 0..5).prop_map(Attr::Floats),
        numbers().prop_map(|v| Attr::Tensor(Box::new(Tensor::from_i64(vec![v.len()], &v)))),
        Just(Attr::String("...".into())),
    ]
}

/// About half of all attributes, most of the kind that they should be.
fn attrs() -> impl Strategy<Value = Attrs> {
    let mut all: Vec<BoxedStrategy<Option<(&str, Attr)>>> = Vec::new();
    let mut push = |name: &'static str, attr: BoxedStrategy<Attr>| {
        let named = move |attr| Some((name, attr));
        all.push(
            prop_oneof![
                15 => Just(None),
                15 => attr.prop_map(named),
                1 => any_attr().prop_map(named),
            ]
            .boxed(),
        );
    };
    for name in INT {
        push(name, number().prop_map(Attr::Int).boxed());
    }
    for name in INTS {
        push(name, numbers().prop_map(Attr::Ints).boxed());
    }
    for name in REAL {
        push(name, any_attr().boxed());
    }
    for (name, words) in WORD {
        push(
            name,
            select(*words).prop_map(|w| Attr::String(w.into())).boxed(),
        );
    }
    all.prop_map(|attrs| {
        let given = attrs.into_iter().flatten();
        Attrs(given.map(|(name, attr)| (name.to_owned(), attr)).collect())
    })
}

fn size() -> impl Strategy<Value = Expr> {
    prop_oneof![
        20 => select(vec![4i64, 4, 4, 8, 2, 1]).prop_map(Expr::from),
        4 => (0i64..7).prop_map(Expr::from),
        1 => select(vec!["N", "H", "W"]).prop_map(Expr::symbol),
        1 => select(vec![i64::MAX, 1 << 40, -1]).prop_map(Expr::from),
    ]
}

fn constant() -> impl Strategy<Value = Fact> {
    let data = prop_oneof![
        Just(TensorData::Absent),
        real().prop_map(|v| TensorData::Fill(v.into())),
    ];
    let sizes = prop_oneof![4 => 0usize..4, 1 => select(vec![1 << 20, 1 << 40, usize::MAX])];
    let dims = prop::collection::vec(sizes, 0..5);
    let ints = numbers;
    let reals = prop::collection::vec(real(), 0..7);
    prop_oneof![
        3 => ints().prop_map(|v| Fact::of(Tensor::from_i64(vec![v.len()], &v))),
        1 => number().prop_map(|v| Fact::of(Tensor::from_i64(vec![], &[v]))),
        1 => (ints(), size()).prop_map(|(v, symbol)| {
            let mut ints: Vec<Expr> = v.into_iter().map(Expr::from).collect();
            ints.push(symbol);
            Fact::new(Some(DataType::Int64), vec![ints.len().into()]).with_ints(ints)
        }),
        2 => reals.prop_map(|v| {
            let values: Vec<f64> = v.into_iter().map(f64::from).collect();
            Fact::of(Tensor::from_f64(DataType::Float, vec![values.len()], &values).unwrap())
        }),
        2 => (select(TYPES), dims, data)
            .prop_map(|(dtype, shape, data)| Fact::of(Tensor { dtype, shape, data })),
    ]
}

fn input() -> impl Strategy<Value = Option<Fact>> {
    let ranked = |rank: std::ops::Range<usize>| {
        let dims = prop::collection::vec(size(), rank);
        (select(TYPES), dims).prop_map(|(t, s)| Some(Fact::new(Some(t), s)))
    };
    prop_oneof![
        6 => ranked(4..5),
        3 => ranked(1..4),
        2 => ranked(0..7),
        4 => constant().prop_map(Some),
        1 => Just(Some(Fact::default())),
        1 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_operator_panics(
        index in 0..OPS.len(),
        opset in 1i64..29,
        attrs in attrs(),
        inputs in prop::collection::vec(input(), 0..9),
        outputs in 0usize..5,
        claims in prop::collection::vec(input(), 5),
    ) {
        let op = &OPS[index];
        let node = Node {
            name: String::new(),
            domain: op.domain.into(),
            op: op.name.into(),
            opset,
            attrs,
            inputs: Vec::new(),
            outputs: vec![None; outputs],
            captures: Vec::new(),
            origin: None,
        };
        let Ok(operator) = (op.parse)(&node, opset) else { return Ok(()) };
        let cx = Cx {
            inputs: inputs.iter().map(Option::as_ref).collect(),
            outputs,
            name: "node",
            nested: Vec::new(),
        };
        let _ = (operator.window(&cx), operator.emit(), operator.role(0));
        let Ok(inferred) = operator.infer(&cx) else { return Ok(()) };
        // What the model declares of outputs stands where nothing is inferred.
        let claims = claims.into_iter().map(Option::unwrap_or_default);
        let refined = inferred.iter().cloned().zip(claims);
        let refined: Vec<Fact> = refined.map(|(fact, claim)| refine(fact, &claim)).collect();
        for out in [&inferred, &refined] {
            let _ = operator.cost(&cx, out);
            for output in 0..outputs {
                let _ = operator.reach(&cx, out, output);
            }
        }
        let _ = operator.fold(&cx, &inferred);
    }
}
