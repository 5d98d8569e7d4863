//! Every rule fires on a minimal model, says its number, and is silent on a
//! near miss.

mod cases;
mod models;

use std::path::Path;

use compiler::model::Model;
use compiler::onnx::schema::{ModelProto, StringStringEntryProto};

use super::*;
use crate::config::{Config, FILE_NAME, Overrides};
use crate::study::Options;
use crate::testing::{A, Net};
use cases::CASES;
use models::*;

/// A rule's minimal model, what its message must hold, and a near miss.
struct Case {
    code: &'static str,
    config: &'static str,
    before: Option<u64>,
    fires: fn() -> ModelProto,
    says: &'static str,
    silent: fn() -> ModelProto,
}

const PLAIN: Case = Case {
    code: "",
    config: "",
    before: None,
    fires: || Net::new().proto(),
    says: "",
    silent: || Net::new().proto(),
};

/// What `lint` says of a model under a configuration.
pub(super) fn findings(proto: ModelProto, config: &str, before: Option<u64>) -> Vec<Finding> {
    let model = Model::from_proto(proto, Path::new("test.onnx")).unwrap();
    let config = Config::parse(config, Path::new(FILE_NAME))
        .unwrap()
        .unwrap();
    let settings = config.settings(Path::new("test.onnx"), &Overrides::default());
    let options = Options {
        weights: settings.needs_weights(),
        ..Options::default()
    };
    let study = Study::new(&model, &options).unwrap();
    let analysis = study.analysis();
    let before = before.map(|macs| Figures {
        macs: Some(macs),
        ..Figures::default()
    });
    lint(&study, &analysis, &settings, before.as_ref())
}

#[test]
fn every_rule_fires_on_its_model_and_is_silent_on_a_near_miss() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let case = CASES.iter().find(|c| c.code == rule.code);
        let Some(case) = case else {
            assert!(
                matches!(rule.check, Check::File),
                "{} has no case",
                rule.code
            );
            continue;
        };
        let of = |proto| {
            let mut all = findings(proto, case.config, case.before);
            all.retain(|f| f.code == rule.code);
            all
        };
        let fired = of((case.fires)());
        let sound = |f: &Finding| {
            f.message.contains(case.says) && !f.help.is_empty() && !f.evidence.is_empty()
        };
        if fired.len() != 1 || !sound(&fired[0]) {
            wrong.push(format!(
                "{} should say {:?}: {fired:#?}",
                rule.code, case.says
            ));
        }
        let silent = of((case.silent)());
        if !silent.is_empty() {
            wrong.push(format!("{} on the near miss: {silent:#?}", rule.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn models_suppress_findings_as_a_whole_and_by_node() {
    let strided = || {
        image("4")
            .conv("x", "a", [4, 4, 1, 1], STRIDE2)
            .relu("a", "b")
            .conv("b", "y", [4, 4, 1, 1], STRIDE2)
            .output("y")
            .proto()
    };
    let nodes = |proto| -> Vec<Option<String>> {
        let all = findings(proto, "select = [\"CF004\"]", None);
        all.into_iter().map(|f| f.node).collect()
    };
    assert_eq!(nodes(strided()).len(), 2);
    assert!(nodes(with_ignore(strided(), "stride-without-overlap")).is_empty());
    assert_eq!(nodes(with_ignore(strided(), "CF005")).len(), 2);
    let mut one = strided();
    let graph = one.graph.as_mut().unwrap();
    graph.node[0].metadata_props.push(StringStringEntryProto {
        key: Some(IGNORE_KEY.into()),
        value: Some("CF00".into()),
    });
    assert_eq!(nodes(one), [Some("y/node".to_owned())]);
}

#[test]
fn what_nobody_reads_is_a_warning() {
    // The first convolution's map is read by a 1x1 at stride 2 alone.
    let proto = image("4")
        .conv("x", "a", [4, 4, 3, 3], SAME3)
        .conv("a", "y", [4, 4, 1, 1], STRIDE2)
        .output("y")
        .proto();
    let found = findings(proto, "select = [\"CF004\"]", None);
    assert_eq!(found[0].severity, Severity::Warning);
    let proto = image("4")
        .conv("x", "y", [4, 4, 1, 1], STRIDE2)
        .output("y")
        .proto();
    let found = findings(proto, "select = [\"CF004\"]", None);
    assert_eq!(found[0].severity, Severity::Information);
    let config = "select = [\"CF004\"]\n[rules.CF004]\nseverity = \"error\"";
    let proto = image("4")
        .conv("x", "y", [4, 4, 1, 1], STRIDE2)
        .output("y")
        .proto();
    assert_eq!(findings(proto, config, None)[0].severity, Severity::Error);
}

#[test]
fn budgets_of_open_sizes_are_told_as_such() {
    let open = |sizes: &[&str]| {
        let net = Net::new().input("x", sizes);
        net.conv("x", "y", [4, 4, 3, 3], SAME3).output("y").proto()
    };
    let config = "select = [\"CF019\"]\n[budget]\nmacs = 200_000\nweight-bytes = \"1 KiB\"";
    assert!(findings(open(&["N", "4", "32", "32"]), config, None).is_empty());
    let found = findings(open(&["N", "4", "H", "W"]), config, None);
    assert!(found[0].message.contains("open"), "{found:?}");
}

#[test]
fn tensors_of_one_value_are_no_twins() {
    let all = findings(filters(&[[0.5; 9], [0.5; 9]]), "", None);
    assert!(
        all.iter()
            .all(|f| !["CF013", "CF014", "CF015"].contains(&f.code.as_str()))
    );
}

#[test]
fn absent_weights_say_nothing_else() {
    let codes: Vec<String> = findings(
        absent(),
        "select = [\"CF013\", \"CF014\", \"CF015\", \"CF016\", \"CF028\"]",
        None,
    )
    .into_iter()
    .map(|f| f.code)
    .collect();
    assert!(codes.is_empty(), "{codes:?}");
}

#[test]
fn a_stage_may_widen_once_all_is_seen() {
    let net = |size: &str| {
        Net::new()
            .input("x", &["1", "3", size, size])
            .conv("x", "a", [8, 3, 7, 7], &[("pads", A::Is(&[3, 3, 3, 3]))])
            .pool("MaxPool", "a", "b", POOL2)
            .conv("b", "y", [64, 8, 1, 1], &[])
            .output("y")
            .proto()
    };
    let codes = |proto| findings(proto, "select = [\"CF012\"]", None).len();
    assert_eq!((codes(net("6")), codes(net("32"))), (0, 1));
}
