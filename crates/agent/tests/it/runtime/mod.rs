//! The built-in runtime on this machine: as root, else skipped loudly.

mod archive;
mod bench;
mod contract;
mod exec;
mod failures;
mod layers;
mod leaks;
mod store;
mod takeover;
mod world;
