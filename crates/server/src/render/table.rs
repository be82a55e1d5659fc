//! Tables: columns and cells from the registry's printers, in the envelope of meta.k8s.io (A170–A172).

use everynode_api::resource::Resource;
use jiff::Timestamp;
use serde_json::json;

use super::metadata_of;
use crate::forms::present;
use crate::list::{self, Page};
use crate::request::look::Include;
use crate::stored;

/// The table of one object; `columns`: with the column definitions.
pub(crate) fn row_table(row: &Resource, object: &[u8], include: Include, columns: bool, meta_version: &str) -> Vec<u8> {
    let value = stored::parse(object);
    let metadata = format!("{{\"resourceVersion\":{}}}", json!(stored::revision_of(&value)));
    let mut out = head(row, &metadata, columns, meta_version);
    push_row(&mut out, row, object, include, meta_version, Timestamp::now());
    out.extend_from_slice(b"]}");
    out
}

/// The table of a page.
pub(super) fn list_table(row: &'static Resource, page: &Page, include: Include, meta_version: &str) -> Vec<u8> {
    let mut out = head(row, &list::list_metadata(page).to_string(), true, meta_version);
    let now = Timestamp::now();
    for (index, entry) in page.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_row(&mut out, row, &present(row, &entry.value), include, meta_version, now);
    }
    out.extend_from_slice(b"]}");
    out
}

fn head(row: &Resource, metadata: &str, columns: bool, meta_version: &str) -> Vec<u8> {
    let definitions = if columns { definitions(row) } else { "null".to_owned() };
    format!(
        "{{\"kind\":\"Table\",\"apiVersion\":\"{meta_version}\",\"metadata\":{metadata},\
         \"columnDefinitions\":{definitions},\"rows\":["
    )
    .into_bytes()
}

fn definitions(row: &Resource) -> String {
    let columns = row.printer.columns.iter().map(|column| {
        format!(
            "{{\"name\":{},\"type\":{},\"format\":{},\"description\":{},\"priority\":{}}}",
            json!(column.name),
            json!(column.kind),
            json!(column.format),
            json!(column.description),
            column.priority
        )
    });
    format!("[{}]", columns.collect::<Vec<_>>().join(","))
}

fn push_row(out: &mut Vec<u8>, row: &Resource, object: &[u8], include: Include, meta_version: &str, now: Timestamp) {
    let value = stored::parse(object);
    let cells = serde_json::Value::Array((row.printer.cells)(&value, now));
    out.extend_from_slice(format!("{{\"cells\":{cells}").as_bytes());
    if let Some(conditions) = (row.printer.conditions)(&value) {
        out.extend_from_slice(format!(",\"conditions\":{conditions}").as_bytes());
    }
    out.extend_from_slice(b",\"object\":");
    match include {
        Include::None => out.extend_from_slice(b"null"),
        Include::Object => out.extend_from_slice(object.strip_suffix(b"\n").unwrap_or(object)),
        Include::Metadata => out.extend_from_slice(&metadata_of(row, object, meta_version)),
    }
    out.push(b'}');
}
