//! Propagates facts through the graph; names no operator.
