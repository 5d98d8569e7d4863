//! Configuration, and the rules.

use std::path::Path;

use analyzer::rules::lint as apply;
use analyzer::{Config, Options, Overrides, RULES, Study};
use compiler::model::Model;

use crate::model::read;

/// Parses a configuration as `convfold.toml` and as `pyproject.toml`, and asks
/// it what applies to a model.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for file in ["convfold.toml", "pyproject.toml"] {
        match Config::parse(text, Path::new(file)) {
            Ok(Some(config)) => {
                let model = Path::new("models/model.onnx");
                let _ = config.excludes(model);
                let settings = config.settings(model, &Overrides::default());
                let _ = RULES.iter().filter(|rule| settings.enabled(rule)).count();
            }
            Ok(None) => {}
            Err(mistakes) => {
                assert!(!mistakes.is_empty(), "refused without a mistake");
                mistakes
                    .iter()
                    .for_each(|mistake| drop(mistake.to_string()));
            }
        }
    }
}

/// Imports a model and applies every rule to it.
pub fn lint(data: &[u8]) {
    let Some(decoded) = read(data) else { return };
    let Ok(model) = Model::from_proto(decoded.model, Path::new("model.onnx")) else {
        return;
    };
    let config = Config::new(Path::new(""));
    let settings = config.settings(&model.path, &Overrides::default());
    let options = Options {
        weights: true,
        ..Options::default()
    };
    let Ok(study) = Study::new(&model, &options) else {
        return;
    };
    for finding in apply(&study, &study.analysis(), &settings, None) {
        assert!(!finding.message.is_empty(), "{} says nothing", finding.code);
    }
}
