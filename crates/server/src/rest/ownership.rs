//! Field ownership on the write path: who writes (A73), and the entries that a write leaves (A152–A157).
//!
//! The rules are `everynode_api::apply`'s. It runs before admission, as upstream does: what admission and preparation add belongs to nobody.

use everynode_api::Object;
use everynode_api::apply::{self, Set, Writer};
use everynode_api::resource::Resource;
use everynode_api::status::Status;
use everynode_api::time;
use everynode_api::value::{Read, remove, same, set};
use http::header::USER_AGENT;
use serde_json::{Map, Value};

use crate::forms::shape;
use crate::request::call::Call;

const MANAGED: &str = "metadata.managedFields";
/// Bytes of a manager's name.
const MANAGER_MAX: usize = 128;

/// What becomes of field ownership in a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ownership<'p> {
    /// Who changes a field owns it; recorded under this subresource.
    Tracked(&'p str),
    /// The new object brings its entries: an apply.
    Given,
    /// It stays as stored: the server's own acts.
    Kept,
}

impl Call {
    /// Sets the entries of an object that is about to be written. `live` is absent on create.
    pub(crate) fn own(&self, ownership: Ownership<'_>, live: Option<&Object>, new: &mut Object) -> Result<(), Status> {
        match ownership {
            Ownership::Given => {}
            Ownership::Kept => keep(new, live),
            Ownership::Tracked(subresource) => {
                let row = self.row.stored();
                apply::update(shape(row)?, live, new, &self.author(row, subresource).writer());
            }
        }
        Ok(())
    }

    /// Who writes an object of a row through a subresource.
    pub(crate) fn author(&self, row: &Resource, subresource: &str) -> Author {
        Author {
            manager: self.manager(),
            api_version: row.api_version(),
            subresource: subresource.to_owned(),
            now: time::format(self.now),
            resets: apply::resets(row, subresource),
        }
    }

    /// `fieldManager`, else the program that the user agent names (A73).
    fn manager(&self) -> String {
        let asked = self.query.text("fieldManager");
        if !asked.is_empty() {
            return asked.to_owned();
        }
        let agent = self.headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let program = agent.split('/').next().unwrap_or_default();
        let mut name: String = program.chars().filter(|c| !c.is_control()).collect();
        name.truncate((0..=MANAGER_MAX.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0));
        name
    }
}

/// The writer of a request, apart from the request.
pub(crate) struct Author {
    manager: String,
    api_version: String,
    subresource: String,
    now: String,
    resets: Set,
}

impl Author {
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer {
            manager: &self.manager,
            api_version: &self.api_version,
            subresource: &self.subresource,
            now: &self.now,
            resets: &self.resets,
        }
    }
}

fn keep(new: &mut Object, live: Option<&Object>) {
    match live.and_then(|live| live.at(MANAGED)) {
        Some(entries) => set(new, MANAGED, entries.clone()),
        None => drop(remove(new, MANAGED)),
    }
}

/// Takes times back that are all that changed, so that the write is none (A69).
pub(crate) fn forget_times(new: &mut Object, old: &Object) {
    if new.at(MANAGED) == old.at(MANAGED) || !apply::same_but_times(new, old) {
        return;
    }
    let unchanged = same_members(new.as_object(), old.as_object(), &["metadata"])
        && same_members(new.map("metadata"), old.map("metadata"), &["managedFields", "resourceVersion"]);
    if unchanged {
        keep(new, Some(old));
    }
}

/// Whether two objects have the same members, but for some.
fn same_members(a: Option<&Map<String, Value>>, b: Option<&Map<String, Value>>, but: &[&str]) -> bool {
    let names = a.into_iter().chain(b).flat_map(Map::keys).filter(|name| !but.contains(&name.as_str()));
    names.into_iter().all(|name| same(a.and_then(|a| a.get(name)), b.and_then(|b| b.get(name))))
}
