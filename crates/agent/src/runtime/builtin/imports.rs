//! Image archives that users drop into a directory: imported at the start, and when one appears.

use std::{mem::MaybeUninit, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use rustix::fs::inotify;
use tokio::{io::unix::AsyncFd, sync::watch};

use super::{Builtin, launch};
use crate::runtime::images::archive;

impl Builtin {
    /// Imports what is there, says so through `done`, and goes on with what appears. Ends with the runtime.
    pub(super) async fn import_archives(self: Arc<Self>, done: watch::Sender<bool>) {
        let watched = watch_dir(&self.config.image_archives);
        let found = archive::archives(&self.config.image_archives).unwrap_or_default();
        self.import_all(found).await;
        done.send_replace(true);
        let watched = match watched {
            Ok(watched) => watched,
            Err(error) => {
                let dir = self.config.image_archives.display();
                tracing::warn!(%dir, %error, "new image archives are not noticed until the next start");
                return;
            }
        };
        let this = Arc::downgrade(&self);
        drop(self);
        while let Ok(mut ready) = watched.readable().await {
            let Some(this) = this.upgrade() else { return };
            drain(watched.get_ref());
            ready.clear_ready();
            // The import itself knows which are old, so all of them may be looked at.
            let found = archive::archives(&this.config.image_archives).unwrap_or_default();
            this.import_all(found).await;
        }
    }

    async fn import_all(&self, paths: Vec<PathBuf>) {
        for path in paths {
            let store = self.store.clone();
            let work = tokio::task::spawn_blocking(move || archive::import(&store, &path).map(|ids| (path, ids)));
            match work.await {
                Ok(Ok((path, ids))) => {
                    tracing::debug!(path = %path.display(), images = ids.len(), "image archive is imported")
                }
                Ok(Err(error)) => tracing::error!(%error, "image archive is left out"),
                Err(error) => tracing::error!(%error, "import was interrupted"),
            }
        }
    }
}

fn watch_dir(dir: &std::path::Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&fd, dir, inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::MOVED_TO)?;
    launch::watch(fd)
}

fn drain(fd: &OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(fd, &mut buffer);
    while events.next().is_ok() {}
}
