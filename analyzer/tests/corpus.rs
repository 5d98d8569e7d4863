//! The analyzer against the corpus' reference figures: parameters and MACs to
//! the unit, no gap on any operator, known receptive fields.

use std::path::{Path, PathBuf};

use analyzer::{Analysis, Options, analyze};
use compiler::model::Model;

fn corpus() -> Option<PathBuf> {
    let root = std::env::var("CONVFOLD_CORPUS")
        .unwrap_or_else(|_| format!("{}/../../shared/corpus", env!("CARGO_MANIFEST_DIR")));
    let root = PathBuf::from(root);
    if root.is_dir() {
        return Some(root);
    }
    let missing = format!("no corpus at {}; set CONVFOLD_CORPUS", root.display());
    assert!(std::env::var("CI").is_err(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

fn read(path: &Path) -> Analysis {
    let file = compiler::onnx::open(path).unwrap();
    let model = Model::from_proto(file.model, path).unwrap();
    analyze(&model, &Options::default()).unwrap()
}

const TRAINED: [(&str, u64); 8] = [
    ("mnist", 5_994),
    ("cifar10_cnn", 50_182),
    ("squeezenet", 1_235_496),
    ("super_resolution", 59_657),
    ("candy", 424_905),
    ("ultraface-slim-320", 264_732),
    // The corpus counts 73,848 float elements: eight are scales of Resize.
    ("yunet_n_320", 73_840),
    // One of its 101,079 float elements is the value that Pad writes.
    ("blazeface", 101_078),
];

#[test]
fn weights_of_the_trained_models_are_those_of_the_corpus() {
    let Some(root) = corpus() else { return };
    for (name, expected) in TRAINED {
        let totals = read(&root.join(name).with_extension("onnx")).totals;
        assert_eq!(totals.parameters + totals.buffers, expected, "{name}");
    }
}

#[test]
fn structures_cost_what_the_reference_counts() {
    let Some(root) = corpus() else { return };
    let text = std::fs::read_to_string(root.join("structure/reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for (name, expected) in reference.as_object().unwrap() {
        let analysis = read(&root.join("structure").join(name).with_extension("onnx"));
        let totals = &analysis.totals;
        let float = expected["onnx"]["float_initializer_elements"].as_u64();
        assert_eq!(Some(totals.parameters + totals.buffers), float, "{name}");
        let known = |v: &serde_json::Value| v.as_i64().map(i128::from);
        assert_eq!(
            totals.macs.known(),
            known(&expected["macs_conv_linear"]),
            "{name}"
        );
        // Layer by layer, in the order of execution.
        let mut mine: Vec<i128> = analysis
            .layers
            .iter()
            .filter_map(|l| l.macs.as_ref()?.known())
            .filter(|&m| m > 0)
            .collect();
        let mut theirs: Vec<i128> = expected["layers"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|l| known(&l["macs"]))
            .collect();
        compared += mine.len();
        mine.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(mine, theirs, "{name}");
    }
    eprintln!("{compared} of {compared} layers' MACs equal");
}

#[test]
fn nothing_in_the_corpus_is_a_gap() {
    let Some(root) = corpus() else { return };
    let mut models = 0;
    for folder in ["", "structure", "light"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|x| x != "onnx") {
                continue;
            }
            models += 1;
            let start = std::time::Instant::now();
            let analysis = read(&path);
            eprintln!("{:?} {}", start.elapsed(), path.display());
            for layer in &analysis.layers {
                assert_eq!(layer.gap, None, "{} {}", path.display(), layer.node);
                if layer.macs.as_ref().is_some_and(|m| m.known() != Some(0)) {
                    assert!(layer.receptive_field.is_some(), "{}", layer.node);
                }
                let unknown = layer
                    .receptive_field
                    .as_ref()
                    .and_then(|f| f.unknown.as_ref());
                assert_eq!(unknown, None, "{} {}", path.display(), layer.node);
            }
        }
    }
    assert_eq!(models, 25);
}

fn numbers(analysis: &Analysis, nth: impl Fn(&analyzer::Layer) -> bool) -> serde_json::Value {
    let layer = analysis.layers.iter().rfind(|l| nth(l)).unwrap();
    serde_json::to_value(layer.receptive_field.as_ref().unwrap()).unwrap()
}

#[test]
fn known_receptive_fields() {
    let Some(root) = corpus() else { return };
    let structure = |name: &str| read(&root.join("structure").join(name).with_extension("onnx"));
    let vgg = structure("vgg16");
    let pool = numbers(&vgg, |l| l.op == "MaxPool");
    assert_eq!(pool["size"], serde_json::json!([212, 212]));
    assert_eq!(pool["jump"], serde_json::json!([32, 32]));
    assert_eq!(pool["shift"], serde_json::json!([0, 0]));
    assert_eq!(
        numbers(&vgg, |l| l.op == "Gemm")["size"],
        serde_json::Value::Null
    );
    // Araujo et al. 2019, table 1: AlexNet's last pool 195 and 32 (conv 5 is
    // 163 and 16), as torchvision builds it.
    let alexnet = structure("alexnet");
    let pool = numbers(&alexnet, |l| l.op == "MaxPool");
    assert_eq!(pool["size"], serde_json::json!([195, 195]));
    assert_eq!(pool["jump"], serde_json::json!([32, 32]));
    // The same table, ResNet's stem and its 18 layers.
    let resnet = structure("resnet18");
    let last = numbers(&resnet, |l| l.op == "Conv");
    assert_eq!(last["size"], serde_json::json!([435, 435]));
    assert_eq!(last["jump"], serde_json::json!([32, 32]));
    // The first 1x7 of Inception v3 sees more in one direction.
    let inception = structure("inception_v3");
    let wide = inception
        .layers
        .iter()
        .find(|l| l.kernel == [1, 7])
        .unwrap();
    let size = wide.receptive_field.as_ref().unwrap().size.clone().unwrap();
    let (h, w) = (size[0].unwrap(), size[1].unwrap());
    let jump = wide.receptive_field.as_ref().unwrap().jump.clone().unwrap()[1].unwrap();
    assert_eq!(w - h, 6 * jump.0.to_integer(), "{size:?}");
}
