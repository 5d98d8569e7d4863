//! From TOML to a checked [`Config`], all mistakes told at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use globset::GlobSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::did_you_mean;
use super::{Config, Mistake, PYPROJECT, Part, RulePart, Section, Selector, glob_set, quantity};
use crate::diagnostic::Severity;
use crate::figures::Figures;
use crate::rules::{RULES, Threshold};

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;
type Key<'a> = Spanned<Cow<'a, str>>;

/// Keys that may stand at the top and in a `[[files]]` section.
const PART: [&str; 5] = ["select", "ignore", "rules", "budget", "input-shapes"];
/// Keys that may stand at the top only.
const TOP: [&str; 4] = ["fail-level", "baseline", "exclude", "files"];
const BUDGET: [&str; 4] = [
    "parameters",
    "macs",
    "weight-bytes",
    "peak-activation-bytes",
];

pub(super) fn config(text: &str, file: &Path) -> Result<Option<Config>, Vec<Mistake>> {
    let document = DeTable::parse(text).map_err(|error| {
        let message = error.message().trim().replace('\n', "; ");
        vec![Mistake::at(file, text, error.span(), message, None)]
    })?;
    let document = document.into_inner();
    let table = if file.file_name().is_some_and(|n| n == PYPROJECT) {
        let tool = document.get("tool").and_then(|t| t.get_ref().as_table());
        match tool.and_then(|t| t.get("convfold")) {
            None => return Ok(None),
            Some(value) => value,
        }
    } else {
        &Spanned::new(0..0, DeValue::Table(document))
    };
    let mut reader = Reader {
        text,
        file,
        mistakes: Vec::new(),
    };
    let config = reader.top(table);
    if reader.mistakes.is_empty() {
        return Ok(Some(config));
    }
    let mut mistakes = reader.mistakes;
    mistakes.sort_by_key(|m| (m.line, m.column));
    Err(mistakes)
}

struct Reader<'a> {
    text: &'a str,
    file: &'a Path,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.mistakes
            .push(Mistake::at(self.file, self.text, Some(span), message, hint));
    }

    fn unknown_key(&mut self, key: &Key, known: &[&str]) {
        let hint = did_you_mean(key.get_ref(), known.iter().copied())
            .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
        let message = format!("there is no key \"{}\" here", key.get_ref());
        self.wrong(key.span(), message, Some(hint));
    }

    fn top(&mut self, value: &Value) -> Config {
        let root = match self.file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut config = Config {
            file: Some(self.file.to_owned()),
            ..Config::new(root)
        };
        let known: Vec<&str> = TOP.into_iter().chain(PART).collect();
        for (key, value) in self.table(value) {
            match key.get_ref().as_ref() {
                "fail-level" => {
                    config.fail_level = self.severity(value).unwrap_or(config.fail_level);
                }
                "baseline" => {
                    config.baseline = self.string(value).map(|path| config.root.join(path));
                }
                "exclude" => config.exclude = self.globs(value),
                "files" => config.sections = self.sections(value),
                _ if self.part(&mut config.base, key, value) => {}
                _ => self.unknown_key(key, &known),
            }
        }
        config
    }

    /// Reads a key of [`PART`]; says whether it is one.
    fn part(&mut self, part: &mut Part, key: &Key, value: &Value) -> bool {
        match key.get_ref().as_ref() {
            "select" => part.select = Some(self.selectors(value)),
            "ignore" => part.ignore = self.selectors(value),
            "rules" => part.rules = self.rules(value),
            "budget" => part.budget = self.budget(value),
            "input-shapes" => part.input_shapes = self.shapes(value),
            _ => return false,
        }
        true
    }

    fn sections(&mut self, value: &Value) -> Vec<Section> {
        let DeValue::Array(entries) = value.get_ref() else {
            let hint = "write [[files]] above each section".to_owned();
            self.wrong(value.span(), "\"files\" is a list of sections", Some(hint));
            return Vec::new();
        };
        entries.iter().map(|entry| self.section(entry)).collect()
    }

    fn section(&mut self, entry: &Value) -> Section {
        let mut globs = None;
        let mut part = Part::default();
        let known: Vec<&str> = ["glob"].into_iter().chain(PART).collect();
        for (key, value) in self.table(entry) {
            match key.get_ref().as_ref() {
                "glob" => globs = Some(self.globs(value)),
                _ if self.part(&mut part, key, value) => {}
                _ => self.unknown_key(key, &known),
            }
        }
        let globs = globs.unwrap_or_else(|| {
            let hint = "add glob = \"models/**/*.onnx\"".to_owned();
            self.wrong(entry.span(), "this section names no files", Some(hint));
            GlobSet::empty()
        });
        Section { globs, part }
    }

    fn rules(&mut self, value: &Value) -> Vec<RulePart> {
        let mut parts = Vec::new();
        for (key, value) in self.table(value) {
            let name = key.get_ref().as_ref();
            let found = RULES.iter().position(|r| r.code == name || r.name == name);
            let Some(rule) = found else {
                let names = RULES.iter().flat_map(|r| [r.code, r.name]);
                let hint = did_you_mean(name, names);
                let hint = hint.unwrap_or_else(|| "`convfold rules` lists them".to_owned());
                let message = format!("no rule is called \"{name}\"");
                self.wrong(key.span(), message, Some(hint));
                continue;
            };
            parts.push(self.rule(rule, value));
        }
        parts
    }

    fn rule(&mut self, rule: usize, value: &Value) -> RulePart {
        let mut part = RulePart {
            rule,
            severity: None,
            thresholds: Vec::new(),
        };
        let thresholds: &[Threshold] = RULES[rule].thresholds;
        let known: Vec<&str> = ["severity"]
            .into_iter()
            .chain(thresholds.iter().map(|t| t.key))
            .collect();
        for (key, value) in self.table(value) {
            let name = key.get_ref().as_ref();
            if name == "severity" {
                part.severity = self.severity(value);
            } else if let Some(place) = thresholds.iter().position(|t| t.key == name) {
                part.thresholds
                    .extend(self.number(value).map(|number| (place, number)));
            } else {
                self.unknown_key(key, &known);
            }
        }
        part
    }

    fn budget(&mut self, value: &Value) -> Figures {
        let mut figures = Figures::default();
        for (key, value) in self.table(value) {
            let place = match key.get_ref().as_ref() {
                "parameters" => &mut figures.parameters,
                "macs" => &mut figures.macs,
                "weight-bytes" => &mut figures.weight_bytes,
                "peak-activation-bytes" => &mut figures.peak_activation_bytes,
                _ => {
                    self.unknown_key(key, &BUDGET);
                    continue;
                }
            };
            *place = self.quantity(value);
        }
        figures
    }

    fn shapes(&mut self, value: &Value) -> BTreeMap<String, Vec<i64>> {
        let mut shapes = BTreeMap::new();
        for (key, value) in self.table(value) {
            let sizes = match value.get_ref() {
                DeValue::Array(sizes) => sizes.iter().map(|s| integer(s.get_ref())).collect(),
                DeValue::String(text) => text.split('x').map(|s| s.trim().parse().ok()).collect(),
                _ => None,
            };
            let sizes = sizes.filter(|s: &Vec<i64>| s.iter().all(|&d| d >= 0));
            if let Some(sizes) = sizes {
                shapes.insert(key.get_ref().clone().into_owned(), sizes);
            } else {
                let hint = "write it as [1, 3, 224, 224]".to_owned();
                self.wrong(value.span(), "this is no shape", Some(hint));
            }
        }
        shapes
    }

    fn table<'v, 't>(&mut self, value: &'v Value<'t>) -> Vec<(&'v Key<'t>, &'v Value<'t>)> {
        match value.get_ref() {
            DeValue::Table(table) => Table::iter(table).collect(),
            other => {
                let message = format!("a table belongs here, not {}", kind(other));
                self.wrong(value.span(), message, None);
                Vec::new()
            }
        }
    }

    fn string(&mut self, value: &Value) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.clone().into_owned());
        }
        let message = format!("a string belongs here, not {}", kind(value.get_ref()));
        self.wrong(value.span(), message, Some("put it in quotes".to_owned()));
        None
    }

    /// A list of strings with their places; one string counts as a list.
    fn strings(&mut self, value: &Value) -> Vec<(Range<usize>, String)> {
        let one = |reader: &mut Self, v: &Value| reader.string(v).map(|text| (v.span(), text));
        match value.get_ref() {
            DeValue::Array(entries) => entries.iter().filter_map(|v| one(self, v)).collect(),
            _ => one(self, value).into_iter().collect(),
        }
    }

    fn selectors(&mut self, value: &Value) -> Vec<Selector> {
        let mut selectors = Vec::new();
        for (span, text) in self.strings(value) {
            match Selector::parse(&text) {
                Ok(selector) => selectors.push(selector),
                Err(unknown) => {
                    let message = format!("no rule is called \"{text}\"");
                    self.wrong(span, message, Some(unknown.hint));
                }
            }
        }
        selectors
    }

    fn globs(&mut self, value: &Value) -> GlobSet {
        let mut sound = Vec::new();
        for (span, glob) in self.strings(value) {
            match glob_set(std::slice::from_ref(&glob)) {
                Ok(_) => sound.push(glob),
                Err(error) => self.wrong(span, format!("this is no glob: {error}"), None),
            }
        }
        glob_set(&sound).unwrap_or_default()
    }

    fn severity(&mut self, value: &Value) -> Option<Severity> {
        let text = self.string(value)?;
        let found = Severity::find(&text);
        if found.is_none() {
            let names = Severity::ALL.map(Severity::name);
            let hint = did_you_mean(&text, names)
                .unwrap_or_else(|| format!("it is one of {}", names.join(", ")));
            let message = format!("\"{text}\" is no severity");
            self.wrong(value.span(), message, Some(hint));
        }
        found
    }

    fn number(&mut self, value: &Value) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().replace('_', "").parse().ok(),
            other => integer(other).map(|v| v as f64),
        };
        let number = number.filter(|n: &f64| n.is_finite() && *n >= 0.0);
        if number.is_none() {
            self.wrong(value.span(), "a number of 0 or more belongs here", None);
        }
        number
    }

    fn quantity(&mut self, value: &Value) -> Option<u64> {
        let found = match value.get_ref() {
            DeValue::String(text) => quantity::parse(text),
            DeValue::Float(number) => quantity::parse(number.as_str()),
            other => integer(other).and_then(|v| u64::try_from(v).ok()),
        };
        if found.is_none() {
            let hint = "write 5_000_000, \"2.5G\" or \"20 MB\"".to_owned();
            self.wrong(value.span(), "this is no quantity", Some(hint));
        }
        found
    }
}

fn integer(value: &DeValue) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
