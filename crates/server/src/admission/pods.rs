//! What a pod gets from its namespace, its account, its classes and its node.

use std::time::Duration;

use everynode_api::admission::{limits, nodes, priority, runtime_class, service_account, tolerations};
use everynode_api::status::Status;
use everynode_api::{Object, value};
use everynode_store::Store;
use serde_json::Value;

use super::{Context, Operation, list, read};

/// The default account of a new namespace is made a moment after it.
const ACCOUNT_WAIT: Duration = Duration::from_millis(50);
const ACCOUNT_TRIES: u32 = 20;
const SUFFIX_LENGTH: usize = 5;
/// No vowels, so that no words come about (A49).
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The mutating plugins on pods and their bindings, in order.
pub(super) async fn admit(
    store: &Store,
    context: &Context<'_>,
    operation: Operation,
    pod: &mut Object,
) -> Result<(), Status> {
    match (context.subresource, operation) {
        ("", Operation::Create) => {
            limits::default_resources(pod, &list(store, &format!("/registry/limitranges/{}/", context.namespace)));
            give_account(store, context, pod).await?;
        }
        ("binding", Operation::Create) => {
            let node = pod.pointer("/target/name").and_then(Value::as_str).and_then(|name| node_named(store, name));
            if let Some(node) = node {
                nodes::label_topology(pod, &node);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The plugins that come after those on nodes.
pub(super) fn admit_classes(
    store: &Store,
    context: &Context<'_>,
    operation: Operation,
    old: Option<&Object>,
    pod: &mut Object,
) -> Result<(), Status> {
    if !context.subresource.is_empty() {
        return Ok(());
    }
    let refused = |why: String| context.forbidden(why);
    match (operation, old) {
        (Operation::Create, _) => {
            let class = class_of(store, pod);
            priority::admit(pod, class.as_ref()).map_err(refused)?;
        }
        (Operation::Update, Some(old)) => priority::keep(pod, old),
        _ => return Ok(()),
    }
    tolerations::admit(pod);
    if operation == Operation::Create {
        let class = runtime_class::named(pod).and_then(|name| read(store, &format!("/registry/runtimeclasses/{name}")));
        runtime_class::admit(pod, class.as_ref()).map_err(refused)?;
        let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).and_then(|name| node_named(store, name));
        if let Some(node) = node {
            nodes::label_topology(pod, &node);
        }
    }
    Ok(())
}

/// LimitRanger's bounds.
pub(super) fn check_limits(store: &Store, context: &Context<'_>, pod: &Object) -> Result<(), Status> {
    let ranges = list(store, &format!("/registry/limitranges/{}/", context.namespace));
    limits::check(pod, &ranges).map_err(|why| context.forbidden(why))
}

async fn give_account(store: &Store, context: &Context<'_>, pod: &mut Object) -> Result<(), Status> {
    if service_account::is_mirror(pod) {
        return service_account::check_mirror(pod).map_err(|why| context.forbidden(why));
    }
    let name = service_account::fill_name(pod);
    let key = format!("/registry/serviceaccounts/{}/{name}", context.namespace);
    let tries = if name == "default" { ACCOUNT_TRIES } else { 1 };
    let mut account = read(store, &key);
    for _ in 1..tries {
        if account.is_some() {
            break;
        }
        tokio::time::sleep(ACCOUNT_WAIT).await;
        account = read(store, &key);
    }
    let Some(account) = account else {
        let why =
            format!("error looking up service account {}/{name}: serviceaccount {name:?} not found", context.namespace);
        return Err(context.forbidden(why));
    };
    service_account::admit(pod, &account, &suffix()).map_err(|why| context.forbidden(why))
}

fn class_of(store: &Store, pod: &Object) -> Option<Value> {
    let named = pod.pointer("/spec/priorityClassName").and_then(Value::as_str).filter(|name| !name.is_empty());
    match named {
        Some(name) => read(store, &format!("/registry/priorityclasses/{name}")),
        None => priority::default_class(list(store, "/registry/priorityclasses/").iter()).cloned(),
    }
}

fn node_named(store: &Store, name: &str) -> Option<Value> {
    read(store, &format!("/registry/minions/{name}"))
}

fn suffix() -> String {
    let random: [u8; SUFFIX_LENGTH] = rand::random();
    // Slightly uneven, which does not matter for a name that nobody must guess.
    random.iter().map(|byte| char::from(SUFFIX_ALPHABET[usize::from(*byte) % SUFFIX_ALPHABET.len()])).collect()
}

/// DefaultStorageClass (A234): the newest class that is marked as default.
pub(super) fn give_storage_class(store: &Store, claim: &mut Object) {
    const MARK: &str = "storageclass.kubernetes.io/is-default-class";
    if claim.pointer("/spec/storageClassName").is_some() {
        return;
    }
    let text = |class: &Value, pointer: &str| class.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let classes = list(store, "/registry/storageclasses/");
    let default = classes
        .iter()
        .filter(|class| {
            class.pointer("/metadata/annotations").and_then(|all| all.get(MARK)).and_then(Value::as_str) == Some("true")
        })
        .max_by_key(|class| {
            (text(class, "/metadata/creationTimestamp"), std::cmp::Reverse(text(class, "/metadata/name")))
        });
    if let Some(name) = default.and_then(|class| text(class, "/metadata/name")) {
        value::set(claim, "spec.storageClassName", name);
    }
}
