//! The bounded history: one shared log of events, and for each watched scope an index of the positions that concern it.
//!
//! A watcher is a position in an index, so a slow one costs nothing, and an event costs one push per matching index
//! (a key has few prefixes), whatever the number of watchers. An index exists while somebody watches it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::entry::{Event, Revision, Scope, Topic};

/// A counter of events since the store was opened.
pub(crate) type Position = u64;

/// What an index covers.
pub(crate) type Interest = (Scope, Option<Topic>);

/// The positions that one interest consists of. Those older than the window are dropped with the next push.
#[derive(Default)]
struct Index {
    positions: VecDeque<Position>,
    /// Events of this interest below this position have left the window unread by some.
    lost_below: Position,
    watchers: usize,
    /// Rung after an event for this interest is published.
    bell: Arc<Notify>,
}

impl Index {
    fn push(&mut self, position: Position, first: Position, to_ring: &mut Vec<Arc<Notify>>) {
        while let Some(old) = self.positions.front().copied().filter(|old| *old < first) {
            self.positions.pop_front();
            self.lost_below = old + 1;
        }
        self.positions.push_back(position);
        to_ring.push(Arc::clone(&self.bell));
    }
}

/// The indexes of one scope: of all its events, and of those with a topic.
#[derive(Default)]
struct Group {
    all: Option<Index>,
    by_topic: HashMap<Topic, Index>,
}

impl Group {
    fn index(&self, topic: Option<&Topic>) -> Option<&Index> {
        match topic {
            None => self.all.as_ref(),
            Some(topic) => self.by_topic.get(topic),
        }
    }

    fn is_empty(&self) -> bool {
        self.all.is_none() && self.by_topic.is_empty()
    }
}

/// The log, its bounds, and the indexes of all watched scopes.
pub(crate) struct Window {
    events: VecDeque<Event>,
    /// Topics of each event, old and new value together; needed when an index is made after the event.
    topics: VecDeque<Box<[Topic]>>,
    first: Position,
    bytes: usize,
    compacted: Revision,
    events_max: usize,
    bytes_max: usize,
    by_prefix: HashMap<Arc<str>, Group>,
    by_key: HashMap<Arc<str>, Group>,
    /// Bells of the indexes that grew since the last [`Window::take_bells`].
    to_ring: Vec<Arc<Notify>>,
}

impl Window {
    pub(crate) fn new(start: Revision, events_max: usize, bytes_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            topics: VecDeque::new(),
            first: 0,
            bytes: 0,
            compacted: start,
            events_max: events_max.max(1),
            bytes_max,
            by_prefix: HashMap::new(),
            by_key: HashMap::new(),
            to_ring: Vec::new(),
        }
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    fn end(&self) -> Position {
        self.first + self.events.len() as Position
    }

    /// The position of the first event after `revision`.
    pub(crate) fn position_after(&self, revision: Revision) -> Position {
        self.first + self.events.partition_point(|event| event.revision() <= revision) as Position
    }

    /// The events after revision `after`, newest first.
    pub(crate) fn newest_first(&self, after: Revision) -> impl Iterator<Item = &Event> {
        self.events.iter().rev().take_while(move |event| event.revision() > after)
    }

    fn event(&self, position: Position) -> Option<&Event> {
        let offset = position.checked_sub(self.first)?;
        self.events.get(usize::try_from(offset).ok()?)
    }

    /// Appends an event, forgets what no longer fits, and enters it in the indexes of every scope that covers its key:
    /// the key itself and each of its prefixes that end with `/`.
    pub(crate) fn push(&mut self, event: Event, topics: &[Topic]) {
        let position = self.end();
        let key = Arc::clone(&event.entry.key);
        self.bytes += event.entry.value.len();
        self.events.push_back(event);
        self.topics.push_back(topics.into());
        while self.events.len() > self.events_max || (self.bytes > self.bytes_max && self.events.len() > 1) {
            self.forget_oldest();
        }
        let mut enter = |group: Option<&mut Group>| {
            let Some(group) = group else { return };
            if let Some(index) = &mut group.all {
                index.push(position, self.first, &mut self.to_ring);
            }
            for topic in topics {
                if let Some(index) = group.by_topic.get_mut(topic) {
                    index.push(position, self.first, &mut self.to_ring);
                }
            }
        };
        enter(self.by_key.get_mut(&key));
        for (slash, _) in key.match_indices('/') {
            enter(self.by_prefix.get_mut(&key[..=slash]));
        }
    }

    /// The bells to ring once the pushed events are visible.
    pub(crate) fn take_bells(&mut self) -> Vec<Arc<Notify>> {
        std::mem::take(&mut self.to_ring)
    }

    pub(crate) fn compact(&mut self, revision: Revision) {
        while self.events.front().is_some_and(|event| event.revision() <= revision) {
            self.forget_oldest();
        }
        self.compacted = self.compacted.max(revision);
    }

    fn forget_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.topics.pop_front();
            self.bytes -= event.entry.value.len();
            self.compacted = self.compacted.max(event.revision());
            self.first += 1;
        }
    }

    fn groups(&mut self, scope: &Scope) -> (&mut HashMap<Arc<str>, Group>, Arc<str>) {
        match scope {
            Scope::Prefix(prefix) => (&mut self.by_prefix, Arc::clone(prefix)),
            Scope::Key(key) => (&mut self.by_key, Arc::clone(key)),
        }
    }

    fn group(&self, scope: &Scope) -> Option<&Group> {
        match scope {
            Scope::Prefix(prefix) => self.by_prefix.get(prefix),
            Scope::Key(key) => self.by_key.get(key),
        }
    }

    /// Registers a watcher, building the index from the window when it is the first for its interest.
    pub(crate) fn join(&mut self, (scope, topic): &Interest) -> Arc<Notify> {
        if self.group(scope).and_then(|group| group.index(topic.as_ref())).is_none() {
            let positions = self.matching(scope, topic.as_ref());
            let index = Index { positions, ..Index::default() };
            let (groups, name) = self.groups(scope);
            let group = groups.entry(name).or_default();
            match topic {
                None => group.all = Some(index),
                Some(topic) => {
                    group.by_topic.insert(topic.clone(), index);
                }
            }
        }
        let (groups, name) = self.groups(scope);
        let group = groups.entry(name).or_default();
        let index = match topic {
            None => group.all.get_or_insert_default(),
            Some(topic) => group.by_topic.entry(topic.clone()).or_default(),
        };
        index.watchers += 1;
        Arc::clone(&index.bell)
    }

    fn matching(&self, scope: &Scope, topic: Option<&Topic>) -> VecDeque<Position> {
        let kept = self.events.iter().zip(&self.topics).zip(self.first..);
        let matching = kept.filter(|((event, topics), _)| {
            scope.covers(&event.entry.key) && topic.is_none_or(|topic| topics.contains(topic))
        });
        matching.map(|(_, position)| position).collect()
    }

    /// Takes a watcher off; the last one takes the index with it.
    pub(crate) fn leave(&mut self, (scope, topic): &Interest) {
        let (groups, name) = self.groups(scope);
        let Some(group) = groups.get_mut(&name) else { return };
        let index = match topic {
            None => group.all.as_mut(),
            Some(topic) => group.by_topic.get_mut(topic),
        };
        let Some(index) = index else { return };
        index.watchers -= 1;
        if index.watchers > 0 {
            return;
        }
        match topic {
            None => group.all = None,
            Some(topic) => {
                group.by_topic.remove(topic);
            }
        }
        if group.is_empty() {
            groups.remove(&name);
        }
    }

    /// The events of `interest` from position `from` on, `limit` at most, each with its position; none at all when one
    /// of them is forgotten.
    pub(crate) fn read(
        &self,
        (scope, topic): &Interest,
        from: Position,
        limit: usize,
    ) -> Option<Vec<(Position, Event)>> {
        let index = self.group(scope).and_then(|group| group.index(topic.as_ref()))?;
        let start = index.positions.partition_point(|position| *position < from);
        if index.lost_below > from || index.positions.get(start).is_some_and(|oldest| *oldest < self.first) {
            return None;
        }
        let positions = index.positions.iter().skip(start).take(limit);
        Some(positions.filter_map(|position| Some((*position, self.event(*position)?.clone()))).collect())
    }
}
