//! Models as they come: open sizes, no sizes, none at all, several inputs and
//! outputs. What is known is told, what is not is a gap.

#[path = "../src/testing.rs"]
mod testing;

use analyzer::{Analysis, Options, analyze};
use serde_json::{Value, json};
use testing::{A, Net};

fn run(net: Net) -> (Analysis, Value) {
    let analysis = analyze(&net.model(), &Options::default()).unwrap();
    let json = serde_json::to_value(&analysis).unwrap();
    (analysis, json)
}

const SAME: [(&str, A); 1] = [("pads", A::Is(&[1, 1, 1, 1]))];
const HALF: [(&str, A); 2] = [
    ("kernel_shape", A::Is(&[2, 2])),
    ("strides", A::Is(&[2, 2])),
];

#[test]
fn open_sizes_stay_polynomials() {
    let (analysis, json) = run(Net::new()
        .input("x", &["N", "3", "H", "W"])
        .absent("w", &[8, 3, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node("Relu", &["a"], &["r"], &[])
        .node("MaxPool", &["r"], &["p"], &HALF)
        .output("p"));
    assert_eq!(analysis.totals.gaps, 0);
    assert_eq!(json["layers"][0]["macs"], "216*H*N*W");
    assert_eq!(json["layers"][0]["shape"], json!(["N", 8, "H", "W"]));
    assert_eq!(json["layers"][2]["receptive_field"]["size"], json!([4, 4]));
    // How far the grid is off the image's middle depends on its size.
    assert_eq!(json["layers"][2]["receptive_field"]["shift"], Value::Null);
}

#[test]
fn an_input_of_unknown_rank_leaves_gaps_and_parameters() {
    let mut proto = Net::new()
        .input("x", &["1", "3", "8", "8"])
        .absent("w", &[8, 3, 3, 3])
        .absent("v", &[4, 4, 1, 1])
        .input("y", &["1", "4", "8", "8"])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node("Conv", &["y", "v"], &["b"], &[])
        .output("a")
        .output("b")
        .proto();
    // The first input loses its shape, rank and all.
    use compiler::onnx::schema::TypeValue;
    let graph = proto.graph.as_mut().unwrap();
    let kind = graph.input[0].kind.as_mut().unwrap();
    if let Some(TypeValue::TensorType(tensor)) = kind.value.as_mut() {
        tensor.shape = None;
    }
    let model =
        compiler::model::Model::from_proto(proto, std::path::Path::new("odd.onnx")).unwrap();
    let analysis = analyze(&model, &Options::default()).unwrap();
    assert_eq!(analysis.totals.gaps, 1);
    assert!(analysis.model.inputs[0].shape.is_none());
    let [first, second] = analysis.layers.as_slice() else {
        panic!("two layers");
    };
    assert!(first.macs.is_none() && first.gap.is_some());
    assert_eq!(first.parameters, 216);
    assert_eq!(
        second.macs.as_ref().and_then(analyzer::Count::known),
        Some(4 * 4 * 64)
    );
    assert_eq!(second.gap, None);
}

#[test]
fn a_model_without_any_shape_is_still_read() {
    let mut proto = Net::new()
        .input("x", &["1"])
        .absent("w", &[8, 3, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node("Relu", &["a"], &["b"], &[])
        .node("GlobalAveragePool", &["b"], &["c"], &[])
        .output("c")
        .proto();
    for value in proto.graph.iter_mut().flat_map(|g| &mut g.input) {
        value.kind = None;
    }
    let model =
        compiler::model::Model::from_proto(proto, std::path::Path::new("bare.onnx")).unwrap();
    let analysis = analyze(&model, &Options::default()).unwrap();
    assert_eq!(analysis.layers.len(), 3);
    assert_eq!(analysis.totals.parameters, 216);
    assert!(analysis.layers[0].gap.is_some());
    assert!(analysis.totals.receptive_field.size.is_none());
    // The sizes may be given for what declares none.
    let options = Options {
        input_shapes: [("x".to_owned(), vec![1, 3, 8, 8])].into(),
        ..Options::default()
    };
    let analysis = analyze(&model, &options).unwrap();
    assert_eq!(analysis.totals.gaps, 0);
    assert_eq!(analysis.totals.macs.known(), Some(216 * 64));
}

#[test]
fn axes_of_size_zero_cost_nothing() {
    let (analysis, json) = run(Net::new()
        .input("x", &["0", "3", "8", "8"])
        .absent("w", &[8, 3, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node("Relu", &["a"], &["b"], &[])
        .output("b"));
    assert_eq!(analysis.totals.gaps, 0);
    assert_eq!(json["totals"]["macs"], 0);
    assert_eq!(json["totals"]["peak_activation_bytes"], 0);
    assert_eq!(json["totals"]["parameters"], 216);
    assert_eq!(json["layers"][1]["receptive_field"]["size"], json!([3, 3]));
}

#[test]
fn each_output_tells_its_field_and_its_input() {
    let (analysis, json) = run(Net::new()
        .input("left", &["1", "3", "16", "16"])
        .input("right", &["1", "3", "32", "32"])
        .input("scale", &["1"])
        .absent("w", &[4, 3, 5, 5])
        .absent("v", &[4, 3, 3, 3])
        .node("Conv", &["left", "w"], &["a"], &[])
        .node(
            "Conv",
            &["right", "v"],
            &["b"],
            &[("strides", A::Is(&[2, 2]))],
        )
        .node("Mul", &["b", "scale"], &["c"], &[])
        .output("a")
        .output("c"));
    assert_eq!(analysis.totals.gaps, 0);
    let outputs = &json["totals"]["receptive_field"]["outputs"];
    assert_eq!(outputs[0]["receptive_field"]["input"], "left");
    assert_eq!(outputs[0]["receptive_field"]["size"], json!([5, 5]));
    assert_eq!(outputs[1]["receptive_field"]["input"], "right");
    assert_eq!(outputs[1]["receptive_field"]["size"], json!([3, 3]));
    assert_eq!(outputs[1]["receptive_field"]["jump"], json!([2, 2]));
}

#[test]
fn a_gap_between_two_convolutions_is_told_and_bounded() {
    let (analysis, json) = run(Net::new()
        .input("x", &["1", "3", "16", "16"])
        .absent("w", &[3, 3, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .node_of("local", "Mystery", &["a"], &["b"], &[])
        .node("Conv", &["b", "w"], &["c"], &SAME)
        .node("Conv", &["a", "w"], &["d"], &SAME)
        .output("c")
        .output("d"));
    // The operator and the layer whose input's shape is not known.
    assert_eq!(analysis.totals.gaps, 2);
    assert!(json["layers"][2]["macs"].is_null());
    assert!(json["layers"][2]["receptive_field"]["unknown"].is_string());
    assert_eq!(json["layers"][3]["gap"], Value::Null);
    assert_eq!(json["layers"][3]["macs"], 81 * 256);
    assert_eq!(json["layers"][3]["receptive_field"]["size"], json!([5, 5]));
    assert_eq!(json["totals"]["macs"], 2 * 81 * 256);
}

#[test]
fn one_sided_windows_add_up() {
    let pads = [("pads", A::Is(&[0, 0, 1, 1]))];
    let strided = [("pads", A::Is(&[0, 0, 1, 1])), ("strides", A::Is(&[2, 2]))];
    let back = [("pads", A::Is(&[1, 1, 0, 0]))];
    let (analysis, _) = run(Net::new()
        .input("x", &["1", "1", "16", "16"])
        .absent("w", &[1, 1, 2, 2])
        .node("Conv", &["x", "w"], &["a"], &pads)
        .node("Conv", &["a", "w"], &["b"], &strided)
        .node("Conv", &["b", "w"], &["c"], &pads)
        .node("Conv", &["c", "w"], &["d"], &back)
        .output("d"));
    let told: Vec<(f64, f64)> = analysis
        .information
        .one_sided
        .iter()
        .map(|l| (l.shift[0].unwrap().as_f64(), l.total[0].unwrap().as_f64()))
        .collect();
    // Half a pixel, half a pixel, a whole one at a jump of 2, and back again.
    assert_eq!(told, [(0.5, 0.5), (0.5, 1.0), (1.0, 2.0), (-1.0, 1.0)]);
}

#[test]
fn an_open_batch_is_no_hindrance_to_a_unit() {
    let model = Net::new()
        .input("x", &["N", "3", "16", "16"])
        .absent("w", &[4, 3, 3, 3])
        .node("Conv", &["x", "w"], &["a"], &SAME)
        .output("a")
        .model();
    let study = analyzer::Study::new(&model, &Options::default()).unwrap();
    let unit = study.unit("a/node", Some(&[0, 5])).unwrap();
    assert_eq!(unit.rectangle, Some(vec![(0, 1), (4, 6)]));
    // The report keeps the symbol.
    assert!(study.analysis().totals.macs.known().is_none());
}

#[test]
fn a_mirrored_border_shows_the_image() {
    let mode = |mode: &'static str| {
        let model = Net::new()
            .opset(17)
            .input("x", &["1", "1", "9", "9"])
            .ints("pads", &[0, 0, 4, 4, 0, 0, 4, 4])
            .absent("w", &[1, 1, 3, 3])
            .node("Pad", &["x", "pads"], &["p"], &[("mode", A::S(mode))])
            .node("Conv", &["p", "w"], &["a"], &[])
            .output("a")
            .model();
        let study = analyzer::Study::new(&model, &Options::default()).unwrap();
        study.unit("a/node", Some(&[0, 14])).unwrap().rectangle
    };
    // Rows 0 to 2 and columns 14 to 16 of the padded image.
    assert_eq!(mode("constant"), None);
    assert_eq!(mode("reflect"), Some(vec![(2, 4), (4, 6)]));
    assert_eq!(mode("edge"), Some(vec![(0, 0), (8, 8)]));
}

#[test]
fn branches_with_holes_are_said_to_be_a_hull() {
    let up = [("strides", A::Is(&[2, 2]))];
    let apart = [("dilations", A::Is(&[2, 2])), ("pads", A::Is(&[1; 4]))];
    let net = || {
        Net::new()
            .input("x", &["1", "1", "8", "8"])
            .absent("p", &[1, 1, 1, 1])
            .absent("w", &[1, 1, 2, 2])
            .node("ConvTranspose", &["x", "p"], &["a"], &up)
            .node("Conv", &["a", "w"], &["b"], &apart)
    };
    let (_, alone) = run(net().output("b"));
    assert!(alone["layers"][1]["receptive_field"]["hull"].is_null());
    let net = net().node("Add", &["a", "b"], &["y"], &[]).output("y");
    let model = net.model();
    let study = analyzer::Study::new(&model, &Options::default()).unwrap();
    let json = serde_json::to_value(study.analysis()).unwrap();
    let field = &json["layers"][2]["receptive_field"];
    assert_eq!(field["hull"], true);
    assert_eq!(field["size"], json!([2, 2]));
    // Even rows and columns see through one branch, odd ones through the other.
    let sees = |y, x| study.unit("y/node", Some(&[y, x])).unwrap().rectangle;
    assert_eq!(sees(4, 4), Some(vec![(2, 2), (2, 2)]));
    assert_eq!(sees(5, 5), Some(vec![(2, 3), (2, 3)]));
    assert_eq!(sees(4, 5), None);
}
