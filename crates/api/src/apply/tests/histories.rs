//! Random histories of applies and updates by several managers: what must hold after every write, whoever wrote what.

use proptest::prelude::*;

use super::*;
use crate::value::set;

/// One write. The bits say which labels, variables and finalizers it wants; the value is written into each.
#[derive(Clone, Debug)]
struct Write {
    manager: usize,
    applies: bool,
    force: bool,
    labels: u8,
    variables: u8,
    finalizers: u8,
    value: u8,
}

const MANAGERS: [&str; 3] = ["m0", "m1", "m2"];

fn write() -> impl Strategy<Value = Write> {
    (0..3usize, any::<bool>(), any::<bool>(), 0..8u8, 0..8u8, 0..8u8, 1..3u8).prop_map(
        |(manager, applies, force, labels, variables, finalizers, value)| Write {
            manager,
            applies,
            force,
            labels,
            variables,
            finalizers,
            value,
        },
    )
}

impl Write {
    fn object(&self) -> Value {
        let chosen = |bits: u8| ["a", "b", "c"].into_iter().enumerate().filter(move |(i, _)| bits & (1 << i) != 0);
        let value = self.value.to_string();
        let mut object = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"}});
        for (_, name) in chosen(self.labels) {
            set(&mut object, &format!("metadata.labels.{name}"), value.as_str());
        }
        let env: Vec<Value> = chosen(self.variables).map(|(_, name)| json!({"name": name, "value": value})).collect();
        if !env.is_empty() {
            set(&mut object, "spec.template.spec.containers", json!([{"name": "main", "env": env}]));
        }
        let finalizers: Vec<String> = chosen(self.finalizers).map(|(_, name)| format!("x/{name}")).collect();
        if !finalizers.is_empty() {
            set(&mut object, "metadata.finalizers", finalizers);
        }
        object
    }
}

/// The value at a path, if there is one.
fn find<'v>(object: &'v Value, path: &[Element]) -> Option<&'v Value> {
    path.iter().try_fold(object, |here, step| match step {
        Element::Field(name) => here.get(name),
        Element::Key(keys) => here.as_array()?.iter().find(|element| {
            keys.iter().all(|(name, value)| element.get(name).and_then(Scalar::of).as_ref() == Some(value))
        }),
        Element::Value(value) => here.as_array()?.iter().find(|element| Scalar::of(element).as_ref() == Some(value)),
        Element::Index(_) => None,
    })
}

fn check(live: &Live) {
    let Some(object) = &live.object else { return };
    let full = crate::codec::json::full(object, live.target.shape);
    for (owner, fields) in live.owners() {
        let owned = read_fields(&fields).expect("a set");
        assert!(!owned.is_empty(), "{owner} owns nothing and stands there");
        assert_eq!(write_fields(&owned), fields, "{owner}: one form");
        // A container may be owned after its last part went (A154).
        let is_container = |path: &[Element]| {
            let name = show(path);
            [".labels", ".finalizers", ".containers", ".env"].iter().any(|container| name.ends_with(container))
        };
        for path in owned.paths().into_iter().filter(|path| !is_container(path)) {
            assert!(find(&full, &path).is_some(), "{owner} owns {} which is not there: {full}", show(&path));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A151, A152: who owns a field, owns one that exists; a forced intent holds and is owned by who forced it; an apply that went
    /// through goes through again and changes nothing; what is refused changes nothing.
    #[test]
    fn a151_ownership_holds_after_every_write(history in prop::collection::vec(write(), 1..12)) {
        let mut live = Live::daemon_set();
        for write in history {
            let (manager, wanted) = (MANAGERS[write.manager], write.object());
            if !write.applies {
                live.update(manager, |object| {
                    let entries = object.at("metadata.managedFields").cloned();
                    *object = wanted.clone();
                    set(object, "metadata.managedFields", entries.unwrap_or_default());
                });
                check(&live);
                continue;
            }
            let before = live.object.clone();
            if live.apply(manager, &wanted, write.force).is_err() {
                prop_assert!(!write.force, "nothing refuses a forced apply");
                prop_assert_eq!(&live.object, &before);
                continue;
            }
            check(&live);
            let claimed = fields_of(live.target.shape, &wanted);
            let own = read_fields(&live.fields_of(&format!("{manager} Apply"))).expect("a set");
            for path in claimed.paths().iter().filter(|path| **path != [Element::Field("metadata".into()), Element::Field("name".into())]) {
                prop_assert!(own.has_path(path), "{} is claimed and not owned", show(path));
                let now = find(live.object.as_ref().expect("an object"), path);
                prop_assert_eq!(now.map(Value::is_object), find(&wanted, path).map(Value::is_object));
                if now.is_some_and(Value::is_string) {
                    prop_assert_eq!(now, find(&wanted, path));
                }
            }
            let after = live.object.clone();
            prop_assert!(live.apply(manager, &wanted, false).is_ok(), "again");
            prop_assert_eq!(&live.object, &after);
        }
    }
}
