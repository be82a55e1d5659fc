//! The engine against its twin, the judges, and the cases of section 26.

mod cases;
mod histories;
mod rollouts;
mod world;
