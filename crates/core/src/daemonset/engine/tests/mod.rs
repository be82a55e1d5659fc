//! The engine against its twin, the judges, and the cases of section 26.

mod cases;
mod doubts;
mod events;
mod histories;
mod mended;
mod restarts;
mod rollouts;
mod work;
mod world;
