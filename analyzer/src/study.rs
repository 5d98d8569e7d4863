//! A model with all that is known of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use compiler::facts::{Facts, Scope};
use compiler::ir::{Expr, Graph, GraphError};
use compiler::model::Model;

use crate::describe;
use crate::information::{Information, weight_reports};
use crate::layers::Walk;
use crate::receptive::{Fields, Layout};
use crate::report::{Analysis, OutputField, SCHEMA};
use crate::unit::OneSample;

/// What an analysis depends on besides the model.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Shapes of graph inputs by name, in place of what the model declares.
    pub input_shapes: HashMap<String, Vec<i64>>,
    /// Look at the weights themselves too ([`crate::Information::weights`]).
    pub weights: bool,
    /// Told while the weights are looked at.
    pub progress: Progress,
}

/// What is called with the count done, the count of all and a layer's name.
type Tell = dyn Fn(usize, usize, &str) + Send + Sync;

/// Someone who wants to hear how far the work is.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Tell>>);

impl Progress {
    /// Calls `tell` with the count done, the count of all and a layer's name,
    /// from any thread.
    pub fn new(tell: impl Fn(usize, usize, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, done: usize, all: usize, layer: &str) {
        if let Some(tell) = &self.0 {
            tell(done, all, layer);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

/// Why a model cannot be analyzed.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The graph is not one.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A shape is given for an input that the model does not have.
    #[error("the model has no input \"{name}\"; it has {}", inputs.join(", "))]
    UnknownInput {
        /// The name that was given.
        name: String,
        /// The names that there are.
        inputs: Vec<String>,
    },
    /// A given shape contradicts the declared one.
    #[error(
        "input \"{name}\" is declared as {declared}, which {given} contradicts; \
         give the shape that the model takes"
    )]
    Contradiction {
        /// The input.
        name: String,
        /// Its declared shape.
        declared: String,
        /// The given one.
        given: String,
    },
}

/// Analyzes a model: cost, receptive field and aliasing of each layer.
///
/// # Errors
/// [`AnalyzeError`]. What is not understood about single nodes is a gap in
/// the result, not an error.
pub fn analyze(model: &Model, options: &Options) -> Result<Analysis, AnalyzeError> {
    Ok(Study::new(model, options)?.analysis())
}

/// A model with all that is known of it: what the report is written from, and
/// what questions about single units and the rules are answered from.
pub struct Study<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its graph, function calls expanded.
    pub graph: &'a Graph,
    /// Types, shapes, constants.
    pub facts: Facts,
    /// Receptive fields.
    pub fields: Fields,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    /// Made when the first question about a single unit is asked.
    pub(crate) one: OnceLock<OneSample>,
}

impl<'a> Study<'a> {
    /// Infers facts and receptive fields.
    ///
    /// # Errors
    /// [`AnalyzeError`].
    pub fn new(model: &'a Model, options: &Options) -> Result<Self, AnalyzeError> {
        let graph = model.expanded();
        check_shapes(graph, &options.input_shapes)?;
        let facts = model.facts(&Scope::of_inputs(options.input_shapes.clone()))?;
        let fields = Fields::trace(graph, &facts);
        let inputs = fields.spatial().into_iter().filter_map(|axes| {
            let input = *graph.inputs.get(axes.first()?.input)?;
            Some((graph.value(input).name.clone(), axes))
        });
        Ok(Self {
            layout: Layout {
                inputs: inputs.collect(),
            },
            model,
            graph,
            facts,
            fields,
            options: options.clone(),
            one: OnceLock::new(),
        })
    }

    /// Writes the report.
    pub fn analysis(&self) -> Analysis {
        let mut walk = Walk::new(&self.layout);
        let one = Expr::from(1);
        walk.graph(self.graph, &self.facts, &self.fields, &[], &one);
        let mut totals = walk.totals(self.graph, &self.facts);
        totals.receptive_field.outputs = self
            .graph
            .outputs
            .iter()
            .map(|&v| OutputField {
                name: self.graph.value(v).name.clone(),
                receptive_field: self.layout.describe(&self.facts, &self.fields, v),
            })
            .collect();
        let mut information = Information {
            compound_aliasing: walk.compounds,
            ..Information::of(self, &walk.layers)
        };
        if self.options.weights {
            let reports = weight_reports(self.graph, &self.facts, &self.options.progress);
            information.weights = Some(reports);
        }
        Analysis {
            schema: SCHEMA,
            model: describe::info(self.model, &self.facts),
            totals,
            layers: walk.layers,
            information,
        }
    }
}

fn check_shapes(graph: &Graph, given: &HashMap<String, Vec<i64>>) -> Result<(), AnalyzeError> {
    let mut names: Vec<&String> = given.keys().collect();
    names.sort_unstable();
    for name in names {
        let inputs = || graph.inputs.iter().map(|&v| graph.value(v));
        let Some(input) = inputs().find(|v| v.name == *name) else {
            return Err(AnalyzeError::UnknownInput {
                name: name.clone(),
                inputs: inputs().map(|v| format!("\"{}\"", v.name)).collect(),
            });
        };
        let shape = &given[name];
        let declared = input.declared.as_ref().and_then(|d| d.shape.as_ref());
        let fits = declared.is_none_or(|d| {
            d.len() == shape.len()
                && d.iter().zip(shape).all(|(d, &s)| {
                    s >= 0 && d.as_const().is_none_or(|d| d == 0 || d == i128::from(s))
                })
        });
        if !fits {
            let list = |sizes: Vec<String>| sizes.join("x");
            return Err(AnalyzeError::Contradiction {
                name: name.clone(),
                declared: list(
                    declared
                        .into_iter()
                        .flatten()
                        .map(ToString::to_string)
                        .collect(),
                ),
                given: list(shape.iter().map(ToString::to_string).collect()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{A, Net};

    fn conv() -> Net {
        Net::new()
            .input("x", &["N", "3", "8", "8"])
            .absent("w", &[4, 3, 3, 3])
            .weight("b", &[4], &[0.0; 4])
            .node(
                "Conv",
                &["x", "w", "b"],
                &["y"],
                &[("pads", A::Is(&[1, 1, 1, 1]))],
            )
    }

    #[test]
    fn symbolic_cost_is_a_polynomial() {
        let model = conv().output("y").model();
        let analysis = analyze(&model, &Options::default()).unwrap();
        let layer = &analysis.layers[0];
        assert_eq!((layer.parameters, layer.buffers), (112, 0));
        let json = serde_json::to_value(&analysis).unwrap();
        assert_eq!(json["totals"]["macs"], "6912*N");
        assert_eq!(json["totals"]["flops"], "14080*N");
        // The input and the output are alive together.
        assert_eq!(json["totals"]["peak_activation_bytes"], "1792*N");
        assert_eq!(json["layers"][0]["shape"][0], "N");
        assert_eq!(json["layers"][0]["patch_ratio"], 0.148_148_148);
    }

    #[test]
    fn numbers_with_an_input_shape() {
        let model = conv().output("y").model();
        let options = |shape: &[i64]| Options {
            input_shapes: [("x".to_owned(), shape.to_vec())].into(),
            ..Options::default()
        };
        let analysis = analyze(&model, &options(&[2, 3, 8, 8])).unwrap();
        assert_eq!(analysis.totals.macs.known(), Some(13824));
        assert!(matches!(
            analyze(&model, &options(&[2, 3, 9, 8])),
            Err(AnalyzeError::Contradiction { .. })
        ));
    }

    #[test]
    fn a_shared_weight_counts_once() {
        let model = conv()
            .absent("v", &[4, 4, 1, 1])
            .node("Conv", &["y", "v", "b"], &["z"], &[])
            .output("z")
            .model();
        let analysis = analyze(&model, &Options::default()).unwrap();
        assert_eq!(analysis.totals.parameters, 112 + 16);
        assert_eq!(analysis.layers[1].shared_parameters, 4);
        assert_eq!(analysis.totals.weight_bytes, 4 * 128);
    }

    #[test]
    fn an_unknown_operator_is_a_gap_and_no_zero() {
        let model = conv()
            .node_of("local", "Mystery", &["y"], &["z"], &[])
            .output("z")
            .model();
        let analysis = analyze(&model, &Options::default()).unwrap();
        assert_eq!(analysis.totals.gaps, 1);
        assert!(analysis.layers[1].macs.is_none());
        assert!(analysis.layers[1].gap.as_ref().unwrap().contains("Mystery"));
    }
}
