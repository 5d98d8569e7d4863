//! The e-graph side: language, segments, passes, extraction.
