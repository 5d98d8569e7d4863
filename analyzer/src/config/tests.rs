use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, Vec<String>> {
    match Config::parse(text, Path::new(FILE_NAME)) {
        Ok(config) => Ok(config.expect("a whole file")),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

fn rule(code: &str) -> &'static Rule {
    crate::rules::find(code).expect("a rule")
}

#[test]
fn everything_that_can_be_said() {
    let config = parse(
        r#"
fail-level = "error"
baseline = "ci/baseline.json"
exclude = ["third_party/**", "old/*.onnx"]
select = ["CF00", "bad-weights"]
ignore = ["CF004"]

[rules.CF005]
severity = "warning"
white = 0.4

[budget]
macs = "2.5G"
parameters = 5_000_000

[input-shapes]
image = [1, 3, 224, 224]
mask = "1x1x224x224"

[[files]]
glob = ["mobile/**/*.onnx"]
ignore = ["CF001"]
budget = { macs = "300M" }
rules = { downsampling-aliases = { white = 0.5 } }
"#,
    )
    .expect("sound");
    assert_eq!(config.fail_level, Severity::Error);
    assert_eq!(
        config.baseline.as_deref(),
        Some(Path::new("./ci/baseline.json"))
    );
    assert!(config.excludes(Path::new("third_party/a/b.onnx")));
    assert!(config.excludes(Path::new("old/b.onnx")));
    assert!(!config.excludes(Path::new("old/deep/b.onnx")));
    let none = Overrides::default();
    let server = config.settings(Path::new("server/a.onnx"), &none);
    let mobile = config.settings(Path::new("mobile/x/a.onnx"), &none);
    assert!(server.enabled(rule("CF001")) && !mobile.enabled(rule("CF001")));
    assert!(server.enabled(rule("CF016")) && !server.enabled(rule("CF013")));
    assert!(!server.enabled(rule("CF004")));
    assert_eq!(server.threshold(rule("CF005"), "white"), 0.4);
    assert_eq!(mobile.threshold(rule("CF005"), "white"), 0.5);
    assert_eq!(mobile.severity(rule("CF005")), Some(Severity::Warning));
    assert_eq!(
        (server.budget.macs, mobile.budget.macs),
        (Some(2_500_000_000), Some(300_000_000))
    );
    assert_eq!(mobile.budget.parameters, Some(5_000_000));
    assert_eq!(server.input_shapes["mask"], [1, 1, 224, 224]);
    let over = Overrides {
        select: Some(vec![Selector::parse("ALL").unwrap()]),
        ignore: vec![Selector::parse("cf01").unwrap()],
    };
    let asked = config.settings(Path::new("mobile/x/a.onnx"), &over);
    assert!(asked.enabled(rule("CF004")) && asked.enabled(rule("CF001")));
    assert!(!asked.enabled(rule("CF016")));
}

#[test]
fn mistakes_have_places_and_suggestions() {
    let mistakes = parse(
        r#"selct = ["CF001"]
ignore = ["CF999", "bad-wieghts"]
fail-level = "warn"
[rules.CF005]
whit = 0.4
severity = 3
[rules.CF0O5]
white = 1
[budget]
mac = 3
parameters = "many"
[[files]]
select = "ALL"
[input-shapes]
image = [1, -3]
"#,
    )
    .expect_err("mistakes");
    assert_eq!(
        mistakes,
        [
            "convfold.toml:1:1: there is no key \"selct\" here; did you mean \"select\"?",
            "convfold.toml:2:11: no rule is called \"CF999\"; did you mean \"CF009\"?",
            "convfold.toml:2:20: no rule is called \"bad-wieghts\"; did you mean \"bad-weights\"?",
            "convfold.toml:3:14: \"warn\" is no severity; did you mean \"warning\"?",
            "convfold.toml:5:1: there is no key \"whit\" here; did you mean \"white\"?",
            "convfold.toml:6:12: a string belongs here, not a number; put it in quotes",
            "convfold.toml:7:8: no rule is called \"CF0O5\"; did you mean \"CF005\"?",
            "convfold.toml:10:1: there is no key \"mac\" here; did you mean \"macs\"?",
            "convfold.toml:11:14: this is no quantity; write 5_000_000, \"2.5G\" or \"20 MB\"",
            "convfold.toml:12:1: this section names no files; add glob = \"models/**/*.onnx\"",
            "convfold.toml:15:9: this is no shape; write it as [1, 3, 224, 224]",
        ]
    );
    let syntax = parse("select = [\"CF001\"\nignore = 3").expect_err("no TOML");
    assert!(syntax[0].starts_with("convfold.toml:2:"), "{syntax:?}");
}

#[test]
fn python_projects_hold_it_as_a_table() {
    let file = Path::new("a/pyproject.toml");
    assert!(
        Config::parse("[project]\nname = \"x\"", file)
            .unwrap()
            .is_none()
    );
    let text = "[tool.ruff]\nselect = [\"E\"]\n[tool.convfold]\nselect = [\"CF016\"]\n";
    let config = Config::parse(text, file).unwrap().expect("a table");
    let settings = config.settings(Path::new("m.onnx"), &Overrides::default());
    assert!(settings.enabled(rule("CF016")) && !settings.enabled(rule("CF001")));
    assert_eq!(config.root, Path::new("a"));
    let mistakes = Config::parse("[tool.convfold]\nselct = []", file).unwrap_err();
    assert_eq!((mistakes[0].line, mistakes[0].column), (2, 1));
}
