//! GET: one object, a collection, a watch.

use everynode_api::status::Status;
use everynode_store::Revision;

use crate::answer::Answer;
use crate::negotiate::Accepted;
use crate::request::call::Call;
use crate::request::options::{self, ListOptions};
use crate::request::selection::Selection;
use crate::{failure, list, watch};

impl Call {
    /// GET of one object, or of its `status`, which is the whole object (A64, A95).
    pub(crate) async fn get(&mut self) -> Result<Answer, Status> {
        let text = self.query.text("resourceVersion");
        let asked = options::revision(text)
            .map_err(|why| Status::unclassified(options::bad_revision(text, &why)))?
            .unwrap_or(0);
        list::wait_for(&self.shared.store, Revision(asked)).await?;
        let key = self.row.stored().key(&self.place.namespace, &self.place.name);
        let entry = self.shared.store.get(&key).ok_or_else(|| failure::not_found(self.row, &self.place.name))?;
        Ok(Answer::Object(200, entry.value))
    }

    /// GET of a collection.
    pub(crate) async fn list(&mut self, accepted: Accepted) -> Result<Answer, Status> {
        if self.place.watch || self.query.flag("watch") {
            return watch::open(self, accepted).await.map(Answer::Raw);
        }
        let options = ListOptions::parse(&self.query, false)?;
        let selection = Selection::parse(self.row, &self.place, &self.query)?;
        let page = list::page(&self.shared.store, &selection, &options).await?;
        Ok(Answer::List(page))
    }
}
