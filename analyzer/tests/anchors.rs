//! Small networks whose numbers are known by hand.

#[path = "../src/testing.rs"]
mod testing;

use analyzer::{AliasingKind, Analysis, Layer, Options, Study, analyze};
use testing::{A, Net};

fn run(net: Net) -> Analysis {
    analyze(&net.model(), &Options::default()).unwrap()
}

fn layer<'a>(analysis: &'a Analysis, output: &str) -> &'a Layer {
    let named = |l: &&Layer| l.outputs.iter().any(|o| o == output);
    analysis.layers.iter().find(named).unwrap()
}

fn size(analysis: &Analysis, output: &str) -> Option<Vec<Option<i64>>> {
    layer(analysis, output)
        .receptive_field
        .clone()
        .unwrap()
        .size
}

const SAME: [(&str, A); 1] = [("pads", A::Is(&[1, 1, 1, 1]))];

#[test]
fn a_gate_over_the_whole_plane_leaves_the_field_local() {
    let analysis = run(Net::new()
        .input("x", &["1", "3", "32", "32"])
        .absent("w", &[8, 3, 3, 3])
        .absent("g", &[8, 8, 1, 1])
        .node("Conv", &["x", "w"], &["y"], &SAME)
        .node("GlobalAveragePool", &["y"], &["mean"], &[])
        .node("Conv", &["mean", "g"], &["gate"], &[])
        .node("Sigmoid", &["gate"], &["s"], &[])
        .node("Mul", &["y", "s"], &["z"], &[])
        .output("z"));
    assert_eq!(size(&analysis, "gate"), None);
    let field = layer(&analysis, "z").receptive_field.clone().unwrap();
    assert_eq!(field.size, Some(vec![Some(3), Some(3)]));
    assert!(field.global_context);
    assert!(
        !layer(&analysis, "y")
            .receptive_field
            .as_ref()
            .unwrap()
            .global_context
    );
    let json = serde_json::to_value(&analysis).unwrap();
    assert_eq!(
        json["totals"]["receptive_field"]["size"],
        serde_json::json!([3, 3])
    );
    assert_eq!(
        json["layers"][1]["receptive_field"]["size"],
        serde_json::Value::Null
    );
}

#[test]
fn statistics_of_the_plane_are_context() {
    let analysis = run(Net::new()
        .input("x", &["1", "3", "32", "32"])
        .absent("w", &[8, 3, 5, 5])
        .absent("p", &[8])
        .node("Conv", &["x", "w"], &["y"], &[])
        .node("InstanceNormalization", &["y", "p", "p"], &["z"], &[])
        .output("z"));
    let field = layer(&analysis, "z").receptive_field.clone().unwrap();
    assert_eq!(field.size, Some(vec![Some(5), Some(5)]));
    assert!(field.global_context);
}

#[test]
fn a_flattened_map_keeps_its_units() {
    // The head of a detector: positions become one axis, scales a list.
    let analysis = run(Net::new()
        .input("x", &["1", "3", "32", "32"])
        .absent("w", &[8, 3, 3, 3])
        .absent("v", &[8, 8, 3, 3])
        .absent("h", &[4, 8, 1, 1])
        .ints("list", &[1, -1, 4])
        .node(
            "Conv",
            &["x", "w"],
            &["a"],
            &[("pads", A::Is(&[1; 4])), ("strides", A::Is(&[2, 2]))],
        )
        .node(
            "Conv",
            &["a", "v"],
            &["b"],
            &[("pads", A::Is(&[1; 4])), ("strides", A::Is(&[2, 2]))],
        )
        .node("Conv", &["a", "h"], &["ah"], &[])
        .node("Conv", &["b", "h"], &["bh"], &[])
        .node(
            "Transpose",
            &["ah"],
            &["at"],
            &[("perm", A::Is(&[0, 2, 3, 1]))],
        )
        .node(
            "Transpose",
            &["bh"],
            &["bt"],
            &[("perm", A::Is(&[0, 2, 3, 1]))],
        )
        .node("Reshape", &["at", "list"], &["al"], &[])
        .node("Reshape", &["bt", "list"], &["bl"], &[])
        .node("Concat", &["al", "bl"], &["all"], &[("axis", A::I(1))])
        .node("Sigmoid", &["all"], &["y"], &[])
        .output("y"));
    assert_eq!(size(&analysis, "al"), Some(vec![Some(3), Some(3)]));
    assert_eq!(size(&analysis, "bl"), Some(vec![Some(7), Some(7)]));
    assert_eq!(size(&analysis, "y"), Some(vec![Some(7), Some(7)]));
    assert_eq!(
        layer(&analysis, "y")
            .receptive_field
            .as_ref()
            .unwrap()
            .unknown,
        None
    );
}

#[test]
fn a_unit_of_a_flattened_map_is_found_in_the_image() {
    let model = Net::new()
        .input("x", &["1", "3", "8", "6"])
        .absent("w", &[4, 3, 3, 3])
        .ints("list", &[1, 4, 48])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node("Reshape", &["a", "list"], &["y"], &[])
        .output("y")
        .model();
    let study = Study::new(&model, &Options::default()).unwrap();
    let value = study.graph.outputs[0];
    // Row 2, column 5: the last column.
    let units = vec![(0, 0), (0, 3), (17, 17)];
    let seen = analyzer::receptive::seen(study.graph, &study.facts, &study.fields, value, &units);
    let seen = seen.unwrap().inputs[0].clone().unwrap();
    assert_eq!(seen[2..], [(1, 3), (4, 5)]);
}

#[test]
fn a_unit_near_the_border_sees_less() {
    let model = Net::new()
        .input("x", &["1", "3", "9", "9"])
        .absent("w", &[4, 3, 5, 3])
        .node(
            "Conv",
            &["x", "w"],
            &["a"],
            &[("pads", A::Is(&[2, 1, 2, 1])), ("strides", A::Is(&[2, 1]))],
        )
        .output("a")
        .model();
    let study = Study::new(&model, &Options::default()).unwrap();
    let corner = study.unit("a/node", Some(&[0, 8])).unwrap();
    assert_eq!(corner.field, [Some((-2, 2)), Some((7, 9))]);
    assert_eq!(corner.rectangle, Some(vec![(0, 2), (7, 8)]));
    assert_eq!(study.unit("a/node", None).unwrap().position, [2, 4]);
    let error = study.unit("a/node", Some(&[5, 0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a/node gives 5x9, which has no unit at 5,0"
    );
    assert!(study.unit("b", None).is_err());
}

#[test]
fn images_with_the_channels_last_have_their_axes_found() {
    let analysis = run(Net::new()
        .input("x", &["1", "64", "48", "3"])
        .absent("w", &[8, 3, 5, 3])
        .node(
            "Transpose",
            &["x"],
            &["t"],
            &[("perm", A::Is(&[0, 3, 1, 2]))],
        )
        .node("Conv", &["t", "w"], &["y"], &[])
        .output("y"));
    assert_eq!(size(&analysis, "y"), Some(vec![Some(5), Some(3)]));
}

#[test]
fn branches_that_are_half_a_pixel_apart_are_told() {
    let analysis = run(Net::new()
        .input("x", &["1", "4", "16", "16"])
        .absent("a", &[4, 4, 3, 3])
        .absent("b", &[4, 4, 2, 2])
        .node("Conv", &["x", "a"], &["odd"], &SAME)
        .node(
            "Conv",
            &["x", "b"],
            &["even"],
            &[("pads", A::Is(&[0, 0, 1, 1]))],
        )
        .node("Add", &["odd", "even"], &["y"], &[])
        .output("y"));
    let json = serde_json::to_value(&analysis).unwrap();
    let field = &json["layers"][2]["receptive_field"];
    assert_eq!(field["misalignment"], serde_json::json!([0.5, 0.5]));
    assert_eq!(field["size"], serde_json::json!([3, 3]));
    let even = &json["layers"][1]["receptive_field"];
    assert_eq!(even["centre"], serde_json::json!([0.5, 0.5]));
    assert_eq!(even["padding_shift"], serde_json::json!([0.5, 0.5]));
    assert_eq!(even["shift"], serde_json::json!([0.5, 0.5]));
}

#[test]
fn sigma_tells_a_factorized_kernel_apart() {
    let sigma = |net: Net, output: &str| {
        let analysis = run(net.output(output));
        let field = layer(&analysis, output).receptive_field.clone().unwrap();
        assert_eq!(field.size, Some(vec![Some(5), Some(5)]));
        field.effective_sigma.unwrap()[0].unwrap().0.powi(2)
    };
    let input = || Net::new().input("x", &["1", "1", "16", "16"]);
    let one = input()
        .absent("w", &[1, 1, 5, 5])
        .node("Conv", &["x", "w"], &["y"], &[]);
    let two = input()
        .absent("w", &[1, 1, 3, 3])
        .node("Conv", &["x", "w"], &["y"], &[])
        .node("Conv", &["y", "w"], &["z"], &[]);
    assert!((sigma(one, "y") - 2.0).abs() < 1e-12);
    assert!((sigma(two, "z") - 4.0 / 3.0).abs() < 1e-12);
}

#[test]
fn a_stem_aliases_twice() {
    let pool = [
        ("kernel_shape", A::Is(&[3, 3])),
        ("strides", A::Is(&[2, 2])),
        ("pads", A::Is(&[1; 4])),
    ];
    let analysis = run(Net::new()
        .input("x", &["1", "1", "32", "32"])
        .weight("box", &[1, 1, 2, 2], &[1.0; 4])
        .node(
            "Conv",
            &["x", "box"],
            &["a"],
            &[("strides", A::Is(&[2, 2]))],
        )
        .node("Relu", &["a"], &["r"], &[])
        .node("MaxPool", &["r"], &["y"], &pool)
        .output("y"));
    let first = layer(&analysis, "a").aliasing.clone().unwrap();
    assert!((first.white.0 - 0.330).abs() < 1e-3);
    assert_eq!(first.kind, AliasingKind::Measure);
    let second = layer(&analysis, "y").aliasing.clone().unwrap();
    assert!((second.white.0 - 0.75).abs() < 1e-12);
    assert_eq!(second.kind, AliasingKind::Bound);
    assert!((second.accumulated.0 - (1.0 - 0.25 * (1.0 - first.white.0))).abs() < 1e-12);
    let [both] = analysis.information.compound_aliasing.as_slice() else {
        panic!("one pair: {:?}", analysis.information.compound_aliasing);
    };
    // The box of 2 at a stride of 4, by the closed form.
    let sinc = |x: f64| (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x);
    let axis = (1.0 + sinc(0.25)) / 4.0;
    assert!((both.white.0 - (1.0 - axis * axis)).abs() < 1e-9);
    let worst = analysis.totals.aliasing.unwrap();
    assert_eq!((worst.worst.0, worst.node.as_str()), (0.75, "y/node"));
}

#[test]
fn slices_that_keep_every_phase_lose_nothing() {
    let cut = |net: Net, from: &str, out: &str, start: &str, axis: &str| {
        net.node("Slice", &[from, start, "end", axis, "two"], &[out], &[])
    };
    let mut net = Net::new()
        .input("x", &["1", "3", "32", "32"])
        .ints("zero", &[0])
        .ints("one", &[1])
        .ints("two", &[2])
        .ints("end", &[i64::MAX])
        .ints("three", &[3]);
    for (out, from, start, axis) in [
        ("e", "x", "zero", "two"),
        ("o", "x", "one", "two"),
        ("ee", "e", "zero", "three"),
        ("eo", "e", "one", "three"),
        ("oe", "o", "zero", "three"),
        ("oo", "o", "one", "three"),
    ] {
        net = cut(net, from, out, start, axis);
    }
    let focus = run(net
        .node(
            "Concat",
            &["ee", "oe", "eo", "oo"],
            &["y"],
            &[("axis", A::I(1))],
        )
        .output("y"));
    assert_eq!(size(&focus, "y"), Some(vec![Some(2), Some(2)]));
    assert!(focus.totals.aliasing.is_none());
    let alone = Net::new()
        .input("x", &["1", "3", "32", "32"])
        .ints("zero", &[0])
        .ints("two", &[2])
        .ints("end", &[i64::MAX]);
    let alone = run(cut(alone, "x", "y", "zero", "two").output("y"));
    assert!((alone.totals.aliasing.unwrap().worst.0 - 0.5).abs() < 1e-12);
}

#[test]
fn weights_that_are_not_at_hand_leave_the_aliasing_open() {
    let strided = [("strides", A::Is(&[2, 2]))];
    let analysis = run(Net::new()
        .input("x", &["1", "3", "32", "32"])
        .absent("w", &[8, 3, 3, 3])
        .absent("p", &[8, 8, 1, 1])
        .node("Conv", &["x", "w"], &["y"], &strided)
        .node("Conv", &["y", "p"], &["z"], &strided)
        .output("z"));
    assert_eq!(layer(&analysis, "y").aliasing, None);
    assert!(layer(&analysis, "y").aliasing_unknown.is_some());
    // One tap folds the same share whatever its weight.
    let point = layer(&analysis, "z").aliasing.clone().unwrap();
    assert!((point.white.0 - 0.75).abs() < 1e-12);
    assert!((point.natural.0 - 0.182).abs() < 1e-3);
}

#[test]
fn only_the_branch_that_is_taken_counts() {
    let branch = |kernel: i64| {
        Net::new()
            .absent("w", &[4, 3, kernel, kernel])
            .node("Conv", &["x", "w"], &["inside"], &[])
            .output("inside")
    };
    let chosen = |condition: bool| {
        run(Net::new()
            .input("x", &["1", "3", "9", "9"])
            .flag("c", condition)
            .node(
                "If",
                &["c"],
                &["y"],
                &[
                    ("then_branch", A::G(branch(3))),
                    ("else_branch", A::G(branch(5))),
                ],
            )
            .output("y"))
    };
    let analysis = chosen(true);
    assert_eq!(analysis.layers.len(), 3);
    assert_eq!(analysis.layers[1].node, "y/node/inside/node");
    assert_eq!(analysis.totals.macs.known(), Some(4 * 27 * 49));
    assert_eq!(analysis.totals.parameters, 4 * 3 * (9 + 25));
    assert_eq!(size(&analysis, "y"), Some(vec![Some(3), Some(3)]));
    assert_eq!(size(&chosen(false), "y"), Some(vec![Some(5), Some(5)]));
}

#[test]
fn a_function_is_entered_at_every_call() {
    let body = Net::new()
        .input("in", &["1", "3", "9", "9"])
        .input("kernel", &["3", "3", "3", "3"])
        .node("Conv", &["in", "kernel"], &["mid"], &[])
        .node("Relu", &["mid"], &["out"], &[])
        .output("out");
    let analysis = run(Net::new()
        .input("x", &["1", "3", "9", "9"])
        .absent("w", &[3, 3, 3, 3])
        .function("Block", body)
        .node_of("local", "Block", &["x", "w"], &["a"], &[])
        .node_of("local", "Block", &["a", "w"], &["y"], &[])
        .output("y"));
    assert_eq!(analysis.layers.len(), 4);
    assert_eq!(analysis.totals.parameters, 81);
    assert_eq!(analysis.totals.macs.known(), Some(81 * (49 + 25)));
    assert_eq!(size(&analysis, "y"), Some(vec![Some(5), Some(5)]));
}

#[test]
fn a_gap_on_one_branch_does_not_spoil_the_rest() {
    let analysis = run(Net::new()
        .input("x", &["1", "3", "16", "16"])
        .absent("w", &[3, 3, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node_of("local", "Mystery", &["a"], &["b"], &[])
        .declared("b", &["1", "3", "16", "16"])
        .node("Conv", &["a", "w"], &["c"], &SAME)
        .node("Add", &["b", "c"], &["y"], &[])
        .output("y"));
    assert_eq!(analysis.totals.gaps, 1);
    assert_eq!(size(&analysis, "b"), None);
    let field = layer(&analysis, "y").receptive_field.clone().unwrap();
    assert_eq!(field.size, Some(vec![Some(5), Some(5)]));
    assert!(field.unknown.unwrap().contains("Mystery"));
}

#[test]
fn late_windows_and_blind_ends_are_told() {
    let pool = [
        ("kernel_shape", A::Is(&[2, 2])),
        ("strides", A::Is(&[2, 2])),
    ];
    let analysis = run(Net::new()
        .input("x", &["1", "1", "16", "16"])
        .absent("w", &[1, 1, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node("MaxPool", &["a"], &["b"], &pool)
        .node("GlobalAveragePool", &["b"], &["y"], &[])
        .output("y"));
    let [blind] = analysis.information.blind.as_slice() else {
        panic!("{:?}", analysis.information.blind);
    };
    assert_eq!(blind.node, "b/node");
    assert_eq!((blind.field[0], blind.image[0]), (Some(4), 16));
    let mut net = Net::new()
        .input("v0", &["1", "1", "16", "16"])
        .absent("w", &[1, 1, 7, 7]);
    for i in 0..4 {
        net = net.node(
            "Conv",
            &[&format!("v{i}"), "w"],
            &[&format!("v{}", i + 1)],
            &[("pads", A::Is(&[3; 4]))],
        );
    }
    let analysis = run(net.output("v4"));
    // 7, 13, 19: the fourth convolution reads more than there is.
    let late: Vec<&str> = analysis
        .information
        .unproductive
        .iter()
        .map(|l| l.node.as_str())
        .collect();
    assert_eq!(late, ["v4/node"]);
    assert!(analysis.information.blind.is_empty());
    // Nothing between them: three pairs that are one linear map each.
    let pairs = &analysis.information.linear_pairs;
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[0].kernel, [13, 13]);
    assert!(!pairs[0].exact_at_borders);
    assert!(pairs[0].macs_together > pairs[0].macs_apart);
}
