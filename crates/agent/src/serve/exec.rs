//! `kubectl exec`: a command's streams over one WebSocket, one byte in front of each frame saying which (N333).
//!
//! | channel | direction | carries |
//! |---|---|---|
//! | 0 | in | standard input |
//! | 1, 2 | out | standard output, standard error |
//! | 3 | out | how it ended, once, as a Status |
//! | 4 | in | sizes of the terminal |
//! | 255 | in | the number of a channel that is closed |

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Path, RawQuery, Request, State};
use axum::response::Response;
use bytes::{BufMut as _, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use kube::api::ResourceExt;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{Shared, log, refuse};
use crate::runtime::{ContainerState, Exec, ExecRequest};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;
const CHUNK_BYTES: usize = 16 << 10;
/// Frames waiting for a slow client.
const FRAMES_MAX: usize = 16;
/// After the command's end its output is waited for this long: a child may hold the pipe open for ever.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) async fn answer(
    State(shared): State<Shared>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let Some(pod) = shared.here.find(&namespace, &pod) else {
        return refuse(StatusCode::NOT_FOUND, "pod does not exist".to_owned());
    };
    let wanted = parse(query.as_deref().unwrap_or_default());
    if wanted.command.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "you must specify a command".to_owned());
    }
    let uid = pod.uid().unwrap_or_default();
    let all = shared.kit.runtime.list_containers().await.unwrap_or_default();
    let running = all.into_iter().find(|status| {
        status.pod_uid == uid && status.name == container && matches!(status.state, ContainerState::Running { .. })
    });
    let Some(running) = running else {
        return refuse(StatusCode::NOT_FOUND, format!("container not found (\"{container}\")"));
    };
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.protocols(PROTOCOLS),
        Err(_) => {
            let text = "this node speaks WebSocket (v5.channel.k8s.io) only; kubectl 1.30 or newer does by default";
            return refuse(StatusCode::BAD_REQUEST, text.to_owned());
        }
    };
    upgrade.on_upgrade(async move |socket| {
        let exec = shared.kit.runtime.exec(&running.id, wanted).await;
        match exec {
            Ok(exec) => Box::pin(relay(socket, exec)).await,
            Err(error) => {
                let status = serde_json::json!({
                    "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                    "message": format!("error executing command in container: {error}"),
                });
                end(socket, &status).await;
            }
        }
    })
}

fn parse(query: &str) -> ExecRequest {
    let mut request = ExecRequest::default();
    for (key, value) in log::form_pairs(query) {
        let flag = matches!(value.as_str(), "true" | "1");
        match key.as_str() {
            "command" => request.command.push(value),
            "input" | "stdin" => request.stdin = flag,
            "output" | "stdout" => request.stdout = flag,
            "error" | "stderr" => request.stderr = flag,
            "tty" => request.tty = flag,
            _ => {}
        }
    }
    request.stderr &= !request.tty;
    request
}

async fn end(mut socket: WebSocket, status: &serde_json::Value) {
    let _ = socket.send(frame(ERROR, status.to_string().as_bytes())).await;
    let _ = socket.send(normal_close()).await;
}

fn normal_close() -> Message {
    Message::Close(Some(CloseFrame { code: 1000, reason: "".into() }))
}

fn frame(channel: u8, data: &[u8]) -> Message {
    let mut out = BytesMut::with_capacity(data.len() + 1);
    out.put_u8(channel);
    out.put_slice(data);
    Message::Binary(out.freeze())
}

/// Carries everything between the client and the command, until the command ends or the client goes.
async fn relay(socket: WebSocket, exec: Exec) {
    let (mut sink, mut source) = socket.split();
    let (frames, mut outgoing) = mpsc::channel::<Message>(FRAMES_MAX);
    let outputs = [(STDOUT, exec.stdout), (STDERR, exec.stderr)];
    let mut readers = tokio::task::JoinSet::new();
    for (channel, reader) in outputs {
        if let Some(reader) = reader {
            readers.spawn(pump(channel, reader, frames.clone()));
        }
    }
    let writer = tokio::spawn(async move {
        while let Some(message) = outgoing.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.send(normal_close()).await;
    });
    let resize = exec.resize;
    let mut stdin = exec.stdin;
    let mut exit = exec.exit;
    let code = loop {
        tokio::select! {
            code = &mut exit => break code,
            message = source.next() => match message {
                Some(Ok(Message::Binary(data))) => take_in(&data, &mut stdin, &resize).await,
                Some(Ok(Message::Text(text))) => take_in(text.as_bytes(), &mut stdin, &resize).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    // The client went: dropping `exit` ends the command.
                    readers.abort_all();
                    writer.abort();
                    return;
                }
                Some(Ok(_)) => {}
            },
        }
    };
    let drained = async { while readers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    readers.abort_all();
    let _ = frames.send(frame(ERROR, status_of(code).to_string().as_bytes())).await;
    drop(frames);
    // The client closes after it has read the status.
    let _ = tokio::time::timeout(DRAIN, writer).await;
}

async fn pump(channel: u8, mut reader: Box<dyn AsyncRead + Send + Unpin>, frames: mpsc::Sender<Message>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if frames.send(frame(channel, &buffer[..count])).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn take_in(
    data: &[u8],
    stdin: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>,
    resize: &mpsc::Sender<(u16, u16)>,
) {
    match data {
        [STDIN, data @ ..] => {
            if let Some(open) = stdin
                && open.write_all(data).await.is_err()
            {
                *stdin = None;
            }
        }
        [RESIZE, data @ ..] => {
            let size: Option<serde_json::Value> = serde_json::from_slice(data).ok();
            let side = |name: &str| size.as_ref()?.get(name)?.as_u64().and_then(|side| u16::try_from(side).ok());
            if let (Some(width), Some(height)) = (side("Width"), side("Height")) {
                // A terminal that is gone needs no size.
                let _ = resize.try_send((width, height));
            }
        }
        [CLOSE, STDIN, ..] => {
            if let Some(mut open) = stdin.take() {
                let _ = open.shutdown().await;
            }
        }
        _ => {}
    }
}

/// How a command ended, as clients expect it on channel 3.
fn status_of(code: Result<i32, crate::runtime::RuntimeError>) -> serde_json::Value {
    match code {
        Ok(0) => serde_json::json!({ "metadata": {}, "status": "Success" }),
        Ok(code) => serde_json::json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        Err(error) => serde_json::json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("error executing command in container: {error}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_order_n333() {
        let request = parse("command=sh&command=-c&command=exit+7&output=1&error=1&tty=0");
        assert_eq!(request.command, ["sh", "-c", "exit 7"]);
        assert!(request.stdout && request.stderr && !request.tty && !request.stdin);
        assert!(!parse("command=sh&tty=1&stderr=true").stderr, "a terminal has no standard error of its own");
    }

    #[test]
    fn exit_codes_are_told() {
        assert_eq!(status_of(Ok(0))["status"], "Success");
        assert_eq!(status_of(Ok(7))["details"]["causes"][0]["message"], "7");
    }
}
