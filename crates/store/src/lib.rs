//! MEMORY: revisions, compare-and-swap, watch, compaction over opaque bytes.
