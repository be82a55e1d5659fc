//! Workloads, reviews, autoscaling, certificates, networking.

use super::{GPU, SCALE, STATUS, row, sub};
use crate::kinds;
use crate::resource::{Propagation, Resource};
use crate::table;

pub(super) const ROWS: &[Resource] = &[
    // ---- apps
    row!("apps", "v1", "apps", "controllerrevisions", "controllerrevision", "ControllerRevision")
        .prints(&table::CONTROLLER_REVISIONS)
        .does(&kinds::controller_revision::CONTROLLER_REVISION),
    row!("apps", "v1", "apps", "daemonsets", "daemonset", "DaemonSet")
        .prints(&table::DAEMON_SETS)
        .short(&["ds"])
        .category(&["all"])
        .subs(&[STATUS])
        .counted()
        .does(&kinds::daemon_set::DAEMON_SET),
    row!("apps", "v1", "apps", "deployments", "deployment", "Deployment")
        .prints(&table::DEPLOYMENTS)
        .does(&kinds::workloads::DEPLOYMENT)
        .short(&["deploy"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .counted()
        .only_stored(),
    row!("apps", "v1", "apps", "replicasets", "replicaset", "ReplicaSet")
        .prints(&table::REPLICA_SETS)
        .does(&kinds::workloads::REPLICA_SET)
        .short(&["rs"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .counted()
        .only_stored(),
    row!("apps", "v1", "apps", "statefulsets", "statefulset", "StatefulSet")
        .prints(&table::STATEFUL_SETS)
        .does(&kinds::workloads::STATEFUL_SET)
        .short(&["sts"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .counted()
        .only_stored(),
    // ---- events.k8s.io
    row!("events.k8s.io", "v1", "events", "events", "event", "Event")
        .prints(&table::EVENTS)
        .does(&kinds::event::EVENT)
        .short(&["ev"])
        .creates_on_update()
        .propagates(Propagation::None)
        .select(kinds::event::NEW_FIELDS)
        .view(&kinds::event::VIEW),
    // ---- authentication.k8s.io, authorization.k8s.io
    row!(
        "authentication.k8s.io",
        "v1",
        "authentication",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview"
    )
    .cluster()
    .virtual_kind(),
    row!("authentication.k8s.io", "v1", "authentication", "tokenreviews", "tokenreview", "TokenReview")
        .cluster()
        .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "LocalSubjectAccessReview"
    )
    .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview"
    )
    .cluster()
    .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview"
    )
    .cluster()
    .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview"
    )
    .cluster()
    .virtual_kind(),
    // ---- autoscaling
    row!(
        "autoscaling",
        "v1",
        "autoscaling",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler"
    )
    .does(&kinds::autoscaler::AUTOSCALER)
    .short(&["hpa"])
    .category(&["all"])
    .subs(&[STATUS])
    .view(&kinds::autoscaler::VIEW),
    row!(
        "autoscaling",
        "v2",
        "autoscaling",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler"
    )
    .does(&kinds::autoscaler::AUTOSCALER)
    .short(&["hpa"])
    .category(&["all"])
    .subs(&[STATUS])
    .only_stored(),
    // ---- batch
    row!("batch", "v1", "batch", "cronjobs", "cronjob", "CronJob")
        .prints(&table::CRON_JOBS)
        .does(&kinds::jobs::CRON_JOB)
        .short(&["cj"])
        .category(&["all"])
        .subs(&[STATUS])
        .counted()
        .only_stored(),
    row!("batch", "v1", "batch", "jobs", "job", "Job")
        .prints(&table::JOBS)
        .does(&kinds::jobs::JOB)
        .category(&["all"])
        .subs(&[STATUS])
        .counted()
        .propagates(Propagation::Orphan)
        .select(&["status.successful"]),
    // ---- certificates.k8s.io
    row!(
        "certificates.k8s.io",
        "v1",
        "certificates",
        "certificatesigningrequests",
        "certificatesigningrequest",
        "CertificateSigningRequest"
    )
    .prints(&table::CERTIFICATE_REQUESTS)
    .does(&kinds::certificate::REQUEST)
    .cluster()
    .short(&["csr"])
    .subs(&[sub("approval", GPU, None), STATUS])
    .select(&["spec.signerName"]),
    // ---- networking.k8s.io
    row!("networking.k8s.io", "v1", "networking", "ingressclasses", "ingressclass", "IngressClass").cluster().counted(),
    row!("networking.k8s.io", "v1", "networking", "ingresses", "ingress", "Ingress")
        .prints(&table::INGRESSES)
        .does(&kinds::networking::INGRESS)
        .short(&["ing"])
        .subs(&[STATUS])
        .at("ingress")
        .counted()
        .only_stored(),
    row!("networking.k8s.io", "v1", "networking", "ipaddresses", "ipaddress", "IPAddress").cluster().short(&["ip"]),
    row!("networking.k8s.io", "v1", "networking", "networkpolicies", "networkpolicy", "NetworkPolicy")
        .prints(&table::NETWORK_POLICIES)
        .does(&kinds::networking::NETWORK_POLICY)
        .short(&["netpol"])
        .counted()
        .only_stored(),
    row!("networking.k8s.io", "v1", "networking", "servicecidrs", "servicecidr", "ServiceCIDR")
        .cluster()
        .subs(&[STATUS]),
];
