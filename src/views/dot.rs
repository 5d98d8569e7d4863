//! The graph in graphviz's language, layers coloured by risk.

use std::collections::HashMap;
use std::fmt::Write;

use analyzer::{Analysis, Layer};
use compiler::ir::Graph;

use super::risk::{Level, Risks};
use super::{count, sizes};

/// The operators that depend on the input, and what flows between them.
pub fn dot(graph: &Graph, analysis: &Analysis) -> String {
    let layers: HashMap<&str, &Layer> = analysis
        .layers
        .iter()
        .map(|l| (l.node.as_str(), l))
        .collect();
    let risks = Risks::of(analysis);
    let live = |name: &str| layers.get(name).is_none_or(|l| !l.constant);
    let mut out = String::from(
        "digraph model {\n  graph [rankdir=TB]\n  node [shape=box, style=\"rounded,filled\", \
         fillcolor=white, fontname=\"sans-serif\", fontsize=10]\n  \
         edge [fontname=\"sans-serif\", fontsize=8, color=gray40]\n",
    );
    let legend: Vec<String> = Level::ALL
        .iter()
        .map(|level| format!("{}: {}", level.colour(), level.what()))
        .collect();
    let mut put = |line: std::fmt::Arguments| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {line}");
    };
    put(format_args!(
        "label={}; labelloc=t; fontname=\"sans-serif\"; fontsize=10",
        quoted(&legend.join("\n"))
    ));
    for (i, &input) in graph.inputs.iter().enumerate() {
        let name = quoted(&graph.value(input).name);
        put(format_args!("i{i} [label={name}, fillcolor=lightgray]"));
    }
    let mut numbers = HashMap::new();
    for (i, &id) in graph.order().iter().enumerate() {
        let name = graph.node_name(id);
        if live(&name) {
            numbers.insert(id, i);
            let op = &graph.node(id).op;
            let (level, reasons) = risks.at(&name);
            let mut lines = layers
                .get(name.as_str())
                .map_or_else(|| vec![op.clone(), name.clone()], |layer| label(layer));
            lines.extend(reasons.iter().cloned());
            put(format_args!(
                "n{i} [label={}, fillcolor={}]",
                quoted(&lines.join("\n")),
                level.colour()
            ));
        }
    }
    let source = |value| match graph.producer(value) {
        Some(node) => numbers.get(&node).map(|n| format!("n{n}")),
        None => graph
            .inputs
            .iter()
            .position(|&v| v == value)
            .map(|i| format!("i{i}")),
    };
    for &id in graph.order() {
        let Some(number) = numbers.get(&id) else {
            continue;
        };
        let node = graph.node(id);
        for &value in node.inputs.iter().flatten().chain(&node.captures) {
            if let Some(from) = source(value) {
                let shape = graph.producer(value).and_then(|producer| {
                    layers
                        .get(graph.node_name(producer).as_str())?
                        .shape
                        .as_ref()
                });
                let shape = quoted(&shape.map_or_else(String::new, |s| sizes(s)));
                put(format_args!("{from} -> n{number} [label={shape}]"));
            }
        }
    }
    for (i, &output) in graph.outputs.iter().enumerate() {
        let name = quoted(&graph.value(output).name);
        put(format_args!("o{i} [label={name}, fillcolor=lightgray]"));
        if let Some(from) = source(output) {
            put(format_args!("{from} -> o{i}"));
        }
    }
    out.push_str("}\n");
    out
}

fn label(layer: &Layer) -> Vec<String> {
    let mut first = layer.op.clone();
    if !layer.kernel.is_empty() {
        first += &format!(" {}", sizes(&layer.kernel));
        if layer.stride.iter().any(|&s| s != 1) {
            first += &format!(" / {}", sizes(&layer.stride));
        }
    }
    let mut lines = vec![first, layer.node.clone()];
    if let Some(macs) = layer.macs.as_ref().filter(|m| m.known() != Some(0)) {
        lines.push(format!("{} MACs", count(macs)));
    }
    lines
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
