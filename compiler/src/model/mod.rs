//! A model: the file's own message and the graph made from it.
//!
//! Import reads the message into a [`Graph`]; export writes the graph back
//! into a copy of the message. What no pass touched is written as it was read.

mod export;
mod function;
mod import;
mod part;

pub(crate) use part::float;

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::facts::{Facts, Scope};
use crate::ir::{Graph, GraphError};
use crate::onnx::TensorDataError;
use crate::onnx::schema::{ModelProto, TensorProto};

/// Why a model cannot be read into a graph.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The message holds no graph.
    #[error("the model holds no graph; is it an ONNX model?")]
    NoGraph,
    /// The graph is not one.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A node reads a value that nothing provides.
    #[error("{node} reads \"{value}\", which no node, input or initializer provides")]
    Undefined {
        /// The reader.
        node: String,
        /// The value.
        value: String,
    },
    /// Two inputs or initializers have one name.
    #[error("\"{0}\" is defined twice; names are unique in an ONNX graph")]
    Duplicate(String),
    /// A tensor does not hold what it declares.
    #[error(transparent)]
    Tensor(#[from] TensorDataError),
    /// Functions call each other too deeply or grow too large.
    #[error("function {0} cannot be expanded: it calls itself or grows beyond {limit} nodes", limit = function::MAX_NODES)]
    Function(String),
    /// External data that cannot be read.
    #[error("{0}")]
    External(String),
}

/// Where the data of external tensors come from: the bytes of a tensor, or
/// `None` where they are not at hand.
pub type External<'a> = dyn Fn(&TensorProto) -> Result<Option<Bytes>, ImportError> + 'a;

/// A model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Where it was read from, for messages.
    pub path: PathBuf,
    /// The file's message. Its graph is replaced on export, all else is kept.
    pub proto: ModelProto,
    /// The main graph, function calls as they are.
    pub graph: Graph,
    inlined: Option<Graph>,
}

impl Model {
    /// Reads a decoded message into a graph, external data left where they are.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn from_proto(proto: ModelProto, path: &Path) -> Result<Self, ImportError> {
        Self::import(proto, path, &|_| Ok(None))
    }

    /// Reads a decoded message into a graph.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import(
        proto: ModelProto,
        path: &Path,
        external: &External,
    ) -> Result<Self, ImportError> {
        let opsets = import::opsets(&proto.opset_import);
        let main = proto.graph.as_ref().ok_or(ImportError::NoGraph)?;
        let graph = import::graph(main, &opsets, external)?;
        let inlined = match function::inline(&proto)? {
            Some(expanded) => Some(import::graph(&expanded, &opsets, external)?),
            None => None,
        };
        Ok(Self {
            path: path.to_owned(),
            proto,
            graph,
            inlined,
        })
    }

    /// The graph to analyze: calls of model-local functions are expanded, with
    /// the caller's name before the names inside.
    pub fn expanded(&self) -> &Graph {
        self.inlined.as_ref().unwrap_or(&self.graph)
    }

    /// The facts of [`Self::expanded`].
    ///
    /// # Errors
    /// A cycle.
    pub fn facts(&self, scope: &Scope) -> Result<Facts, GraphError> {
        Facts::infer(self.expanded(), scope)
    }

    /// The version of the standard's main operator set; 1 if none is imported.
    pub fn opset(&self) -> i64 {
        import::opsets(&self.proto.opset_import)
            .get("")
            .copied()
            .unwrap_or(1)
    }

    /// The message with the graph as it is now.
    pub fn to_proto(&self) -> ModelProto {
        export::model(self)
    }

    /// Sets a key of `metadata_props`.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        export::set_metadata(&mut self.proto.metadata_props, key, value);
    }
}
