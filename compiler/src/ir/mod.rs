//! The graph and its values; knows no operator.
