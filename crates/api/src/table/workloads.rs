//! Tables of sets, jobs, budgets and revisions.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, NAME, Printer, age, ages, containers, count, labels, name, number, selector, text, wide};
use crate::Object;
use crate::value::Read;

const DESIRED: &str = "How many pods are wanted.";
const CONTAINERS: super::Column = wide(text("Containers", "Names of each container in the template."));
const IMAGES: super::Column = wide(text("Images", "Images referenced by each container in the template."));
const SELECTOR: super::Column = wide(text("Selector", "Which pods belong to it."));

/// Containers, images and selector of an object with a template.
fn template(object: &Object, cells: &mut Vec<Value>) {
    let (names, images) = containers(object.at("spec.template.spec"));
    cells.push(json!(names));
    cells.push(json!(images));
}

/// DaemonSets.
pub static DAEMON_SETS: Printer = Printer::new(
    &[
        NAME,
        number(
            "Desired",
            "The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon pod). More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
        ),
        number(
            "Current",
            "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod. More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
        ),
        number(
            "Ready",
            "numberReady is the number of nodes that should be running the daemon pod and have one or more of the daemon pod running with a Ready Condition.",
        ),
        number("Up-to-date", "The total number of nodes that are running updated daemon pod"),
        number(
            "Available",
            "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available (ready for at least spec.minReadySeconds)",
        ),
        text(
            "Node Selector",
            "NodeSelector is a selector which must be true for the pod to fit on a node. Selector which must match a node's labels for the pod to be scheduled on that node. More info: https://kubernetes.io/docs/concepts/configuration/assign-pod-node/",
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        wide(text(
            "Selector",
            "A label query over pods that are managed by the daemon set. Must match in order to be controlled. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
        )),
    ],
    |set, now| {
        let mut cells = vec![
            name(set),
            count(set, "status.desiredNumberScheduled"),
            count(set, "status.currentNumberScheduled"),
            count(set, "status.numberReady"),
            count(set, "status.updatedNumberScheduled"),
            count(set, "status.numberAvailable"),
            json!(labels(set.map("spec.template.spec.nodeSelector"))),
            age(set, now),
        ];
        template(set, &mut cells);
        cells.push(json!(selector(set.at("spec.selector"))));
        cells
    },
);

/// ControllerRevisions.
pub static CONTROLLER_REVISIONS: Printer = Printer::new(
    &[
        NAME,
        text("Controller", "Controller of the object"),
        number("Revision", "Revision indicates the revision of the state represented by Data."),
        AGE,
    ],
    |revision, now| vec![name(revision), json!(controller(revision)), count(revision, "revision"), age(revision, now)],
);

fn controller(object: &Object) -> String {
    let Some(owner) = object.list("metadata.ownerReferences").iter().find(|o| o.is_true("controller")) else {
        return "<none>".to_owned();
    };
    let kind = owner.text_or_empty("kind").to_lowercase();
    let group = owner.text_or_empty("apiVersion").split_once('/').map(|(group, _)| format!(".{group}"));
    format!("{kind}{}/{}", group.unwrap_or_default(), owner.text_or_empty("name"))
}

/// Deployments.
pub static DEPLOYMENTS: Printer = Printer::new(
    &[
        NAME,
        text("Ready", "Ready pods of those wanted."),
        number("Up-to-date", "Pods of the current template."),
        number("Available", "Pods that have been ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    |object, now| {
        let (ready, wanted) =
            (object.int("status.readyReplicas").unwrap_or(0), object.int("spec.replicas").unwrap_or(0));
        let mut cells = vec![
            name(object),
            json!(format!("{ready}/{wanted}")),
            count(object, "status.updatedReplicas"),
            count(object, "status.availableReplicas"),
            age(object, now),
        ];
        template(object, &mut cells);
        cells.push(json!(selector(object.at("spec.selector"))));
        cells
    },
);

const REPLICAS: &[super::Column] = &[
    NAME,
    number("Desired", DESIRED),
    number("Current", "How many pods there are."),
    number("Ready", "How many pods are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn replicas(object: &Object, now: Timestamp, selector: String) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        count(object, "spec.replicas"),
        count(object, "status.replicas"),
        count(object, "status.readyReplicas"),
        age(object, now),
    ];
    template(object, &mut cells);
    cells.push(json!(selector));
    cells
}

/// ReplicaSets.
pub static REPLICA_SETS: Printer =
    Printer::new(REPLICAS, |object, now| replicas(object, now, selector(object.at("spec.selector"))));

/// ReplicationControllers.
pub static REPLICATION_CONTROLLERS: Printer =
    Printer::new(REPLICAS, |object, now| replicas(object, now, labels(object.map("spec.selector"))));

/// StatefulSets.
pub static STATEFUL_SETS: Printer =
    Printer::new(&[NAME, text("Ready", "Ready pods of those wanted."), AGE, CONTAINERS, IMAGES], |object, now| {
        let (ready, wanted) =
            (object.int("status.readyReplicas").unwrap_or(0), object.int("spec.replicas").unwrap_or(0));
        let mut cells = vec![name(object), json!(format!("{ready}/{wanted}")), age(object, now)];
        template(object, &mut cells);
        cells
    });

/// Jobs.
pub static JOBS: Printer = Printer::new(
    &[
        NAME,
        text("Status", "Status of the job."),
        text("Completions", "Finished pods of those wanted."),
        text("Duration", "Time between start and completion."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    |job, now| {
        let mut cells =
            vec![name(job), json!(job_status(job)), json!(completions(job)), json!(duration(job, now)), age(job, now)];
        template(job, &mut cells);
        cells.push(json!(selector(job.at("spec.selector"))));
        cells
    },
);

fn job_status(job: &Object) -> &'static str {
    let holds = |kind| {
        job.list("status.conditions").iter().any(|c| c.text("type") == Some(kind) && c.text("status") == Some("True"))
    };
    if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if job.at("metadata.deletionTimestamp").is_some() {
        "Terminating"
    } else {
        ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(|kind| holds(kind)).unwrap_or("Running")
    }
}

fn completions(job: &Object) -> String {
    let done = job.int("status.succeeded").unwrap_or(0);
    match (job.int("spec.completions"), job.int("spec.parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel @ 2..) => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
}

fn duration(job: &Object, now: Timestamp) -> String {
    let stamp = |path| job.text(path).and_then(|t| t.parse::<Timestamp>().ok());
    stamp("status.startTime").map_or_else(String::new, |start| {
        let end = stamp("status.completionTime").unwrap_or(now);
        ages::human(end.as_millisecond() - start.as_millisecond())
    })
}

/// CronJobs.
pub static CRON_JOBS: Printer = Printer::new(
    &[
        NAME,
        text("Schedule", "When it runs."),
        text("Timezone", "Where the schedule holds."),
        text("Suspend", "Whether it is paused."),
        number("Active", "Jobs that run now."),
        text("Last Schedule", "When it last ran."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    |object, now| {
        let suspend = match object.flag("spec.suspend") {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = object.text("status.lastScheduleTime").map(|t| ages::since(Some(t), now)).unwrap_or_default();
        let (names, images) = containers(object.at("spec.jobTemplate.spec.template.spec"));
        vec![
            name(object),
            json!(object.text_or_empty("spec.schedule")),
            super::or_none(object.text_or_empty("spec.timeZone")),
            json!(suspend),
            json!(object.list("status.active").len()),
            super::or_none(&last),
            age(object, now),
            json!(names),
            json!(images),
            json!(selector(object.at("spec.jobTemplate.spec.selector"))),
        ]
    },
);

/// PodDisruptionBudgets.
pub static BUDGETS: Printer = Printer::new(
    &[
        NAME,
        text("Min Available", "Pods that must stay."),
        text("Max Unavailable", "Pods that may be away."),
        number("Allowed Disruptions", "Pods that may be evicted now."),
        AGE,
    ],
    |budget, now| {
        let bound = |path: &str| match budget.at(path) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "N/A".to_owned(),
        };
        vec![
            name(budget),
            json!(bound("spec.minAvailable")),
            json!(bound("spec.maxUnavailable")),
            count(budget, "status.disruptionsAllowed"),
            age(budget, now),
        ]
    },
);
