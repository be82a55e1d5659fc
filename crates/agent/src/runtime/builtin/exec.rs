//! Commands in running containers: one short-lived shim each.

use std::{io, os::fd::OwnedFd, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::unix::{OwnedReadHalf, OwnedWriteHalf, pipe},
    process::Child,
    sync::mpsc,
    task::JoinHandle,
};

use super::{Builtin, launch};
use crate::runtime::{
    ContainerId, EXEC_SYNC_OUTPUT_BYTES_MAX, Exec, ExecOutput, ExecRequest, RuntimeError,
    shim::control::{ExecMessage, Reply, Resize, encode},
};

/// How long output is still read after the command ended, when something it started holds it open.
const DRAIN: Duration = Duration::from_millis(500);

/// Ends a task with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Builtin {
    pub(super) async fn start_exec(&self, id: &ContainerId, request: ExecRequest) -> Result<Exec, RuntimeError> {
        let failed = |message: String| RuntimeError::Exec { id: id.clone(), message };
        if self.running(id)?.is_none() {
            return Err(RuntimeError::NotRunning { id: id.clone() });
        }
        let broken = |e: io::Error| failed(format!("cannot start the shim: {e}"));
        let (streams, files) = Streams::open(&request).map_err(broken)?;
        let dir = self.container_dir(id);
        let helper = launch::start(&self.config.shim, "exec", &dir, &launch::borrowed(&files), Stdio::null());
        let launch::Launched { child, socket } = helper.map_err(broken)?;
        drop(files);
        let (mut answers, mut orders) = socket.into_split();
        let message = ExecMessage { command: request.command, tty: request.tty };
        orders.write_all(&encode(&message).map_err(broken)?).await.map_err(broken)?;
        match launch::reply(&mut answers).await.map_err(broken)? {
            Some(Reply::Started) => {}
            Some(Reply::Failed(message)) => return Err(failed(message)),
            Some(Reply::Exited(_)) | None => return Err(failed("the shim ended without an answer".into())),
        }
        let (resize, sizes) = mpsc::channel(4);
        let sender = Owned(tokio::spawn(send_sizes(orders, sizes)));
        let Streams { stdin, stdout, stderr } = streams;
        Ok(Exec {
            stdin: stdin.map(|s| Box::new(s) as _),
            stdout: stdout.map(|s| Box::new(s) as _),
            stderr: stderr.map(|s| Box::new(s) as _),
            resize,
            exit: Box::pin(outcome(id.clone(), answers, sender, child)),
        })
    }

    pub(super) async fn run_exec(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        let request = ExecRequest { command: command.clone(), stdout: true, stderr: true, ..ExecRequest::default() };
        let work = async {
            let exec = self.start_exec(id, request).await?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let exit_code = {
                let reading = async {
                    tokio::join!(read_some(exec.stdout, &mut stdout), read_some(exec.stderr, &mut stderr));
                };
                tokio::pin!(reading);
                let mut exit = exec.exit;
                let exit_code = tokio::select! {
                    code = &mut exit => {
                        let code = code?;
                        let _ = tokio::time::timeout(DRAIN, &mut reading).await;
                        code
                    }
                    () = &mut reading => exit.await?,
                };
                exit_code
            };
            Ok(ExecOutput { stdout, stderr, exit_code })
        };
        match timeout {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work)
                .await
                .unwrap_or(Err(RuntimeError::ExecTimeout { command, timeout: limit })),
        }
    }
}

/// The agent's ends of a command's streams.
struct Streams {
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

impl Streams {
    /// Our ends, and the three files for the command.
    fn open(request: &ExecRequest) -> io::Result<(Self, Vec<OwnedFd>)> {
        let mut streams = Self { stdin: None, stdout: None, stderr: None };
        let mut files = Vec::with_capacity(3);
        if request.stdin {
            let (reader, writer) = launch::pipe()?;
            streams.stdin = Some(pipe::Sender::from_owned_fd(writer)?);
            files.push(reader);
        } else {
            files.push(launch::null()?);
        }
        for (wanted, ours) in
            [(request.stdout, &mut streams.stdout), (request.stderr && !request.tty, &mut streams.stderr)]
        {
            if wanted {
                let (reader, writer) = launch::pipe()?;
                *ours = Some(pipe::Receiver::from_owned_fd(reader)?);
                files.push(writer);
            } else {
                files.push(launch::null()?);
            }
        }
        Ok((streams, files))
    }
}

/// Waits for the end. Dropping this closes the control socket, upon which the shim kills the command.
async fn outcome(
    id: ContainerId,
    mut answers: OwnedReadHalf,
    sender: Owned,
    mut child: Child,
) -> Result<i32, RuntimeError> {
    let reply = launch::reply(&mut answers).await;
    drop(sender);
    let _ = child.wait().await;
    match reply {
        Ok(Some(Reply::Exited(code))) => Ok(code),
        Ok(Some(Reply::Failed(message))) => Err(RuntimeError::Exec { id, message }),
        Ok(Some(Reply::Started) | None) | Err(_) => {
            Err(RuntimeError::Exec { id, message: "the shim ended before the command".into() })
        }
    }
}

/// Holds the sending half of the control socket open until the owner ends this task.
async fn send_sizes(mut orders: OwnedWriteHalf, mut sizes: mpsc::Receiver<(u16, u16)>) {
    while let Some((columns, rows)) = sizes.recv().await {
        let Ok(message) = encode(&Resize { columns, rows }) else { continue };
        if orders.write_all(&message).await.is_err() {
            break;
        }
    }
    std::future::pending::<()>().await;
}

/// Reads to the end, and keeps the beginning.
async fn read_some(source: Option<Box<dyn AsyncRead + Send + Unpin>>, kept: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n) = source.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        let room = EXEC_SYNC_OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..n.min(room)).unwrap_or_default());
    }
}
