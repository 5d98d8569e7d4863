//! Passes on small models, held against a naive convolution.

mod small;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::schema::{DataType, ModelProto, NodeProto, TensorProto};
use compiler::plan::{self, Compilation, Options, StridePlace, Width};
use small::{Layer, followed_by, int, ints, model, noise, relative, rewrite, run, tensor};

#[test]
fn exact_widths_keep_outputs_borders_included() {
    for (pass, k, stride, place) in [
        ("5x5-to-3x3", 5, 1, StridePlace::Last),
        ("5x5-to-3x3", 5, 2, StridePlace::Last),
        ("3x3-to-2x2", 3, 1, StridePlace::Last),
        ("3x3-to-2x2", 3, 2, StridePlace::Last),
        ("large-to-3x3", 5, 3, StridePlace::Last),
    ] {
        for pads in [[0, 0, 0, 0], [2, 2, 2, 2], [0, 1, 2, 0]] {
            let before = model(&Layer {
                weights: [4, 3, k, k],
                stride,
                pads,
                bias: true,
            });
            let (after, report) = rewrite(before.clone(), pass, Width::Exact, place);
            let context = format!("{pass} stride {stride} pads {pads:?}");
            assert_eq!(report.sites.len(), 1, "{context}: {:?}", report.skipped);
            assert!(report.sites[0].exact, "{context}: {:?}", report.sites);
            let error = relative(&run(&before), &run(&after.to_proto()));
            assert!(error < 1e-5, "{context}: {error}");
        }
    }
}

/// The width is the smallest that loses nothing: below what is lossless by
/// construction for any kernel (12 here), and half for twin filters.
#[test]
fn exact_widths_are_searched() {
    let layer = Layer {
        weights: [4, 3, 5, 5],
        stride: 1,
        pads: [2; 4],
        bias: true,
    };
    let width = |proto: ModelProto| {
        let (after, report) = rewrite(proto.clone(), "5x5-to-3x3", Width::Exact, StridePlace::Last);
        let site = &report.sites[0];
        assert!(site.exact, "{site:?}");
        let error = relative(&run(&proto), &run(&after.to_proto()));
        assert!(error < 1e-5, "{error}");
        site.widths[0]
    };
    let generic = width(model(&layer));
    assert!((6..12).contains(&generic), "{generic}");
    let mut twins = model(&layer);
    let weights = &mut twins.graph.as_mut().unwrap().initializer[0];
    let half = noise(2 * 3 * 25, 3);
    let doubled: Vec<f32> = half.iter().map(|w| 2.0 * w).collect();
    *weights = tensor("w", &layer.weights, &[half, doubled].concat());
    let found = width(twins);
    assert!(found < generic, "{found} {generic}");
}

/// `model` with one more node reading `y` and these initializers.
fn batchnorm(channels: usize) -> (NodeProto, Vec<TensorProto>) {
    let names = ["scale", "shift", "mean", "var"];
    let constants = names.iter().enumerate().map(|(i, name)| {
        let data: Vec<f32> = noise(channels, 40 + i as u64)
            .iter()
            .map(|v| if i == 3 { v.abs() + 0.1 } else { *v })
            .collect();
        tensor(name, &[channels], &data)
    });
    let node = NodeProto {
        op_type: Some("BatchNormalization".into()),
        input: ["y", "scale", "shift", "mean", "var"]
            .map(String::from)
            .to_vec(),
        output: vec!["z".into()],
        ..NodeProto::default()
    };
    (node, constants.collect())
}

/// Neither of two nodes is touched by a fold of both where one is to be left.
#[test]
fn what_is_skipped_takes_nothing_in() {
    let layer = Layer {
        weights: [4, 3, 3, 3],
        stride: 1,
        pads: [1; 4],
        bias: false,
    };
    let (node, constants) = batchnorm(4);
    let before = followed_by(&layer, node, constants);
    for (skip, reason) in [("conv", "conv before it is left out"), ("z", "left out by")] {
        let (never, skip) = (AtomicBool::new(false), [skip.to_owned()]);
        let options = Options {
            skip: &skip,
            ..Options::new(&never)
        };
        let model = Model::from_proto(before.clone(), Path::new("test.onnx")).unwrap();
        let mut compilation = Compilation::new(model, options, Scope::default());
        let pass = plan::find("fold-batchnorm").unwrap();
        let report = compilation.run(pass).unwrap();
        assert!(report.sites.is_empty(), "{skip:?}");
        let told = report.skipped.iter().find(|s| s.node == "z").unwrap();
        assert!(told.reason.contains(reason), "{skip:?}: {}", told.reason);
        assert!(compilation.model().to_proto().graph == before.graph);
    }
}

#[test]
fn batchnorm_folds_and_combines_with_a_factorization() {
    for bias in [false, true] {
        let layer = Layer {
            weights: [4, 3, 5, 5],
            stride: 1,
            pads: [2; 4],
            bias,
        };
        let (node, constants) = batchnorm(4);
        let before = followed_by(&layer, node, constants);
        let (after, report) = rewrite(
            before.clone(),
            "fold-batchnorm",
            Width::Auto,
            StridePlace::Last,
        );
        let proto = after.to_proto();
        assert_eq!(proto.graph.as_ref().unwrap().node.len(), 1, "{report:?}");
        assert!(report.sites[0].exact);
        let error = relative(&run(&before), &run(&proto));
        assert!(error < 1e-6, "{error}");

        // The order in which passes are named does not matter.
        let orders = [
            ["fold-batchnorm", "5x5-to-3x3"],
            ["5x5-to-3x3", "fold-batchnorm"],
        ];
        let results = orders.map(|passes| {
            let never = AtomicBool::new(false);
            let options = Options {
                width: Width::Exact,
                ..Options::new(&never)
            };
            let model = Model::from_proto(before.clone(), Path::new("test.onnx")).unwrap();
            let mut compilation = Compilation::new(model, options, Scope::default());
            for pass in passes {
                compilation.run(plan::find(pass).unwrap()).unwrap();
            }
            compilation.model().to_proto()
        });
        assert_eq!(results[0].graph.as_ref().unwrap().node.len(), 2);
        assert!(results[0].graph == results[1].graph);
        let error = relative(&run(&before), &run(&results[0]));
        assert!(error < 1e-5, "{error}");
    }
}

#[test]
fn serial_linear_convolutions_fold_where_that_is_exact_and_saves() {
    let second = |pads: [i64; 4]| NodeProto {
        op_type: Some("Conv".into()),
        input: ["y", "w2"].map(String::from).to_vec(),
        output: vec!["z".into()],
        attribute: vec![ints("kernel_shape", &[3, 3]), ints("pads", &pads)],
        ..NodeProto::default()
    };
    // A wide middle: 2 -> 16 -> 2 channels by two 3x3 costs more than one 5x5.
    let layer = Layer {
        weights: [16, 2, 3, 3],
        stride: 1,
        pads: [2; 4],
        bias: true,
    };
    let w2 = tensor("w2", &[2, 16, 3, 3], &noise(2 * 16 * 9, 77));
    let before = followed_by(&layer, second([0; 4]), vec![w2.clone()]);
    let (after, _) = rewrite(
        before.clone(),
        "fold-linear",
        Width::Auto,
        StridePlace::Last,
    );
    let proto = after.to_proto();
    assert_eq!(proto.graph.as_ref().unwrap().node.len(), 1);
    let error = relative(&run(&before), &run(&proto));
    assert!(error < 1e-5, "{error}");
}

/// What stays two says why.
#[test]
fn serial_convolutions_that_stay_say_why() {
    let layer = |weights: [usize; 4], bias: bool| Layer {
        weights,
        stride: 1,
        pads: [2; 4],
        bias,
    };
    let conv = |from: &str, attribute: Vec<_>| NodeProto {
        name: Some("second".into()),
        op_type: Some("Conv".into()),
        input: [from, "w2"].map(String::from).to_vec(),
        output: vec!["z".into()],
        attribute,
        ..NodeProto::default()
    };
    let pads = |pads: i64| ints("pads", &[pads; 4]);
    let weights = |shape: [usize; 4]| tensor("w2", &shape, &noise(shape.iter().product(), 77));
    let wide = || weights([2, 16, 3, 3]);
    let reason = |model: ModelProto| {
        let (after, report) = rewrite(model.clone(), "fold-linear", Width::Auto, StridePlace::Last);
        assert!(after.to_proto() == model);
        let [left] = report.skipped.as_slice() else {
            panic!("{:?}", report.skipped);
        };
        assert_eq!(left.node, "second");
        left.reason.clone()
    };
    let first = layer([16, 2, 3, 3], true);
    let padded = followed_by(&first, conv("y", vec![pads(1)]), vec![wide()]);
    assert!(reason(padded).contains("borders differ"));
    let point = layer([16, 2, 1, 1], true);
    let point = Layer {
        pads: [0; 4],
        ..point
    };
    let leaks = followed_by(&point, conv("y", vec![pads(1)]), vec![wide()]);
    assert!(reason(leaks).contains("bias between them"));
    let narrow = layer([1, 8, 3, 3], true);
    let cheap = followed_by(&narrow, conv("y", vec![]), vec![weights([8, 1, 3, 3])]);
    // 5x5 of 8 by 8 for two 3x3 through one channel: 1600 for 144.
    assert_eq!(
        reason(cheap),
        "one 5x5 in place of it and the convolution before it takes 1011 % more multiply-accumulates"
    );
    let mut shared = followed_by(&first, conv("y", vec![]), vec![wide()]);
    shared
        .graph
        .as_mut()
        .unwrap()
        .output
        .push(small::value("y", &[]));
    assert_eq!(reason(shared), "what conv puts out is read elsewhere too");
    let mut bent = followed_by(&first, conv("bent", vec![]), vec![wide()]);
    let relu = NodeProto {
        op_type: Some("Relu".into()),
        input: vec!["y".into()],
        output: vec!["bent".into()],
        ..NodeProto::default()
    };
    bent.graph.as_mut().unwrap().node.insert(1, relu);
    assert_eq!(
        reason(bent),
        "Relu between it and the convolution before it"
    );
    let grouped = vec![int("group", 2)];
    let grouped = followed_by(&first, conv("y", grouped), vec![weights([2, 8, 3, 3])]);
    assert!(reason(grouped).contains("groups"));
}

/// However its parts come together, a series has one term: work and memory grow
/// with the square of its length, not with the number of bracketings.
#[test]
fn sixty_linear_convolutions_fold_into_one() {
    let mut proto = model(&Layer {
        weights: [2, 2, 1, 1],
        stride: 1,
        pads: [0; 4],
        bias: true,
    });
    let graph = proto.graph.as_mut().unwrap();
    for i in 1..60 {
        let from = graph.node[i - 1].output[0].clone();
        let weights = format!("w{i}");
        // Close to a rotation, so that nothing fades.
        let turn = 0.1 * i as f32;
        let (sin, cos) = turn.sin_cos();
        graph
            .initializer
            .push(tensor(&weights, &[2, 2, 1, 1], &[cos, -sin, sin, cos]));
        let mut node = graph.node[0].clone();
        node.name = Some(format!("conv{i}"));
        node.input = vec![from, weights, "b".into()];
        node.output = vec![format!("y{i}")];
        graph.node.push(node);
    }
    graph.output[0].name = Some("y59".into());
    let (after, report) = rewrite(proto.clone(), "fold-linear", Width::Auto, StridePlace::Last);
    let after = after.to_proto();
    assert_eq!(after.graph.as_ref().unwrap().node.len(), 1);
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    let error = relative(&run(&proto), &run(&after));
    assert!(error < 1e-5, "{error}");
}

#[test]
fn a_strided_seven_becomes_two_threes_with_the_stride_first() {
    let before = model(&Layer {
        weights: [6, 3, 7, 7],
        stride: 2,
        pads: [3, 3, 3, 3],
        bias: false,
    });
    let (after, report) = rewrite(
        before.clone(),
        "7x7-to-3x3",
        Width::Budget,
        StridePlace::First,
    );
    assert_eq!(report.sites[0].to, ["3x3", "3x3"], "{:?}", report.skipped);
    let proto = after.to_proto();
    let nodes = &proto.graph.as_ref().unwrap().node;
    let strides: Vec<_> = nodes
        .iter()
        .map(|n| {
            n.attribute
                .iter()
                .find(|a| a.name.as_deref() == Some("strides"))
                .unwrap()
                .ints
                .clone()
        })
        .collect();
    assert_eq!(strides, [[2, 2], [1, 1]]);
    let error = relative(&run(&before), &run(&proto));
    let claimed = report.sites[0].weight_error.unwrap();
    assert!(
        (error / claimed - 1.0).abs() < 0.5,
        "{error} against {claimed}"
    );
}

#[test]
fn names_places_and_metadata() {
    let before = model(&Layer {
        weights: [8, 4, 5, 5],
        stride: 1,
        pads: [2; 4],
        bias: true,
    });
    let (after, report) = rewrite(before, "5x5-to-3x3", Width::Auto, StridePlace::Last);
    let proto = after.to_proto();
    let graph = proto.graph.as_ref().unwrap();
    let names: Vec<_> = graph
        .node
        .iter()
        .map(|n| n.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["conv.0", "conv.1"]);
    assert_eq!(graph.node[1].output, ["y"]);
    assert_eq!(
        graph.node[1].input[2], "b",
        "an untouched bias is kept as it is"
    );
    let initializers: Vec<_> = graph
        .initializer
        .iter()
        .map(|t| t.name.as_deref().unwrap())
        .collect();
    assert_eq!(
        initializers,
        ["b", "w.0", "w.1"],
        "the old weights are gone"
    );
    let weights: i64 = graph.initializer[1..]
        .iter()
        .map(|t| t.dims.iter().product::<i64>())
        .sum();
    assert!(weights as f64 <= 0.6 * 800.0, "{weights}");
    assert_eq!(proto.metadata_props[0].value.as_deref(), Some("5x5-to-3x3"));
    let site = &report.sites[0];
    assert_eq!((site.node.as_str(), site.from.as_str()), ("conv", "5x5"));
    assert!(
        site.explanation.as_ref().unwrap().contains("=> 5x5-to-3x3"),
        "{site:?}"
    );
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    use prost::Message;
    let layer = Layer {
        weights: [8, 6, 5, 5],
        stride: 1,
        pads: [2; 4],
        bias: false,
    };
    let bytes: Vec<Vec<u8>> = [1, 2]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let (after, _) =
                    rewrite(model(&layer), "5x5-to-3x3", Width::Auto, StridePlace::Last);
                after.to_proto().encode_to_vec()
            })
        })
        .collect();
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn what_no_pass_matches_is_written_as_it_was() {
    let before = model(&Layer {
        weights: [4, 3, 3, 3],
        stride: 1,
        pads: [1; 4],
        bias: true,
    });
    let (after, report) = rewrite(before.clone(), "5x5-to-3x3", Width::Auto, StridePlace::Last);
    assert!(report.sites.is_empty());
    assert!(after.to_proto() == before);
}

/// A Pad that adds nothing goes, and the convolution reads what it read.
#[test]
fn a_pad_without_pads_goes() {
    let mut proto = model(&Layer {
        weights: [2, 3, 3, 3],
        stride: 1,
        pads: [1; 4],
        bias: false,
    });
    let expected = run(&proto);
    let graph = proto.graph.as_mut().unwrap();
    graph.node[0].input[0] = "padded".into();
    graph.node.insert(
        0,
        NodeProto {
            name: Some("pad".into()),
            op_type: Some("Pad".into()),
            input: vec!["x".into(), "none".into()],
            output: vec!["padded".into()],
            ..NodeProto::default()
        },
    );
    graph.initializer.push(TensorProto {
        name: Some("none".into()),
        dims: vec![8],
        data_type: Some(DataType::Int64 as i32),
        int64_data: vec![0; 8],
        ..TensorProto::default()
    });
    let (after, report) = rewrite(proto, "fold-pad", Width::Auto, StridePlace::Last);
    assert_eq!(report.sites.len(), 1);
    let after = after.to_proto();
    let ops: Vec<&str> = after
        .graph
        .as_ref()
        .unwrap()
        .node
        .iter()
        .filter_map(|n| n.op_type.as_deref())
        .collect();
    assert_eq!(ops, ["Conv"]);
    assert_eq!(run(&after), expected);
}
