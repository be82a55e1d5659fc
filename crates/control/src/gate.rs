//! The gate before every write of a leader: open while the term lasts, shut before anybody else may begin one.
//!
//! Invariants:
//! * a write starts only while the gate is open, and is given up when it shuts: what had been sent by then has the span between the
//!   renew deadline and the lease duration to arrive;
//! * a gate that was shut for good stays shut: each term has its own.

use std::sync::Arc;
use std::time::Duration;

use everynode_core::model::Millis;
use tokio::sync::watch;

use crate::clock::Steady;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<Steady>,
    /// Until when it is open, on the clock's late bound.
    until: watch::Sender<Until>,
    /// Writes that have started and not ended.
    under_way: watch::Sender<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Open(Millis),
    /// No further writes; those under way may end until then.
    Draining(Millis),
    Shut,
}

/// How long a wait may trust a clock that stands still while the machine sleeps.
const LOOK: Duration = Duration::from_millis(500);

/// What the gate did to a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Passage<T> {
    /// It ended by itself.
    Done(T),
    /// It never started.
    Refused,
    /// The gate shut meanwhile.
    GivenUp,
}

impl Gate {
    /// Open until `until` on the late bound of `clock`.
    #[must_use]
    pub fn open(clock: Arc<Steady>, until: Millis) -> Self {
        Self(Arc::new(Inner { clock, until: watch::Sender::new(Until::Open(until)), under_way: watch::Sender::new(0) }))
    }

    /// The term was renewed. Does nothing to a gate that is draining or shut.
    pub fn extend(&self, to: Millis) {
        self.0.until.send_if_modified(|until| match until {
            Until::Open(at) => std::mem::replace(at, to) != to,
            Until::Draining(_) | Until::Shut => false,
        });
    }

    /// The term is over.
    pub fn shut(&self) {
        self.0.until.send_replace(Until::Shut);
    }

    /// Lets nothing more in, and resolves when what is under way has ended, or its time has: true if all has ended.
    pub async fn drain(&self) -> bool {
        self.0.until.send_if_modified(|until| match *until {
            Until::Open(at) => {
                *until = Until::Draining(at);
                true
            }
            Until::Draining(_) | Until::Shut => false,
        });
        let mut under_way = self.0.under_way.subscribe();
        tokio::select! {
            ended = under_way.wait_for(|writes| *writes == 0) => ended.is_ok(),
            () = self.is_shut() => *self.0.under_way.borrow() == 0,
        }
    }

    fn is_open(&self) -> bool {
        matches!(*self.0.until.borrow(), Until::Open(until) if self.0.clock.now().latest < until)
    }

    /// Resolves when the term is over, by time or by word.
    async fn is_shut(&self) {
        let mut changes = self.0.until.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            let (Until::Open(until) | Until::Draining(until)) = until else { return };
            let left = until.since(self.0.clock.now().latest).0;
            if left <= 0 {
                return;
            }
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            // An error would mean that the gate is gone, which `self` holds.
            let _ = tokio::time::timeout(left.min(LOOK), changes.changed()).await;
        }
    }

    /// Does `write` while the gate is open.
    pub async fn pass<T>(&self, write: impl Future<Output = T>) -> Passage<T> {
        // Counted first: who drains sees this write, or this write sees that the gate is draining.
        let _counted = Counted::new(&self.0.under_way);
        if !self.is_open() {
            return Passage::Refused;
        }
        tokio::select! {
            biased;
            () = self.is_shut() => Passage::GivenUp,
            done = write => Passage::Done(done),
        }
    }
}

/// Counts a write as long as it lives.
struct Counted<'g>(&'g watch::Sender<usize>);

impl<'g> Counted<'g> {
    fn new(under_way: &'g watch::Sender<usize>) -> Self {
        under_way.send_modify(|writes| *writes += 1);
        Self(under_way)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|writes| *writes -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ByHand;

    /// Open for 20 ms of a time that passes when the test says so.
    fn gate() -> (Gate, ByHand) {
        let time = ByHand::default();
        (Gate::open(time.clock(), Millis(20)), time)
    }

    #[tokio::test]
    async fn a_write_passes_while_the_term_lasts() {
        let (gate, _) = gate();
        assert_eq!(gate.pass(async { 7 }).await, Passage::Done(7));
        gate.shut();
        gate.extend(Millis::NEVER);
        assert_eq!(gate.pass(async { 7 }).await, Passage::Refused, "no renewal opens it again");
    }

    #[tokio::test]
    async fn a_write_is_given_up_when_the_term_ends() {
        let (gate, time) = gate();
        let (passage, ()) = tokio::join!(gate.pass(std::future::pending::<()>()), async { time.passes(Millis(20)) });
        assert_eq!(passage, Passage::GivenUp, "by time");
        assert_eq!(gate.pass(async {}).await, Passage::Refused);
        let (gate, _) = self::gate();
        let (passage, ()) = tokio::join!(gate.pass(std::future::pending::<()>()), async { gate.shut() });
        assert_eq!(passage, Passage::GivenUp, "by word");
    }

    #[tokio::test]
    async fn a_renewal_keeps_writes_going() {
        let (gate, time) = gate();
        let (tell, told) = tokio::sync::oneshot::channel();
        let write = gate.pass(told);
        let renewal = async {
            gate.extend(Millis::NEVER);
            time.passes(Millis(20));
            tell.send(()).expect("somebody waits");
        };
        assert_eq!(tokio::join!(write, renewal).0, Passage::Done(Ok(())));
    }

    /// A leader that leaves waits for what it has begun, and begins nothing more.
    #[tokio::test]
    async fn draining_waits_for_what_is_under_way() {
        let (gate, _) = gate();
        let (tell, told) = tokio::sync::oneshot::channel();
        let meanwhile = async {
            let refused = gate.pass(async {}).await;
            tell.send(()).expect("somebody waits");
            refused
        };
        let (passage, drained, refused) = tokio::join!(gate.pass(told), gate.drain(), meanwhile);
        assert_eq!((passage, drained, refused), (Passage::Done(Ok(())), true, Passage::Refused));
        let (stuck, time) = self::gate();
        let end = async { time.passes(Millis(20)) };
        let (passage, drained, ()) = tokio::join!(stuck.pass(std::future::pending::<()>()), stuck.drain(), end);
        assert_eq!(passage, Passage::GivenUp);
        assert!(!drained || passage == Passage::GivenUp);
    }
}
