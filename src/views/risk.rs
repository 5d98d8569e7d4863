//! How much there is to look at in a layer, and why.

use std::collections::HashMap;

use analyzer::{AliasingKind, Analysis};

use crate::units;

/// How much there is to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Something that can be had better.
    Low,
    /// Something that should be known.
    Medium,
    /// Much of what is read is lost or folded back.
    High,
    /// It is not known.
    Unknown,
}

impl Level {
    /// All, in rising order.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Unknown,
    ];

    /// Its colour by graphviz's names.
    pub fn colour(self) -> &'static str {
        match self {
            Self::None => "white",
            Self::Low => "lightyellow",
            Self::Medium => "gold",
            Self::High => "tomato",
            Self::Unknown => "lightpink",
        }
    }

    /// What it stands for.
    pub fn what(self) -> &'static str {
        match self {
            Self::None => "nothing to look at",
            Self::Low => "wasted work: sees more than the image, or is linear in a row",
            Self::Medium => "aliasing below a half, blind or misaligned",
            Self::High => "aliasing of a half or more, or input that is never read",
            Self::Unknown => "not fully known",
        }
    }
}

/// The levels and reasons by layer.
#[derive(Default)]
pub struct Risks(HashMap<String, (Level, Vec<String>)>);

/// Shares of energy below this are not worth a colour.
const LEAST: f64 = 0.1;

impl Risks {
    /// The risks of a model's layers.
    pub fn of(analysis: &Analysis) -> Self {
        let mut risks = Self::default();
        for layer in &analysis.layers {
            if let Some(gap) = &layer.gap {
                risks.add(&layer.node, Level::Unknown, gap.clone());
            }
            if let Some(aliasing) = &layer.aliasing {
                let white = aliasing.white.0;
                let level = match white {
                    w if w >= 0.5 => Level::High,
                    w if w >= LEAST => Level::Medium,
                    _ => Level::None,
                };
                let bound = match aliasing.kind {
                    AliasingKind::Bound => "at most ",
                    AliasingKind::Measure => "",
                };
                let text = format!("aliasing {bound}{}", units::small(white));
                risks.add(&layer.node, level, text);
            }
            let field = layer.receptive_field.as_ref();
            if let Some(apart) = field.and_then(|f| f.misalignment.as_ref()) {
                let apart: Vec<String> = apart.iter().flatten().map(ToString::to_string).collect();
                let text = format!("branches {} pixels apart", apart.join(" and "));
                risks.add(&layer.node, Level::Medium, text);
            }
        }
        let information = &analysis.information;
        for layer in &information.without_overlap {
            if layer.unread.0 > 0.0 {
                let text = format!(
                    "{} of its input is never read",
                    units::percent(layer.unread.0)
                );
                risks.add(&layer.node, Level::High, text);
            }
        }
        for layer in &information.unproductive {
            let text = "its input sees more than the image".into();
            risks.add(&layer.node, Level::Low, text);
        }
        for layer in &information.blind {
            let text = "sees less than the image".into();
            risks.add(&layer.node, Level::Medium, text);
        }
        for pair in &information.linear_pairs {
            risks.add(
                &pair.second,
                Level::Low,
                format!("linear after {}", pair.first),
            );
        }
        risks
    }

    fn add(&mut self, node: &str, level: Level, reason: String) {
        let (known, reasons) = self.0.entry(node.to_owned()).or_default();
        *known = level.max(*known);
        reasons.push(reason);
    }

    /// The level of a layer, and the reasons.
    pub fn at(&self, node: &str) -> (Level, &[String]) {
        let found = self.0.get(node);
        found.map_or((Level::None, &[]), |(level, reasons)| (*level, reasons))
    }
}
