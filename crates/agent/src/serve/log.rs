//! `kubectl logs`: which file, and its lines as they come (N297, N298, N332).

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ResourceExt;

use super::{Shared, refuse};
use crate::kit::Kit;
use crate::logs;
use crate::logs::read::{Follow, Options};
use crate::runtime::{ContainerId, ContainerState};

/// What a reader gets where containers are only pretended.
const NO_LOG: &str = "there is no log: this node is hollow, its containers only pretend to run\n";

/// A log that was found.
struct Found {
    /// None when the runtime keeps no logs.
    path: Option<std::path::PathBuf>,
    /// The container, when it may still write.
    running: Option<ContainerId>,
}

pub(super) async fn answer(
    State(shared): State<Shared>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let options = match parse(query.as_deref().unwrap_or_default()) {
        Ok(options) => options,
        Err(text) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, text),
    };
    let Some(pod) = shared.here.find(&namespace, &pod) else {
        return refuse(StatusCode::NOT_FOUND, format!("pod \"{pod}\" does not exist\n"));
    };
    if crate::manifest::container(&pod, &container).is_none() {
        let text = format!("container \"{container}\" not found in pod \"{}\"\n", pod.name_any());
        return refuse(StatusCode::NOT_FOUND, text);
    }
    match find(&shared.kit, &pod, &container, options.previous).await {
        Ok(Found { path: None, .. }) => ([(http::header::CONTENT_TYPE, "text/plain")], NO_LOG).into_response(),
        Ok(Found { path: Some(path), running }) => {
            let follow = match (options.follow, running) {
                (false, _) => Follow::No,
                (true, None) => Follow::ToTheEnd,
                (true, Some(id)) => Follow::WhileRunning(shared.kit.runtime.clone(), id),
            };
            match logs::read::open(&path, options, follow).await {
                Ok(stream) => ([(http::header::CONTENT_TYPE, "text/plain")], Body::from_stream(stream)).into_response(),
                Err(error) => {
                    let text = format!("failed to open log file {path:?}: {error}\n");
                    refuse(StatusCode::INTERNAL_SERVER_ERROR, text)
                }
            }
        }
        Err(text) => refuse(StatusCode::BAD_REQUEST, text),
    }
}

/// The parameters of upstream's PodLogOptions.
fn parse(query: &str) -> Result<Options, String> {
    let mut options = Options::default();
    for (key, value) in form_pairs(query) {
        let number = || value.parse::<u64>().map_err(|_| format!("{key}: {value:?} is not a number\n"));
        let flag = matches!(value.as_str(), "true" | "1" | "");
        match key.as_str() {
            "follow" => options.follow = flag,
            "previous" => options.previous = flag,
            "timestamps" => options.timestamps = flag,
            "tailLines" | "tail" if value != "all" => options.tail = Some(number()?),
            "limitBytes" => options.limit = Some(number()?),
            "sinceSeconds" => {
                let seconds = i64::try_from(number()?).unwrap_or(i64::MAX);
                let since = Timestamp::now().as_second().saturating_sub(seconds);
                options.since = Timestamp::from_second(since).ok();
            }
            "sinceTime" => {
                let time = value.parse().map_err(|_| format!("sinceTime: {value:?} is not a time\n"))?;
                options.since = Some(time);
            }
            _ => {}
        }
    }
    Ok(options)
}

/// Decodes `a=b&c=d`.
pub(super) fn form_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => out.push(b' '),
                b'%' => {
                    let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                    let code = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    out.push(code.unwrap_or(b'?'));
                }
                byte => out.push(byte),
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// The log of the instance that is meant, or why there is none (N298).
async fn find(kit: &Kit, pod: &Pod, container: &str, previous: bool) -> Result<Found, String> {
    let name = pod.name_any();
    let uid = pod.uid().unwrap_or_default();
    let all = kit.runtime.list_containers().await.unwrap_or_default();
    let mut instances: Vec<_> =
        all.into_iter().filter(|status| status.pod_uid == uid && status.name == container).collect();
    instances.sort_by_key(|status| std::cmp::Reverse(status.attempt));
    instances.retain(|status| status.state != ContainerState::Created);
    let waiting = waiting_reason(pod, container);
    let position = match (previous, waiting.is_some() || ended(instances.first().map(|status| &status.state))) {
        (false, _) => 0,
        // In back-off the newest instance has ended: it is the previous one in the status (N284).
        (true, true) if waiting.is_some() => 0,
        (true, _) => 1,
    };
    if let Some(status) = instances.get(position) {
        let running = matches!(status.state, ContainerState::Running { .. });
        return Ok(Found { path: status.log_path.clone(), running: running.then(|| status.id.clone()) });
    }
    if previous {
        return Err(format!("previous terminated container \"{container}\" in pod \"{name}\" not found"));
    }
    // The records of an ended pod are gone, its logs are not.
    let newest = logs::attempts(&kit.config, pod).into_iter().find(|(of, _)| of == container);
    if let Some((_, next)) = newest {
        let path = logs::file(&kit.config, pod, container, next.saturating_sub(1));
        return Ok(Found { path: Some(path), running: None });
    }
    let reason = waiting.unwrap_or_else(|| "ContainerCreating".to_owned());
    let reason = match reason.as_str() {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    Err(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}"))
}

fn ended(state: Option<&ContainerState>) -> bool {
    matches!(state, Some(ContainerState::Exited { .. }))
}

fn waiting_reason(pod: &Pod, container: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let of: &ContainerStatus = all.into_iter().find(|status| status.name == container)?;
    of.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_n297() {
        let options =
            parse("follow=true&tailLines=5&sinceTime=2026-01-01T00%3A00%3A00Z&timestamps=true&limitBytes=9").unwrap();
        assert!(options.follow && options.timestamps && !options.previous);
        assert_eq!((options.tail, options.limit), (Some(5), Some(9)));
        assert_eq!(options.since, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert!(parse("tailLines=x").is_err());
    }

    #[test]
    fn forms_are_decoded() {
        let pairs = form_pairs("command=sh&command=-c&command=echo+a%26b");
        let values: Vec<_> = pairs.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["sh", "-c", "echo a&b"]);
    }
}
