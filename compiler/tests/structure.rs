//! Passes that change what a network computes, and want it trained again.

mod small;

use compiler::facts::Scope;
use compiler::onnx::schema::NodeProto;
use compiler::plan::{StridePlace, Width};
use small::{Layer, followed_by, ints, model, relative, rewrite, run};

#[test]
fn a_stem_of_seven_becomes_three_threes_with_the_stride_first() {
    let layer = Layer {
        weights: [4, 3, 7, 7],
        stride: 2,
        pads: [3, 3, 3, 3],
        bias: true,
    };
    let before = model(&layer);
    let (after, report) = rewrite(before.clone(), "stem-c", Width::Auto, StridePlace::Last);
    let site = &report.sites[0];
    assert_eq!(site.to, ["3x3", "3x3", "3x3"]);
    assert_eq!(site.widths, [2, 2]);
    assert!(!site.exact && site.why.contains("train"), "{}", site.why);
    // 3 to 2, 2 to 2 and 2 to 4 channels.
    let size = "162 weights for the 588 of one 7x7";
    assert!(site.why.contains(size), "{}", site.why);
    // The three see 11x11, with the 7x7 in the middle: what the fit says of the
    // weights is what comes out, borders included, up to the input's spectrum.
    let lost = relative(&run(&before), &run(&after.to_proto()));
    let told = site.weight_error.unwrap();
    assert!(lost < 1.3 * told && told < 1.0, "{lost} {told}");
}

#[test]
fn a_max_pool_with_a_stride_becomes_a_dense_one_and_a_blur() {
    let layer = Layer {
        weights: [4, 3, 3, 3],
        stride: 1,
        pads: [1, 1, 1, 1],
        bias: false,
    };
    for (kernel, stride, pads) in [(2, 2, 0), (3, 2, 1), (3, 3, 0)] {
        let pool = NodeProto {
            name: Some("pool".into()),
            input: vec!["y".into()],
            output: vec!["z".into()],
            op_type: Some("MaxPool".into()),
            attribute: vec![
                ints("kernel_shape", &[kernel; 2]),
                ints("strides", &[stride; 2]),
                ints("pads", &[pads; 4]),
            ],
            ..NodeProto::default()
        };
        let before = followed_by(&layer, pool, Vec::new());
        let (after, report) = rewrite(before.clone(), "blur-pool", Width::Auto, StridePlace::Last);
        assert_eq!(report.sites[0].node, "pool");
        assert_eq!(report.sites[0].to, ["MaxPool", "AveragePool"]);
        assert!(!report.sites[0].exact);
        let nodes = after.to_proto().graph.unwrap().node;
        let ops: Vec<&str> = nodes.iter().filter_map(|n| n.op_type.as_deref()).collect();
        assert_eq!(ops, ["Conv", "MaxPool", "AveragePool"]);
        let strides = |n: &NodeProto| {
            let strides = n
                .attribute
                .iter()
                .find(|a| a.name.as_deref() == Some("strides"));
            strides.map(|a| a.ints.clone())
        };
        assert_eq!(strides(&nodes[1]), Some(vec![1, 1]));
        assert_eq!(strides(&nodes[2]), Some(vec![stride; 2]));
        let shape = |model: &compiler::model::Model| {
            let facts = model.facts(&Scope::default()).unwrap();
            facts.value(model.graph.outputs[0]).shape.clone()
        };
        let original = compiler::model::Model::from_proto(before, "x".as_ref()).unwrap();
        assert!(shape(&after).is_some());
        assert_eq!(shape(&after), shape(&original));
    }
}

/// A dense pool does not alias: there is nothing to do.
#[test]
fn a_dense_pool_stays() {
    let layer = Layer {
        weights: [2, 1, 3, 3],
        stride: 1,
        pads: [0; 4],
        bias: false,
    };
    let pool = NodeProto {
        op_type: Some("MaxPool".into()),
        input: vec!["y".into()],
        output: vec!["z".into()],
        attribute: vec![ints("kernel_shape", &[2, 2]), ints("strides", &[1, 1])],
        ..NodeProto::default()
    };
    let before = followed_by(&layer, pool, Vec::new());
    let (_, report) = rewrite(before, "blur-pool", Width::Auto, StridePlace::Last);
    assert!(report.sites.is_empty());
}
