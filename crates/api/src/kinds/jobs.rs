//! Job and CronJob: defaults, the generated selector and labels, validation (A303).

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::{self, template::selector_immutable, validate::nonnegative};
use crate::strategy::{Context, Strategy};
use crate::value::{Read, same, set, set_default, set_entry};

/// The strategy of jobs.
#[derive(Debug)]
pub struct Job;

/// The one [`Job`].
pub static JOB: Job = Job;

impl Strategy for Job {
    fn default(&self, job: &mut Object) {
        pod::default_template(job, "spec.template");
        // Labels of a job without any come from its template.
        if job.is_zero("metadata.labels")
            && let Some(labels) = job.at("spec.template.metadata.labels").cloned()
        {
            set(job, "metadata.labels", labels);
        }
        if let Some(spec) = job.get_mut("spec").filter(|s| s.is_object()) {
            default_spec(spec);
        }
    }

    fn prepare_for_create(&self, job: &mut Object, context: &Context<'_>) {
        if job.is_true("spec.manualSelector") {
            return;
        }
        let name = job.text_or_empty("metadata.name").to_owned();
        let labels = "spec.template.metadata.labels";
        for (key, value) in [
            ("controller-uid", context.uid),
            ("job-name", name.as_str()),
            ("batch.kubernetes.io/controller-uid", context.uid),
            ("batch.kubernetes.io/job-name", name.as_str()),
        ] {
            set_entry(job, labels, key, value);
        }
        if job.is_zero("spec.selector") {
            set(job, "spec.selector", json!({"matchLabels": {"batch.kubernetes.io/controller-uid": context.uid}}));
        }
    }

    fn validate(&self, job: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        static NONE: Value = Value::Null;
        let spec = job.at("spec").unwrap_or(&NONE);
        if spec.at("selector").is_none() {
            errors.push(Error::required(&at.child("selector"), ""));
        } else {
            pod::validate_selector(spec, None, &at, "job", &mut errors);
        }
        job_rules(spec, &at, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        if subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate(new);
        if !same(new.at("spec.selector"), old.at("spec.selector")) {
            errors.push(selector_immutable(new));
        }
        for member in ["completions", "template", "completionMode"] {
            let path = format!("spec.{member}");
            let suspended_edit = member == "template" && old.is_true("spec.suspend");
            if !suspended_edit && !same(new.at(&path), old.at(&path)) {
                let shown = new.at(&path).cloned().unwrap_or(Value::Null);
                errors.push(Error::invalid(&Path::new(path), shown, "field is immutable"));
            }
        }
        errors
    }

    fn warnings(&self, new: &Object, old: Option<&Object>, _subresource: &str) -> Vec<String> {
        if old.is_none() { pod::warnings::of_template(new, "spec.template") } else { Vec::new() }
    }

    fn select(&self, job: &Object, field: &str) -> Option<String> {
        (field == "status.successful").then(|| job.int("status.succeeded").unwrap_or(0).to_string())
    }
}

fn default_spec(spec: &mut Value) {
    if spec.at("completions").is_none() && spec.at("parallelism").is_none() {
        set(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let per_index = spec.at("backoffLimitPerIndex").is_some();
    set_default(spec, "backoffLimit", if per_index { i64::from(i32::MAX) } else { 6 });
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let policy = if spec.at("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    set_default(spec, "podReplacementPolicy", policy);
    if spec.text_or_empty("manualSelector").is_empty() {
        set_default(spec, "manualSelector", false);
    }
}

fn job_rules(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    static NONE: Value = Value::Null;
    for member in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        nonnegative(errors, spec, member, at);
    }
    let template = at.child("template");
    pod::validate::template(spec.at("template").unwrap_or(&NONE), &template, errors);
    let restart = spec.text_or_empty("template.spec.restartPolicy");
    if !matches!(restart, "OnFailure" | "Never") {
        let supported = &["OnFailure", "Never"];
        let field = template.child("spec").child("restartPolicy");
        errors.push(Error::not_supported_in_order(&field, restart, supported));
    }
    let mode = spec.text_or_empty("completionMode");
    if !matches!(mode, "" | "NonIndexed" | "Indexed") {
        errors.push(Error::not_supported(&at.child("completionMode"), mode, &["Indexed", "NonIndexed"]));
    }
}

/// The strategy of cron jobs.
#[derive(Debug)]
pub struct CronJob;

/// The one [`CronJob`].
pub static CRON_JOB: CronJob = CronJob;

impl Strategy for CronJob {
    fn default(&self, object: &mut Object) {
        pod::default_template(object, "spec.jobTemplate.spec.template");
        let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return };
        set_default(spec, "concurrencyPolicy", "Allow");
        set_default(spec, "suspend", false);
        set_default(spec, "successfulJobsHistoryLimit", 3);
        set_default(spec, "failedJobsHistoryLimit", 1);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        let Some(spec) = object.at("spec") else { return errors };
        if spec.text_or_empty("schedule").is_empty() {
            errors.push(Error::required(&at.child("schedule"), ""));
        }
        let policy = spec.text_or_empty("concurrencyPolicy");
        if !matches!(policy, "Allow" | "Forbid" | "Replace") {
            let field = at.child("concurrencyPolicy");
            errors.push(Error::not_supported(&field, policy, &["Allow", "Forbid", "Replace"]));
        }
        for member in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"] {
            nonnegative(&mut errors, spec, member, &at);
        }
        if let Some(job) = spec.at("jobTemplate.spec") {
            job_rules(job, &at.child("jobTemplate").child("spec"), &mut errors);
        }
        errors
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        if name.len() > 52 { vec!["must be no more than 52 characters".to_owned()] } else { Vec::new() }
    }
}
