//! Matching: labels, node affinity, taints and quantities. Nothing here decides.
//!
//! Not here: the query syntax of list requests (`everynode-api`), and which taints matter to whom (the callers).

mod label;
mod node;
mod quantity;
mod taint;

pub use label::{LabelSelector, Operator, Requirement};
pub use node::{
    FieldRequirement, Labelled, NodeOperator, NodeRequirement, NodeSelector, NodeTerm, node_selector_matches,
};
pub use quantity::{Quantity, Resources};
pub use taint::{Effect, Taint, Toleration, TolerationOperator, untolerated};

#[cfg(test)]
mod tests;
