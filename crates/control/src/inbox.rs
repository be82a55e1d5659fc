//! One channel for everything that wakes a controller, so that its shell is one loop over one kind of message.

use std::time::Duration;

use everynode_core::model::Millis;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cache::{Cached, Delta, Feed};
use crate::clock;

/// Messages from feeds and from acts under way. Everything it started ends with it.
pub(crate) struct Inbox<M> {
    sender: mpsc::UnboundedSender<M>,
    receiver: mpsc::UnboundedReceiver<M>,
    tasks: JoinSet<()>,
}

impl<M: Send + 'static> Inbox<M> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver, tasks: JoinSet::new() }
    }

    /// Takes in a feed's changes.
    pub(crate) fn follow<T: Cached>(&mut self, feed: &Feed<T>, wrap: impl Fn(Delta<T>) -> M + Send + 'static) {
        let mut subscription = feed.subscribe();
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            while let Some(delta) = subscription.next().await {
                if sender.send(wrap(delta)).is_err() {
                    return;
                }
            }
        });
    }

    /// Does something beside the loop; its result comes back as a message.
    pub(crate) fn act(&mut self, act: impl Future<Output = M> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let message = act.await;
            // The loop has ended: nobody needs the result.
            let _ = sender.send(message);
        });
    }

    /// Does something beside the loop whose result nobody needs.
    pub(crate) fn spare(&mut self, act: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(act);
    }

    /// The next message, or none when `wake_at` has come.
    pub(crate) async fn next(&mut self, wake_at: Option<Millis>) -> Option<M> {
        let delay = wake_at.map(|at| Duration::from_millis(u64::try_from(at.since(clock::now()).0).unwrap_or(0)));
        match delay {
            // `self.sender` keeps the channel open.
            None => self.receiver.recv().await,
            Some(delay) => tokio::time::timeout(delay, self.receiver.recv()).await.ok().flatten(),
        }
    }

    /// A message that is already there.
    pub(crate) fn try_next(&mut self) -> Option<M> {
        self.receiver.try_recv().ok()
    }
}
