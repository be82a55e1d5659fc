//! Field ownership (`metadata.managedFields`) and server-side apply (A146–A162), from the table of shapes.
//!
//! ```text
//! element   one step of a path: .name, [name="c"], [="v"]         place   what stands at a place: whole, or by its parts
//! set       a tree of steps                                        walk    the fields of a value; where two values differ
//! fields    a set as JSON (FieldsV1)                               merge   an intent over an object; fields out of one
//! managers  the entries: who owns what                             check   whether an intent fits its shape
//! track     every other write: who changes a field owns it         intent  one apply, with its conflicts
//! ```
//!
//! Pure, like all of `api`: the time is an argument. Not here: reading the request, defaults, validation, the commit (the server). Entries of
//! another version than the written one are kept as they are (A160 converts them; few kinds here have two).

mod check;
mod element;
mod fields;
mod intent;
mod managers;
mod merge;
mod place;
mod set;
mod track;
mod walk;

#[cfg(test)]
mod tests;

pub use element::{Element, Scalar};
pub use fields::{read as read_fields, write as write_fields};
pub use intent::{Target, apply, check_kind};
pub use managers::{Entry, Managers, Operation, Owner};
pub use set::{Set, show};
pub use track::{Writer, resets, same_but_times, update};
pub use walk::{Diff, Reading, compare, fields_of};
