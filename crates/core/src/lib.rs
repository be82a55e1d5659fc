//! BRAIN: every decision, none of the doing.
