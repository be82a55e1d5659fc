//! Subresources of pods that are acts, not views: `binding` and `eviction` (A262, A263).

use everynode_api::Object;
use everynode_api::registry;
use everynode_api::resource::Resource;
use everynode_api::selector::structured;
use everynode_api::status::{Cause, Status};
use everynode_api::time;
use everynode_api::value::{Read, list_mut, remove, set, set_entry};
use serde_json::{Value, json};

use crate::admission::Operation;
use crate::answer::Answer;
use crate::body::RequestBody;
use crate::forms::normal;
use crate::request::call::Call;
use crate::request::options::{self, DeleteOptions, WriteOptions};
use crate::rest::intake;
use crate::rest::ownership::Ownership;
use crate::rest::update::Plan;
use crate::{failure, stored};

impl Call {
    /// POST of a Binding: assigns a pod to a node.
    pub(crate) async fn bind(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = WriteOptions::parse(&self.query, options::Write::Create)?;
        let bytes = intake::read(&self.headers, body).await?;
        let (mut binding, warnings) = intake::decode(self, &bytes, options.strictness)?;
        self.warn(warnings);
        intake::check_namespace(self, &binding)?;
        if self.place.name.is_empty() {
            // `…/bindings` names the pod in the body.
            self.place.name = binding.text_or_empty("metadata.name").to_owned();
        } else if binding.text_or_empty("metadata.name") != self.place.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let node = target(&binding)?.to_owned();
        if self.row.plural != "pods" {
            self.row = registry::find("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
        }
        let shared = self.shared.clone();
        let context = self.admission("binding", options.dry_run);
        let mut warnings = shared.security.admission.admit(&context, Operation::Create, None, &mut binding).await?;
        warnings.extend(shared.security.admission.validate(&context, Operation::Create, None, &binding).await?);
        self.warn(warnings);
        let now = time::format(self.now);
        let name = self.place.name.clone();
        let plan = Plan {
            subresource: "binding",
            dry_run: options.dry_run,
            replaces: false,
            own_act: true,
            ownership: Ownership::Kept,
        };
        self.change(&plan, &mut |current| bound(current.object, &binding, &name, &node, &now)).await?;
        Ok(Answer::Status(Status::created()))
    }

    /// POST of an Eviction: deletes a pod unless a disruption budget forbids it.
    pub(crate) async fn evict(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = WriteOptions::parse(&self.query, options::Write::Create)?;
        let bytes = intake::read(&self.headers, body).await?;
        let (mut eviction, warnings) = intake::decode(self, &bytes, options.strictness)?;
        self.warn(warnings);
        if eviction.text_or_empty("metadata.name") != self.place.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let mut delete = match eviction.at("deleteOptions") {
            Some(sent) => DeleteOptions::from_body(sent)?,
            None => DeleteOptions::default(),
        };
        delete.dry_run |= options.dry_run;
        let name = self.place.name.clone();
        let key = self.row.key(&self.place.namespace, &name);
        let entry = self.shared.store.get(&key).ok_or_else(|| failure::not_found(self.row, &name))?;
        let pod = normal(self.row, &entry)?;
        let shared = self.shared.clone();
        let context = self.admission("eviction", delete.dry_run);
        let mut warnings =
            shared.security.admission.admit(&context, Operation::Create, Some(&pod), &mut eviction).await?;
        warnings.extend(shared.security.admission.validate(&context, Operation::Create, Some(&pod), &eviction).await?);
        self.warn(warnings);
        if !bypasses_budget(&pod) {
            self.charge_budget(&pod, delete.dry_run).await?;
        }
        self.delete_named(&name, &delete).await?;
        Ok(Answer::Status(Status::created()))
    }

    /// Takes one disruption from the budget that covers a pod.
    async fn charge_budget(&mut self, pod: &Object, dry_run: bool) -> Result<(), Status> {
        let Some(budgets) = registry::find("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
        let labels = pod.map("metadata.labels");
        let page = self
            .shared
            .store
            .list(&budgets.prefix(Some(&self.place.namespace)), None, 0, None)
            .map_err(Status::internal)?;
        let mut covering = page.entries.iter().filter(|entry| {
            stored::parse(&entry.value)
                .at("spec.selector")
                .is_some_and(|selector| structured::matches(selector, labels))
        });
        let Some(first) = covering.next() else { return Ok(()) };
        if covering.next().is_some() {
            let text =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::unclassified(text));
        }
        let name = stored::parse(&first.value).text_or_empty("metadata.name").to_owned();
        let mut call = self.about(budgets, &name);
        let (pod_name, now) = (self.place.name.clone(), time::format(self.now));
        let plan = Plan { subresource: "status", dry_run, replaces: false, own_act: false, ownership: Ownership::Kept };
        call.change(&plan, &mut |current| charged(current.object, &pod_name, &now)).await.map(|_| ())
    }

    /// A call of the same caller in the same namespace about another object.
    fn about(&self, row: &'static Resource, name: &str) -> Call {
        let mut place = self.place.clone();
        row.group.clone_into(&mut place.group);
        row.version.clone_into(&mut place.version);
        row.plural.clone_into(&mut place.resource);
        name.clone_into(&mut place.name);
        place.subresource.clear();
        Call {
            shared: self.shared.clone(),
            identity: crate::Identity::masters("system:apiserver"),
            method: self.method.clone(),
            place,
            row,
            sub: None,
            query: self.query.clone(),
            headers: self.headers.clone(),
            now: self.now,
            sent: None,
            warnings: Vec::new(),
        }
    }
}

fn target(binding: &Object) -> Result<&str, Status> {
    use everynode_api::field::{Error, Path};
    let kind = binding.text_or_empty("target.kind");
    let name = binding.text_or_empty("target.name");
    let mut errors = Vec::new();
    if !kind.is_empty() && kind != "Node" {
        errors.push(Error::not_supported(&Path::new("target.kind"), kind, &["Node", "<empty>"]));
    }
    if name.is_empty() {
        errors.push(Error::required(&Path::new("target.name"), ""));
    }
    if errors.is_empty() {
        return Ok(name);
    }
    // Upstream hands the bare list of field errors on, which its error layer does not know.
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let text = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
    Err(Status::unclassified(text))
}

/// The pod on its node.
fn bound(pod: &Object, binding: &Object, name: &str, node: &str, now: &str) -> Result<Object, Status> {
    let conflict = |why: String| Status::conflict("", "pods/binding", name, why);
    if pod.at("metadata.deletionTimestamp").is_some() {
        return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let taken = pod.text_or_empty("spec.nodeName");
    if !taken.is_empty() {
        return Err(conflict(format!("pod {name} is already assigned to node {taken:?}")));
    }
    if !pod.list("spec.schedulingGates").is_empty() {
        return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    for (path, sent) in [("metadata.uid", "uid"), ("metadata.resourceVersion", "resourceVersion")] {
        let precondition = binding.text_or_empty(path);
        if !precondition.is_empty() && precondition != pod.text_or_empty(path) {
            let own = pod.text_or_empty(path);
            return Err(conflict(format!(
                "Precondition failed: {sent} in precondition: {precondition}, {sent} in object meta: {own}"
            )));
        }
    }
    let mut new = pod.clone();
    set(&mut new, "spec.nodeName", node);
    for member in ["metadata.labels", "metadata.annotations"] {
        for (key, value) in binding.map(member).into_iter().flatten() {
            set_entry(&mut new, member, key, value.clone());
        }
    }
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    let conditions = list_mut(&mut new, "status.conditions");
    conditions.retain(|condition| condition.text("type") != Some("PodScheduled"));
    conditions.push(scheduled);
    drop(remove(&mut new, "status.nominatedNodeName"));
    Ok(new)
}

/// Pods that are finished, not started or already going may always be evicted.
fn bypasses_budget(pod: &Object) -> bool {
    matches!(pod.text_or_empty("status.phase"), "Succeeded" | "Failed" | "Pending" | "")
        || pod.at("metadata.deletionTimestamp").is_some()
}

/// The budget with one disruption less, or the refusal (A262).
fn charged(budget: &Object, pod: &str, now: &str) -> Result<Object, Status> {
    const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
    let name = budget.text_or_empty("metadata.name");
    let cause = |message: String| Cause { reason: "DisruptionBudget".to_owned(), message, field: String::new() };
    if budget.int("status.observedGeneration").unwrap_or(0) < budget.int("metadata.generation").unwrap_or(0) {
        let message = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Status::too_many_requests(REFUSED, vec![cause(message)], 10));
    }
    let allowed = budget.int("status.disruptionsAllowed").unwrap_or(0);
    if allowed <= 0 {
        let desired = budget.int("status.desiredHealthy").unwrap_or(0);
        let current = budget.int("status.currentHealthy").unwrap_or(0);
        let message = format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently");
        return Err(Status::too_many_requests(REFUSED, vec![cause(message)], 0));
    }
    let mut new = budget.clone();
    set(&mut new, "status.disruptionsAllowed", allowed - 1);
    set_entry(&mut new, "status.disruptedPods", pod, Value::from(now));
    Ok(new)
}
