//! Import and export of every model of the corpus.

use std::path::{Path, PathBuf};

use compiler::facts::Scope;
use compiler::model::Model;
use compiler::onnx::schema::ModelProto;
use prost::Message;

fn corpus() -> Vec<PathBuf> {
    let root = std::env::var("CONVFOLD_CORPUS")
        .unwrap_or_else(|_| format!("{}/../../shared/corpus", env!("CARGO_MANIFEST_DIR")));
    let mut files = Vec::new();
    for folder in ["", "structure", "light"] {
        let Ok(entries) = std::fs::read_dir(Path::new(&root).join(folder)) else {
            continue;
        };
        files.extend(
            entries
                .flatten()
                .map(|e| e.path())
                .filter(|p| p.extension().is_some_and(|x| x == "onnx")),
        );
    }
    files.sort();
    if files.is_empty() {
        assert!(
            std::env::var("CI").is_err(),
            "no corpus at {root}; set CONVFOLD_CORPUS"
        );
        eprintln!("SKIPPED: no corpus at {root}; set CONVFOLD_CORPUS");
    }
    files
}

#[test]
fn what_no_pass_touched_is_written_as_it_was_read() {
    for path in corpus() {
        let bytes = bytes::Bytes::from(std::fs::read(&path).unwrap());
        let proto = ModelProto::decode(bytes).unwrap();
        let model = Model::from_proto(proto.clone(), &path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(model.to_proto() == proto, "{}", path.display());
        let nodes = proto.graph.map_or(0, |g| g.node.len());
        assert_eq!(model.graph.order().len(), nodes, "{}", path.display());
        model.graph.sorted().unwrap();
    }
}

#[test]
fn every_node_of_the_corpus_is_understood() {
    for path in corpus() {
        let bytes = bytes::Bytes::from(std::fs::read(&path).unwrap());
        let model = Model::from_proto(ModelProto::decode(bytes).unwrap(), &path).unwrap();
        let graph = model.expanded();
        let facts = model.facts(&Scope::default()).unwrap();
        for &id in graph.order() {
            let context = format!("{}: {}", path.display(), graph.describe(id));
            assert!(facts.gap(id).is_none(), "{context}: {:?}", facts.gap(id));
            let operator = facts.operator(id).unwrap();
            let name = graph.node_name(id);
            let cx = facts.cx(graph, id, &name);
            let out = facts.outputs_of(graph, id);
            operator
                .cost(&cx, &out)
                .unwrap_or_else(|gap| panic!("{context}: cost: {gap}"));
        }
    }
}
